"""A part of a page that runs alone leaves what the page has drawn and not sent yet."""

import pytest
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from dashboard.unsent import keep_what_is_unsent


@pytest.fixture
def queue(monkeypatch: pytest.MonkeyPatch) -> ForwardMsgQueue:
    """Return what waits of a page of three elements, the second of which runs alone, too."""
    monkeypatch.setattr(ForwardMsgQueue, "clear", ForwardMsgQueue.clear)  # put back after the test
    keep_what_is_unsent()
    queue = ForwardMsgQueue()
    for place, part in enumerate(["", "news", ""]):
        queue.enqueue(drawn(place, part, "page"))
    finished = ForwardMsg()
    finished.script_finished = ForwardMsg.ScriptFinishedStatus.FINISHED_SUCCESSFULLY
    queue.enqueue(finished)
    return queue


def drawn(place: int, part: str, text: str) -> ForwardMsg:
    message = ForwardMsg()
    message.metadata.delta_path[:] = [0, place]
    message.delta.new_element.markdown.body = text
    message.delta.fragment_id = part
    return message


def heard(queue: ForwardMsgQueue) -> list[str]:
    return [
        f"{message.metadata.delta_path[1]} {message.delta.new_element.markdown.body}"
        if message.WhichOneof("type") == "delta"
        else ForwardMsg.ScriptFinishedStatus.Name(message.script_finished)
        for message in queue.flush()
    ]


def test_a_part_that_runs_alone_drops_nothing_of_the_page_before_it(queue: ForwardMsgQueue) -> None:
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["news"])
    queue.enqueue(drawn(1, "news", "part"))  # not in the place of what the page has drawn
    assert heard(queue) == ["0 page", "1 page", "2 page", "FINISHED_SUCCESSFULLY", "1 part"]


def test_a_page_that_runs_again_sends_nothing_old(queue: ForwardMsgQueue) -> None:
    queue.clear(retain_lifecycle_msgs=True)
    queue.enqueue(drawn(1, "news", "again"))
    assert heard(queue) == ["FINISHED_EARLY_FOR_RERUN", "1 again"]
