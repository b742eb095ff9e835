"""What the sources of a job mean, here and in a bucket."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from pyarrow import fs

from har_core.errors import HarError
from har_core.scale.jobs import reachable
from har_core.scale.labels import read_label_table
from har_core.scale.opened.table import results_at
from har_core.scale.sources import listing
from har_core.scale.sources.items import Item
from har_core.scale.sources.listing import list_sources, tables_among
from har_core.scale.sources.locations import is_refused, local_path
from har_core.storage.names import storable

NAMES = (
    *("a/1.jpg", "a/2.png", "a/b/3.jpg", "a/b/c/4.jpg", "a/.hidden/5.jpg", "a/.6.jpg", "x/7.jpg"),
    *("2026-01/8.jpg", "2026-02/more/9.jpg", "a/b/.10.jpg"),
)


class _Answer(Exception):
    """As the client of the web raises it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse to list folders called ``b``, here and in a bucket."""
    scandir, listed = os.scandir, listing._listed

    def refuse_here(path: str) -> Any:
        if path.endswith("/b"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    def refuse_there(filesystem: object, folder: str, what: str) -> list[object]:
        if folder.endswith("/b"):
            raise PermissionError("Access Denied")
        return listed(filesystem, folder, what)

    monkeypatch.setattr(os, "scandir", refuse_here)
    monkeypatch.setattr(listing, "_listed", refuse_there)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write files that are also those of the bucket ``s3://there``."""
    for name in NAMES:
        (tmp_path / "there" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "there" / name).write_bytes(b"")
    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    here = listing.open_filesystem

    def open_filesystem(uri: str) -> tuple[object, str]:
        return (bucket, uri.removeprefix("s3://")) if uri.startswith("s3://") else here(uri)

    monkeypatch.setattr(listing, "open_filesystem", open_filesystem)
    return tmp_path / "there"


@pytest.mark.parametrize(
    ("pattern", "n"),
    [
        *(("a/*.jpg", 1), ("a/*/*.jpg", 1), ("a/**/*.jpg", 3), ("**/*.jpg", 6), ("?/*", 5)),
        *(("a/[12].*", 2), ("a/**/c/*.jpg", 1), ("a/.*.jpg", 1), ("2026-*", 2), ("*/more/*", 1)),
        ("a/**/**/*.jpg", 3),
    ],
)
def test_pattern_means_the_same_in_a_bucket(place: Path, pattern: str, n: int) -> None:
    here = {item.uri for item in list_sources([f"{place}/{pattern}"])}
    there = {item.uri for item in list_sources([f"s3://there/{pattern}"])}
    assert {uri.replace("s3://there", str(place)) for uri in there} == here
    assert len(here) == n


def test_escapes_of_a_file_uri_are_decoded_and_those_of_a_path_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "a b%20c?é#"
    folder.mkdir()
    latin1 = folder / os.fsdecode(b"caf\xe9.jpg")
    for path in (folder / "1.jpg", latin1):
        path.write_bytes(b"")
    (tmp_path / "a b c").mkdir()
    named = tmp_path / "list.txt"
    named.write_text(f"{(folder / '1.jpg').as_uri()}\n{folder / '1.jpg'}\n")
    one, both = [str(folder / "1.jpg")], [str(folder / "1.jpg"), storable(latin1)]
    for source, meant in [
        (folder.as_uri(), both),
        (str(folder), both),
        (f"{folder.as_uri()}/*.jpg", both),
        (folder.as_uri().replace("///", "/"), both),  # as Java writes it
        (f"FILE://localhost{folder.as_uri()[7:]}", both),
        (latin1.as_uri(), both[1:]),
        (named.as_uri(), one * 2),
        (str(named), one * 2),
    ]:
        assert [item.uri for item in list_sources([source])] == meant
    assert reachable(folder.as_uri()) == str(folder)
    assert results_at(folder.as_uri()).folder() == folder
    table = folder / "labels.csv"
    table.write_text(f"filename,label\n{(folder / '1.jpg').as_uri()},x\n")
    assert read_label_table(table.as_uri()).names == ("x",)


@pytest.mark.parametrize("uri", ["file://", "file://photos", "file:///a%00b", "file:/a%00b"])
def test_a_file_uri_that_names_no_path_is_not_the_root_of_the_disk(uri: str) -> None:
    assert local_path(uri) == uri
    with pytest.raises(HarError, match=rf"^There is no {uri}\.$"):
        next(iter(list_sources([uri])))
    with pytest.raises(HarError, match=rf"^{uri} names no folder"):
        reachable(uri)


@pytest.mark.parametrize("pattern", ["none/*.jpg", "a/*.gif", "a/*.JPG"])
def test_pattern_that_matches_nothing_is_said(place: Path, pattern: str) -> None:
    for where in (str(place), "s3://there"):
        with pytest.raises(HarError, match="Nothing matches"):
            list(list_sources([f"{where}/{pattern}"]))


@pytest.mark.parametrize("pattern", ["**/*.jpg", "a/*/*.jpg", "a/*", "a/b/*"])
def test_folder_that_a_pattern_may_not_enter_is_said(
    place: Path, closed: None, pattern: str
) -> None:
    for where in (str(place), "s3://there"):
        if pattern == "**/*.jpg" or pattern == "a/*":
            *good, last = list_sources([f"{where}/{pattern}"])
            assert good and not any(item.trouble for item in good)
            assert last.uri == f"{where}/a/b"
            assert last.trouble.startswith(f"Cannot list {where}/a/b: ")
        else:
            with pytest.raises(HarError, match=f"Cannot list {where}/a/b: "):
                list(list_sources([f"{where}/{pattern}"]))


def test_link_in_a_circle_is_not_followed(place: Path) -> None:
    (place / "a" / "itself").symlink_to("itself")
    (place / "a" / "again").symlink_to(place, target_is_directory=True)
    (place / "a" / "other").symlink_to(place / "x", target_is_directory=True)
    (place / "x" / "back").symlink_to(place / "a", target_is_directory=True)
    found = [item.uri for item in list_sources([f"{place}/a/**/*.jpg"])]
    assert [uri.removeprefix(f"{place}/a/") for uri in found] == [
        *("1.jpg", "b/3.jpg", "b/c/4.jpg", "other/7.jpg")
    ]


def test_question_mark_before_the_options_of_a_server_makes_no_pattern(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = listing.open_filesystem  # as fsspec does for `webhdfs`
    monkeypatch.setattr(listing, "open_filesystem", lambda uri: opened(uri.partition("?user=")[0]))
    [item] = list_sources(["s3://there/x?user=me"])
    assert item.uri == "s3://there/x/7.jpg"


def test_bucket_called_like_a_web_address_is_none(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.rename(place.with_name("http-archive"))
    for source in ("s3://http-archive/x", "s3://http-archive/x/*"):
        assert [item.uri for item in list_sources([source])] == ["s3://http-archive/x/7.jpg"]


@pytest.mark.parametrize("where", ["{}", "s3://there"])
def test_folder_below_one_that_matches_is_not_read_again(place: Path, where: str) -> None:
    (place / "a" / "other").symlink_to(place / "x", target_is_directory=True)
    read: list[str] = []
    found = {item.uri for item in list_sources([f"{where.format(place)}/**/*"], whole=read.append)}
    assert {uri.rpartition("/")[2] for uri in found} == {f"{n}.jpg" for n in (1, 3, 4, 7, 8, 9)} | {
        "2.png"
    }
    assert max(map(read.count, read)) == 2  # by the pattern, and with what is below


@pytest.mark.parametrize("pattern", ["**/*.[jc]*", "**/*/*.jpg", "**/**/*.jpg"])
@pytest.mark.parametrize("known", [True, False])
def test_bucket_is_asked_once_for_each_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch, known: bool, pattern: str
) -> None:
    asked: list[str] = []
    listed = listing._listed

    def count(filesystem: object, folder: str, what: str) -> list[object]:
        asked.append(folder)
        return listed(filesystem, folder, what)

    monkeypatch.setattr(listing, "_listed", count)
    source = f"s3://there/{pattern}"
    matches = tables_among([source])[1] if known else {}
    found = [item.uri for item in list_sources([source], known=matches)]
    assert len(found) == len(set(found))
    folders = ["", "/2026-01", "/2026-02", "/2026-02/more", "/a", "/a/b", "/a/b/c", "/x"]
    assert sorted(asked) == [f"there{folder}" for folder in folders]


def test_rows_before_a_cell_that_cannot_be_read_are_listed(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(f"filename\na.jpg\n{'b' * 2**18}\n")
    named, rest = list_sources([str(tmp_path / "table.csv")])
    assert (named.uri, named.trouble) == (str(tmp_path / "a.jpg"), "")
    assert "field larger than field limit" in rest.trouble


def test_photograph_that_goes_while_its_folder_is_listed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def entry(name: str, error: type[OSError]) -> Any:
        def stat() -> NoReturn:
            raise error

        return SimpleNamespace(path=f"{tmp_path}/{name}", stat=stat)

    entries = [entry("gone.jpg", FileNotFoundError), entry("closed.jpg", PermissionError)]
    monkeypatch.setattr(listing, "photographs_below", lambda *_: iter(entries))
    assert list(list_sources([str(tmp_path)])) == [Item(f"{tmp_path}/closed.jpg")]


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (OSError("AWS Error ACCESS_DENIED during HeadObject operation"), True),
        (PermissionError(13, "Permission denied"), True),
        (OSError("AWS Error SLOW_DOWN during GetObject operation"), False),
        *((_Answer(status), status in (403, 404)) for status in (403, 404, 408, 429, 500)),
    ],
)
def test_a_server_that_refuses_is_told_from_one_that_is_busy(
    error: Exception, refused: bool
) -> None:
    assert is_refused(error) == refused
