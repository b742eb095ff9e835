"""What a verdict shows of the photographs that two models disagree on."""

from pathlib import Path

from dashboard.training import verdict
from har_core.storage.checksums import sha256_of_file


def test_no_picture_is_of_another_photograph_of_the_same_name(tiny_dataset: Path) -> None:
    photos = tiny_dataset / "train"
    names = ["running_0.jpg", "running_1.jpg", "running_2.jpg", "gone.jpg"]
    contents = [sha256_of_file(photos / name) for name in names[:3]]
    (photos / "running_1.jpg").write_bytes((photos / "sitting_1.jpg").read_bytes())
    found = verdict._paths(str(tiny_dataset), names, [*contents, ""])
    assert found == [str(photos / names[0]), None, str(photos / names[2]), None]
    assert verdict._paths(str(tiny_dataset / "nowhere"), names, contents) == [None] * 4
