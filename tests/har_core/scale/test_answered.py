"""Which inputs have a row already, and of which state."""

from pathlib import Path

import pyarrow as pa
import pytest

from har_core.scale.answered import Answered, settle
from har_core.scale.parts import PartsFolder
from har_core.scale.sources.items import Item, uri_keys


@pytest.fixture
def answered(tmp_path: Path) -> Answered:
    folder = PartsFolder(str(tmp_path))
    reasons = [None, "truncated", "unreadable_source", "unreadable", "missing", "failed"]
    columns = {
        "uri": [f"/{reason}.jpg" for reason in reasons],
        "size": pa.array([5, 5, None, None, None, 5], pa.int64()),
        "mtime_ns": pa.array([7, 7, None, None, None, 7], pa.int64()),
        "etag": pa.array(["e", *5 * [None]], pa.string()),
        "reason": reasons,
    }
    folder.write_part("job000000", 0, 4, pa.table(columns).slice(0, 4))
    folder.write_part("job000001", 0, 2, pa.table(columns).slice(4))
    return Answered(folder)


@pytest.mark.parametrize(
    ("item", "state"),
    [
        (Item("/None.jpg", 5, 7, "e"), Answered.DONE),
        (Item("/None.jpg"), Answered.DONE),  # nothing says that it changed
        (Item("/None.jpg", size=6), Answered.STALE),
        (Item("/None.jpg", mtime_ns=6), Answered.STALE),
        (Item("/None.jpg", etag="f"), Answered.STALE),
        (Item("/truncated.jpg", 5, 7), Answered.FAILED),
        (Item("/truncated.jpg", 5, 8), Answered.STALE),
        (Item("/unreadable_source.jpg"), Answered.FAILED),
        (Item("/unreadable_source.jpg", 5), Answered.STALE),
        *((Item(f"/{why}.jpg"), Answered.STALE) for why in ("unreadable", "missing", "failed")),
    ],
)
def test_row_counts_while_its_input_is_the_same_and_no_failure_may_be_over(
    answered: Answered, item: Item, state: int
) -> None:
    assert answered.look_up(uri_keys([item.uri]), [item]).tolist() == [state]


def test_inputs_without_a_row_are_new_wherever_their_keys_lie(answered: Answered) -> None:
    items = [Item(f"/{number}.jpg") for number in range(100)]
    assert set(answered.look_up(uri_keys(item.uri for item in items), items)) == {Answered.NEW}
    assert answered.not_listed == {"/unreadable_source.jpg"}


def test_of_rows_of_one_input_the_newest_stays(tmp_path: Path) -> None:
    folder = PartsFolder(str(tmp_path))
    for shard, sizes in (("b", [1, 2]), ("a", [3, 4]), ("c", [5])):  # written one after another
        uris = ["/one.jpg", "/b.jpg"] if shard == "b" else ["/one.jpg", "/over.tar"]
        rows = pa.table({"uri": uris[: len(sizes)], "size": sizes})
        folder.write_part(shard, 0, len(sizes), rows, after_ns=2**62 + sizes[0])
    settle(folder, ["/over.tar"])
    assert {part.shard: folder.read_part(part).to_pylist() for part in folder.parts()} == {
        "b": [{"uri": "/b.jpg", "size": 2}],
        "c": [{"uri": "/one.jpg", "size": 5}],
    }
    written = {part.shard: folder.written_ns(folder.read_part(part)) for part in folder.parts()}
    assert written == {"b": 2**62 + 2, "c": 2**62 + 6}  # as before
