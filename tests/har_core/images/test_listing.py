import os

import pytest

from har_core.errors import HarError
from har_core.images.listing import photographs_below
from tests.drawing import photo_bytes


def test_photographs_of_a_folder_are_found_in_order_and_links_lead_nowhere_else(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/inner.JPG", "b.jpg", "a.jpg", "no_suffix", ".hidden.jpg", "Thumbs.db"):
        (tmp_path / name).write_bytes(photo_bytes("running", 0))
    (tmp_path / "notes").write_text("no photograph")
    os.mkfifo(tmp_path / "pipe.jpg")
    for name, target in (("c.jpg", "a.jpg"), ("gone.jpg", "g"), ("loop.jpg", "loop.jpg")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "again").symlink_to(".", target_is_directory=True)
    found = [os.path.relpath(entry.path, tmp_path) for entry in photographs_below(tmp_path)]
    assert found == ["a.jpg", "b/inner.JPG", "b.jpg", "c.jpg", "no_suffix"]


def test_folder_that_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(HarError, match=r"Cannot list .*nowhere"):
        list(photographs_below(tmp_path / "nowhere"))
