"""A source that cannot be read, or not to its end, costs what is lost and a row that says so."""

import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq
import pytest

from har_core.errors import DatasetError, HarError
from har_core.scale.labels import read_label_table, read_own_labels
from har_core.scale.scanned.scanning import scan_sources
from har_core.scale.scoring import score
from har_core.scale.sources import containers, listing, locations
from har_core.scale.sources.items import Item
from har_core.scale.sources.listing import list_sources
from tests.command_line import har
from tests.drawing import CLASS_NAMES, photo_bytes
from tests.har_core.scale.conftest import rows_of

N = 24
BLOCK = tarfile.BLOCKSIZE


@pytest.fixture
def contents() -> list[bytes]:
    drawn = [photo_bytes(CLASS_NAMES[i % 3], i, size=(60, 40)) for i in range(N)]
    return [content + b"%d" % i for i, content in enumerate(drawn)]


@pytest.fixture
def tar(tmp_path: Path, contents: list[bytes]) -> Path:
    return write_tar(tmp_path / "shards" / "a.tar", contents)


def write_tar(path: Path, contents: list[bytes]) -> Path:
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for number, content in enumerate(contents):
            member = tarfile.TarInfo(f"{number:02d}.jpg")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_cells(path: Path, contents: list[bytes], damaged: int | None = None) -> Path:
    """Write row groups of eight photographs, of which that of one is damaged."""
    path.parent.mkdir(exist_ok=True)
    table = pa.table({"jpg": contents, "label": [CLASS_NAMES[i % 3] for i in range(len(contents))]})
    pq.write_table(table, path, row_group_size=8, compression="snappy", use_dictionary=False)
    if damaged is not None:
        chunk = pq.read_metadata(path).row_group(damaged // 8).column(0)
        spoil(path, chunk.data_page_offset)
    return path


def spoil(path: Path, start: int) -> None:
    """Write something else where a page of a Parquet file begins."""
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def offsets(path: Path) -> list[int]:
    with tarfile.open(path) as archive:
        return [member.offset for member in archive]


def spoil_header(path: Path, number: int = N // 2) -> None:
    at = offsets(path)[number]
    content = path.read_bytes()
    path.write_bytes(content[:at] + b"\xaa" * BLOCK + content[at + BLOCK :])


def empty_header(path: Path) -> None:
    at = offsets(path)[N // 2]
    content = path.read_bytes()
    path.write_bytes(content[:at] + bytes(2 * BLOCK) + content[at + 2 * BLOCK :])


def cut_between(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: offsets(path)[N // 2]])


@pytest.mark.parametrize(
    ("damage", "answered", "broken", "said"),
    [
        (spoil_header, N - 1, 0, r"damaged from byte \d[\d,]*, where a photograph may be missing"),
        (lambda path: spoil_header(path, 0), N - 1, 0, "damaged from byte 0,"),
        (empty_header, N - 1, 0, "damaged from byte"),
        (cut, None, 1, "it is cut off; what was behind that is missing"),
        (cut_between, N // 2, 0, "it is cut off; what was behind that is missing"),
        (lambda path: path.write_bytes(b"nothing" * 200), 0, 0, "damaged from byte 0,"),
        (lambda path: path.write_bytes(b""), 0, 0, "empty file"),
    ],
)
def test_damaged_tar_costs_what_is_lost_until_it_is_mended(
    damage: Callable[[Path], object],
    answered: int | None,
    broken: int,
    said: str,
    tar: Path,
    contents: list[bytes],
    inline: None,
    tmp_path: Path,
) -> None:
    write_tar(tmp_path / "shards" / "b.tar", contents)
    damage(tar)
    source, to = str(tmp_path / "shards" / "*.tar"), str(tmp_path / "results")
    status = score([source, str(tar)], to)  # which is named twice, and told once
    table = rows_of(to)
    of_a = table[table["uri"].str.startswith(str(tar))]
    assert len(table) - len(of_a) == N
    if answered is not None:
        assert of_a["action"].notna().sum() == answered
    assert of_a["reason"].value_counts().to_dict() == (
        {"unreadable_source": 1} | ({"truncated": broken} if broken else {})
    )
    (row,) = table[table["uri"] == str(tar)].itertuples()
    assert row.error.startswith(f"Cannot read the tar file {tar}: ")
    assert pd.Series([row.error]).str.contains(said).all(), row.error
    assert status.troubles == [row.error]
    again = har("score", source, "--to", to)  # not endlessly, but said
    assert again.returncode == 1 and "scored by" not in again.stdout
    assert again.stderr.strip() == row.error
    write_tar(tar, contents)
    os.utime(tar, ns=(1, 1))  # by which it differs, however fast this is
    again = score([source], to)
    assert again.total == N and again.errors == 0
    table = rows_of(to)
    assert len(table) == 2 * N and table["error"].isna().all()


def test_damaged_row_group_costs_itself(
    contents: list[bytes], inline: None, tmp_path: Path
) -> None:
    path = write_cells(tmp_path / "tables" / "a.parquet", contents, damaged=8)
    write_cells(tmp_path / "tables" / "b.parquet", contents)
    source, to = str(tmp_path / "tables" / "*.parquet"), str(tmp_path / "results")
    assert score([source], to).errors == 8
    table = rows_of(to)
    assert len(table) == 2 * N
    bad = table[table["error"].notna()]
    assert set(bad["uri"]) == {f"{path}#{row}" for row in range(8, 16)}
    assert set(bad["reason"]) == {"damaged"}
    assert bad["error"].str.fullmatch(f"Cannot read {path}#\\d+: \\S.*[^.]\\.").all()
    assert bad["error"].str.partition(": ")[2].nunique() == 1  # that of the first
    assert score([source], to).total == 0
    write_cells(path, contents)
    os.utime(path, ns=(1, 1))
    assert score([source], to).errors == 0
    assert len(rows_of(to)) == 2 * N


def test_cut_parquet_file_is_one_row_and_its_labels_are_not_wanted(
    contents: list[bytes], inline: None, tmp_path: Path
) -> None:
    path = write_cells(tmp_path / "tables" / "a.parquet", contents)
    write_cells(tmp_path / "tables" / "b.parquet", contents)
    cut(path)
    found = scan_sources([str(tmp_path / "tables" / "*.parquet")], str(tmp_path / "scan"))
    assert len(found.troubles) == 1 and str(path) in found.troubles[0]
    photographs = found.photographs.set_index("filename")
    assert len(photographs) == N + 1
    assert photographs.loc[str(path), "reason"] == "unreadable_source"
    assert photographs["is_unreadable_issue"].sum() == 1
    assert (photographs["label"] != "").sum() == N


def test_damaged_column_of_paths_costs_its_row_group(tmp_path: Path) -> None:
    names = [f"photographs/of/somebody/{i:05d}.jpg" for i in range(3000)]
    path = tmp_path / "paths.parquet"
    pq.write_table(pa.table({"path": names}), path, row_group_size=1000, use_dictionary=False)
    spoil(path, pq.read_metadata(path).row_group(1).column(0).data_page_offset)
    items = list(list_sources([str(path)]))
    assert [item.uri for item in items[:-1]] == [
        str(tmp_path / name) for name in names[:1000] + names[2000:]
    ]
    assert "1 of 3 row groups cannot be read" in items[-1].trouble


def test_address_that_is_none_costs_its_row_of_a_table(
    bucket: tuple[str, Callable[[], None]], contents: list[bytes], inline: None, tmp_path: Path
) -> None:
    address, _ = bucket
    (tmp_path / "a.jpg").write_bytes(contents[0])
    wrong = {
        "foo://there/a.jpg": "Protocol not known: foo",
        "s3://what a bucket!/a.jpg": "no bucket can be called 'what a bucket!'",
        "gs://?/a.jpg": "no bucket can be called '?'",
        "s3:///a.jpg": "no bucket can be called ''",
        address: "names no photograph in its bucket",
        "s3://not-there/a.jpg": "There is no s3://not-there/a.jpg",
    }
    (tmp_path / "table.csv").write_text("\n".join(["uri", "a.jpg", *wrong]))
    rows = rows_after(str(tmp_path / "table.csv"), str(tmp_path / "results")).set_index("uri")
    for uri, said in wrong.items():
        assert said in rows.loc[uri, "error"]
        assert rows.loc[uri, "reason"] == "unreadable"
    assert rows["error"].isna().sum() == 1


def test_bucket_that_does_not_exist_costs_its_rows_where_no_region_is_set(
    contents: list[bytes], inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)

    def missing(bucket: str) -> str:
        raise OSError(f"Bucket '{bucket}' not found")

    monkeypatch.setattr("pyarrow.fs.resolve_s3_region", missing)
    (tmp_path / "a.jpg").write_bytes(contents[0])
    (tmp_path / "table.csv").write_text("uri\na.jpg\ns3://never-made/b.jpg\n")
    rows = rows_after(str(tmp_path / "table.csv"), str(tmp_path / "results")).set_index("uri")
    assert rows.loc["s3://never-made/b.jpg", "error"] == "There is no bucket never-made."
    assert rows["error"].isna().sum() == 1


@pytest.mark.parametrize("suffix", ["csv", "txt"])
def test_name_that_is_no_text_is_one_row(suffix: str, inline: None, tmp_path: Path) -> None:
    odd = b"caf\xe9.jpg"
    (tmp_path / os.fsdecode(odd)).write_bytes(photo_bytes("running"))
    (tmp_path / "b.jpg").write_bytes(photo_bytes("sitting"))
    heading = [b"path"] if suffix == "csv" else []
    lines = [*heading, odd, b"\xff\xfe\xfa", b"a\0c.jpg", b"b.jpg"]
    (tmp_path / f"list.{suffix}").write_bytes(b"\n".join(lines) + b"\n")
    to = str(tmp_path / "results")
    assert score([str(tmp_path / f"list.{suffix}")], to).listed == 4
    assert rows_of(to)["reason"].fillna("").tolist() == ["unreadable", "", "", "unreadable"]


def test_of_many_troubles_the_first_ten_are_told(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [Item(f"/{number:02d}", trouble=f"Trouble {number // 2}.") for number in range(24)]
    monkeypatch.setattr("har_core.scale.scoring.list_sources", lambda *_: iter(items))
    status = score(["/"], str(tmp_path / "results"))
    assert status.troubles == [f"Trouble {number}." for number in range(10)]
    assert status.errors == 24 == len(rows_of(tmp_path / "results"))


def test_list_in_another_encoding_is_said(inline: None, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\n", encoding="utf-16")
    with pytest.raises(HarError, match=r"Cannot read the list .*: it is no text in UTF-8\.$"):
        score([str(tmp_path / "list.txt")], str(tmp_path / "results"))


def test_row_of_a_table_with_too_many_cells_is_left_out_and_said(tmp_path: Path) -> None:
    lines = ["path,label", *(f"{i}.jpg,x" for i in range(200)), "a.jpg,x,y", "z.jpg,x"]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    *named, last = list_sources([str(tmp_path / "table.csv")])
    assert len(named) == 201 and named[-1].uri == str(tmp_path / "z.jpg")
    assert last.uri == str(tmp_path / "table.csv") and last.mtime_ns > 0
    assert "1 of 202 rows is left out; the first has 3 cells instead of 2" in last.trouble
    (tmp_path / "table.csv").write_text("path,label\n1.jpg,x\n2.jpg,a, b\n")
    with pytest.raises(HarError, match=r"1 of 2 rows is left out.*Quote cells with commas"):
        list(list_sources([str(tmp_path / "table.csv")]))


def test_members_of_a_tar_file_are_not_kept(tar: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, open_tar = [], tarfile.open

    def open_and_tell(**options: Any) -> tarfile.TarFile:
        opened.append(open_tar(**options))
        return opened[0]

    monkeypatch.setattr(tarfile, "open", open_and_tell)
    kept = [len(opened[0].members) for _ in list_sources([str(tar)])]
    assert len(kept) > 2 and max(kept) == 0


def test_tar_files_that_were_joined_are_one(tar: Path) -> None:
    tar.write_bytes(2 * tar.read_bytes())
    items = list(list_sources([str(tar)]))
    assert len(items) == 2 * N and not any(item.trouble for item in items)


def test_damaged_table_of_labels_is_told_before_a_photograph_is_read(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(b"filename,label\na.jpg,x\nb\x81.jpg,\x8d\n")
    with pytest.raises(DatasetError, match="Cannot read the table of labels"):
        read_label_table(tmp_path / "labels.csv")


def test_folder_that_cannot_be_listed_is_one_row(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photographs"
    for name in ("a/1.jpg", "closed/2.jpg", "gone/3.jpg", "z/4.jpg"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(photo_bytes("running"))
    to, scandir = str(tmp_path / "results"), os.scandir

    def refuse(path: str | Path) -> Any:
        if str(path) == str(folder / "closed"):
            raise PermissionError(13, "Permission denied")
        if str(path) == str(folder / "gone"):
            raise FileNotFoundError(2, "No such file or directory")
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        score([str(folder)], to)
        again = score([str(folder)], to)
    table = rows_of(to).set_index(rows_of(to)["uri"].str.removeprefix(f"{folder}/"))
    assert table["reason"].fillna("").to_dict() == {
        "a/1.jpg": "",
        "closed": "unreadable_source",
        "z/4.jpg": "",
    }
    assert table.loc["closed", "error"] == f"Cannot list {folder}/closed: Permission denied."
    assert again.total == 0
    score([str(folder)], to)
    names = rows_of(to)["uri"].str.removeprefix(f"{folder}/").tolist()
    assert names == ["a/1.jpg", "closed/2.jpg", "gone/3.jpg", "z/4.jpg"]


def test_tar_and_parquet_files_of_a_bucket(
    bucket: tuple[str, Callable[[], None]], contents: list[bytes], inline: None, tmp_path: Path
) -> None:
    address, _ = bucket
    filesystem, folder = listing.open_filesystem(f"{address}/in")
    write_tar(tmp_path / "in" / "a.tar", contents[:6])
    write_tar(tmp_path / "in" / "b.tar", contents)
    cut(tmp_path / "in" / "b.tar")
    write_cells(tmp_path / "in" / "c.parquet", contents[:16], damaged=8)
    for number in range(4):  # in one batch with what lies in others
        (tmp_path / "in" / f"a{number}.jpg").write_bytes(contents[number])
    for path in (tmp_path / "in").iterdir():
        with filesystem.open_output_stream(f"{folder}/{path.name}") as file:
            file.write(path.read_bytes())
    sources = [str(tmp_path / "in" / "*"), f"{address}/in/*"]
    here = rows_after(sources[0], str(tmp_path / "here"))
    there = rows_after(sources[1], str(tmp_path / "there"))
    there["uri"] = there["uri"].str.replace(f"{address}/in", str(tmp_path / "in"))
    columns = ["uri", "sha256", "action", "reason"]
    pd.testing.assert_frame_equal(there[columns], here[columns])
    assert here["reason"].value_counts()["damaged"] == 8


def rows_after(source: str, to: str) -> pd.DataFrame:
    score([source], to)
    return rows_of(to)


def test_server_is_asked_again_before_a_file_counts_as_damaged(
    tar: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(io.FileIO):
        """Answers every other time."""

        asked = 0

        def readinto(self, buffer: Any) -> int:
            self.asked += 1
            if self.asked % 2:
                self.read(10)
                raise OSError("AWS Error SLOW_DOWN")
            return super().readinto(buffer)

    monkeypatch.setattr(locations.time, "sleep", lambda seconds: None)
    file = io.BufferedReader(locations._Served(Refusing(tar), "s3://there/a.tar"), 512)
    file.seek(BLOCK)
    assert file.read() == tar.read_bytes()[BLOCK:]


class RefusingOnce:
    """A file system whose server answers from the second time on."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self._asked = False

    def _answer(self, method: str, path: str) -> Any:
        if not self._asked:
            self._asked = True
            raise OSError("AWS Error SLOW_DOWN during GetObject operation")
        return getattr(self._real, method)(path)

    def open_input_stream(self, path: str) -> Any:
        return self._answer("open_input_stream", path)

    def open_input_file(self, path: str) -> Any:
        return self._answer("open_input_file", path)

    def get_file_info(self, path: str) -> Any:
        return self._real.get_file_info(path)


@pytest.mark.parametrize("name", ["list.txt", "table.csv"])
def test_server_is_asked_again_for_a_list_or_a_table(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(f"{i}.jpg\n" for i in range(5))
    heading = "path\n" if name == "table.csv" else ""
    (tmp_path / name).write_text(heading + rows)
    real = pa.fs.LocalFileSystem()
    refusing = RefusingOnce(real)
    for module in (listing, containers, locations):
        if hasattr(module, "open_filesystem"):
            monkeypatch.setattr(
                module, "open_filesystem", lambda uri: (refusing, uri.removeprefix("s3://there"))
            )
    monkeypatch.setattr(locations.time, "sleep", lambda seconds: None)
    uri = f"s3://there{tmp_path / name}"
    info = real.get_file_info(str(tmp_path / name))
    items = list(listing._list_file(uri, None, lambda uri: None, info))
    assert len(items) == 5 and not any(item.trouble for item in items)


def test_labels_of_a_table_that_is_refused_once_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("path,label\n" + "".join(f"{i}.jpg,x\n" for i in range(5)))
    refusing = RefusingOnce(pa.fs.LocalFileSystem())
    for module in (containers, locations):
        if hasattr(module, "open_filesystem"):
            monkeypatch.setattr(
                module, "open_filesystem", lambda uri: (refusing, uri.removeprefix("s3://there"))
            )
    monkeypatch.setattr(locations.time, "sleep", lambda seconds: None)
    own = read_own_labels([f"s3://there{tmp_path}/a.csv"])
    assert own is not None and len(own) == 5


@pytest.mark.parametrize(
    "content",
    [
        "\npath,label\n1.jpg,x\n2.jpg,y\n",
        "\tpath\tlabel\n0\t1.jpg\tx\n1\t2.jpg\ty\n",
        "path\tlabel\t\n1.jpg\tx\t\n2.jpg\ty\t\n",
    ],
)
def test_first_line_of_a_table_may_be_blank_or_have_a_cell_without_name(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "table.tsv").write_text(content)
    items = list(list_sources([str(tmp_path / "table.tsv")]))
    assert [Path(item.uri).name for item in items] == ["1.jpg", "2.jpg"]
    assert not any(item.trouble for item in items)


def test_container_that_vanishes_costs_its_rows_until_it_is_back(
    tar: Path, contents: list[bytes], inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tar(tmp_path / "shards" / "b.tar", contents)
    source, to = str(tmp_path / "shards" / "*.tar"), str(tmp_path / "results")
    items = list(list_sources([source]))

    def list_and_take(*arguments: object) -> Iterator[Any]:
        yield from items
        tar.rename(tmp_path / "away")

    with monkeypatch.context() as patch:
        patch.setattr("har_core.scale.scoring.list_sources", list_and_take)
        assert score([source], to).errors == N
    (tmp_path / "away").rename(tar)
    assert set(rows_of(to)["reason"].dropna()) == {"unreadable"}
    again = score([source], to)
    assert (again.total, again.errors) == (N, 0)
