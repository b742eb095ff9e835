"""What a page has drawn and not sent yet when a part of it runs alone."""

from typing import Any

from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

_clear = ForwardMsgQueue.clear


def keep_what_is_unsent() -> None:
    """Let a part that runs alone drop nothing that the page's own run has drawn just before.

    When a run begins, Streamlit drops what waits to be sent; of a part that runs alone, what the
    whole page has drawn in its place. The browser hears that the page is complete, takes the part
    for gone, and puts all that follows one place too high: the next to be drawn lands on something
    else, or in no place at all, which ends the page ("Cannot set a node at a delta path"). It
    happens where a part that looks for news asks for its run while the page is drawn.
    """

    def clear(queue: ForwardMsgQueue, *given: Any, **named: Any) -> None:
        if named.get("retain_lifecycle_msgs") and named.get("fragment_ids_this_run"):
            queue._delta_index_map = {}  # what is drawn from now on comes after what waits
        else:
            _clear(queue, *given, **named)

    ForwardMsgQueue.clear = clear  # type: ignore[method-assign, assignment]
