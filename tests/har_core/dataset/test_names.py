"""A listed path is honoured; a name that differs a little is found, and it is said."""

import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from har_core.dataset.files import DatasetFiles
from har_core.dataset.names import MISSING, Matches, match_names


def matched(root: Path, present: list[str], listed: list[str], **options) -> Matches:
    for name in present:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return match_names(listed, DatasetFiles(root, follow_links=False), **options)


TWO_FOLDERS = ["train/Image_1.jpg", "train/Image_2.jpg", "test/Image_1.jpg"]


def test_the_listed_folder_counts(tmp_path: Path) -> None:
    listed = ["test/Image_1.jpg", "train\\Image_1.jpg", "./test/Image_1.jpg", "Image_1.jpg"]
    found = matched(tmp_path, TWO_FOLDERS, listed)
    assert found.files == [
        "test/Image_1.jpg",
        "train/Image_1.jpg",
        "test/Image_1.jpg",
        "train/Image_1.jpg",
    ]
    assert found.notes == []


def test_the_photo_folder_and_the_tables_folder_come_first_for_bare_names(tmp_path: Path) -> None:
    assert matched(tmp_path, TWO_FOLDERS, ["Image_1.jpg"], photo_folder="test").files == [
        "test/Image_1.jpg"
    ]
    assert matched(tmp_path, [], ["Image_1.jpg"], home="test").files == ["test/Image_1.jpg"]


def test_a_dot_is_the_tables_own_folder_where_the_photo_folder_has_one_of_the_name(
    tmp_path: Path,
) -> None:
    present = ["a.jpg", "train/a.jpg", "train/b.jpg"]
    found = matched(tmp_path, present, ["./a.jpg", ".\\a.jpg", "a.jpg", "./b.jpg"])
    assert found.files == ["a.jpg", "a.jpg", "train/a.jpg", "train/b.jpg"]
    assert found.notes == []


def test_a_name_that_differs_is_no_photograph_that_another_machine_s_path_means(
    tmp_path: Path,
) -> None:
    found = matched(tmp_path, ["train/a.jpg"], ["C:\\me\\a.jpg", "A.JPG"])
    assert found.files == ["train/a.jpg", None]
    found = matched(tmp_path, [], ["/mnt/elsewhere/old/a.jpg", "A.JPG"])
    assert found.problems == ["", "missing (other rows mean train/a.jpg, too)"]


def test_a_path_from_elsewhere_means_a_photograph_in_a_folder_of_another_name(
    tmp_path: Path,
) -> None:
    found = matched(tmp_path, ["photos/a.jpg"], ["/old/train/a.jpg"])
    assert found.files == ["photos/a.jpg"]
    assert matched(tmp_path, ["a.jpg"], ["../a.jpg"]).problems == [
        "several files fit: a.jpg, photos/a.jpg"
    ]


def test_a_photograph_that_its_folder_lacks_is_missing(tmp_path: Path) -> None:
    """Image_2.jpg is in train/ only; a row that says test/ does not mean that one."""
    found = matched(tmp_path, TWO_FOLDERS, ["test/Image_2.jpg", "C:\\me\\test\\Image_2.jpg"])
    assert found.files == [None, None]
    assert found.problems[0] == "missing (only in another split: train/Image_2.jpg)"


def test_a_folder_that_is_here_but_lacks_the_file_is_not_replaced(tmp_path: Path) -> None:
    present = ["train/a.jpg", "holiday/b.jpg"]
    found = matched(tmp_path, present, ["holiday/a.jpg", "elsewhere/a.jpg"])
    assert found.files == [None, "train/a.jpg"]


@pytest.mark.parametrize(
    "listed",
    [
        "C:\\Users\\me\\DataSet\\train\\Image_2.jpg",
        "/home/me/Image_2.jpg",
        "//server/share/Image_2.jpg",
        "~/pictures/Image_2.jpg",
        "../up/Image_2.jpg",
        "photos/Image_2.jpg",
    ],
)
def test_folders_of_another_machine_are_overlooked_once_it_is_unambiguous(
    tmp_path: Path, listed: str
) -> None:
    found = matched(tmp_path, TWO_FOLDERS, [listed, listed])
    assert found.files == ["train/Image_2.jpg"] * 2
    assert len(found.notes) == 1
    assert found.notes[0].startswith("2 names are listed with folders that do not exist here")


def test_the_end_of_another_machines_path_decides(tmp_path: Path) -> None:
    listed = ["D:\\x\\test\\Image_1.jpg", "/y/train/Image_1.jpg", "/z/Image_1.jpg"]
    found = matched(tmp_path, TWO_FOLDERS, listed)
    assert found.files == ["test/Image_1.jpg", "train/Image_1.jpg", None]
    assert found.problems[2] == "several files fit: test/Image_1.jpg, train/Image_1.jpg"


class Listed(DatasetFiles):
    """Files that are only said to be there: making thousands takes seconds."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(Path("/set"), follow_links=False)
        self._names = dict.fromkeys(names)
        self._folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}

    def walk(self) -> Iterator[str]:
        return iter(self._names)

    def path(self, file: str) -> str | None:
        return f"/set/{file}" if file in self._names else None

    def exists(self, folder: str) -> bool:
        return folder in self._folders


def test_frames_of_many_videos_are_found_by_another_machines_paths_at_once() -> None:
    names = [f"v{video:03d}/{frame:02d}.jpg" for video in range(600) for frame in range(20)]
    began = time.monotonic()
    found = match_names(
        [f"/home/somebody/set/{name}" for name in names], Listed([f"frames/{n}" for n in names])
    )
    assert time.monotonic() - began < 10
    assert found.files == [f"frames/{name}" for name in names]


@pytest.mark.parametrize("beginning", ["", "/"])
def test_a_name_of_thousands_of_folders_is_one_as_others(tmp_path: Path, beginning: str) -> None:
    began = time.monotonic()
    listed = [beginning + "a/" * 20_000 + f"{number}.jpg" for number in range(20)]
    found = matched(tmp_path, ["train/0.jpg"], listed)
    assert found.files == ["train/0.jpg", *[None] * 19]
    assert time.monotonic() - began < 10


def test_an_absolute_path_into_the_dataset_is_honoured(tmp_path: Path) -> None:
    listed = [str(tmp_path / "test" / "Image_1.jpg")]
    found = matched(tmp_path, TWO_FOLDERS, listed)
    assert found.files == ["test/Image_1.jpg"]
    assert found.notes == []


def test_an_existing_file_outside_is_not_replaced_by_one_inside(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.jpg").write_bytes(b"x")
    root = tmp_path / "dataset"
    (root / "train").mkdir(parents=True)
    (root / "train" / "a.jpg").write_bytes(b"y")
    listed = [str(tmp_path / "other" / "a.jpg")]
    found = match_names(listed, DatasetFiles(root, follow_links=True))
    assert found.problems == ["lies outside of the dataset's folder"]
    (root / "train" / "a.jpg").unlink()
    found = match_names(listed, DatasetFiles(root, follow_links=False))
    assert found.problems == [MISSING]  # a visitor does not learn what there is outside


def test_an_address_is_never_a_file(tmp_path: Path) -> None:
    found = matched(tmp_path, ["train/a.jpg"], ["https://example.org/a.jpg", " "])
    assert found.files == [None, None]
    assert found.problems == ["is a web address", "no filename"]


NFD = unicodedata.normalize("NFD", "épée.jpg")
NFC = unicodedata.normalize("NFC", "épée.jpg")


@pytest.mark.parametrize(
    ("listed", "file", "cause"),
    [
        ("a.jpg", "a.png", "the suffix"),
        ("a.jpg", "a.jpeg", "the suffix"),
        ("7", "7.png", "the suffix"),
        ("a.jpg", "a", "the suffix"),
        ("a.jpg", "a.jpg.jpg", "the suffix"),
        ("a.jpg.png", "a.jpg", "the suffix"),
        ("7", "0007", "leading zeros"),
        ("7", "0007.png", "the suffix and leading zeros"),
        ("IMAGE_1.JPG", "Image_1.jpg", "capital letters"),
        ("Image_1.PNG", "image_1.jpg", "capital letters and the suffix"),
        (NFC, NFD, "the Unicode form (NFC or NFD)"),
        (NFD, NFC, "the Unicode form (NFC or NFD)"),
        ("my%20photo.jpg", "my photo.jpg", "escapes such as %20"),
        ("my photo.jpg", "my%20photo.jpg", "escapes such as %20"),
    ],
)
def test_a_name_that_differs_a_little_is_found_and_the_cause_said(
    tmp_path: Path, listed: str, file: str, cause: str
) -> None:
    found = matched(tmp_path, [f"train/{file}", "train/other.jpg"], [listed])
    assert found.files == [f"train/{file}"]
    assert found.notes == [
        f"1 listed name differs from the files in {cause}, e.g. {listed} is train/{file}."
    ]


@pytest.mark.parametrize(
    ("listed", "file", "other"),
    [("a", "a.jpg", "a.jpg.png"), ("a.png", "a.jpg", "a.jpg.jpg"), ("7", "7.png", "0007.jpg")],
)
def test_the_file_that_differs_less_is_meant(
    tmp_path: Path, listed: str, file: str, other: str
) -> None:
    assert matched(tmp_path, [file, f"masks/{other}"], [listed]).files == [file]
    assert matched(tmp_path, [f"train/{file}", f"train/{other}"], [listed]).files == [
        f"train/{file}"
    ]


def test_folders_in_capital_letters_are_found(tmp_path: Path) -> None:
    assert matched(tmp_path, ["train/a/1.jpg"], ["Train/A/1.JPG"]).files == ["train/a/1.jpg"]


@pytest.mark.parametrize(
    ("present", "listed"),
    [
        (["train/a.png", "train/a.webp"], ["a.jpg"]),
        (["train/Image.jpg", "train/image.jpg"], ["IMAGE.jpg"]),
        (["train/a.png"], ["a.jpg", "a.bmp"]),
        (["train/07.png", "train/007.png"], ["7"]),
    ],
)
def test_what_is_ambiguous_is_not_guessed(
    tmp_path: Path, present: list[str], listed: list[str]
) -> None:
    found = matched(tmp_path, present, listed)
    assert found.files == [None] * len(listed)
    assert all(found.problems)


def test_a_file_that_another_row_means_exactly_is_not_taken(tmp_path: Path) -> None:
    found = matched(tmp_path, ["train/a.png"], ["a.png", "a.jpg"])
    assert found.files == ["train/a.png", None]
    assert found.problems[1] == MISSING
