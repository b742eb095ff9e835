"""Photographs inside Parquet become files, with the names of their classes and their splits."""

import errno
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from har_core.dataset import embedded
from har_core.dataset.embedded import tables_with_photographs, unpack_photographs
from har_core.dataset.table import load_dataset, open_dataset
from har_core.dataset.zipped import unpack_dataset
from har_core.errors import DatasetError
from tests.command_line import har
from tests.drawing import CLASS_NAMES, draw_photo, encode, photo_bytes
from tests.har_core.dataset.test_zipped import zipped

RUNNING, SITTING = CLASS_NAMES.index("running"), CLASS_NAMES.index("sitting")


def table(pictures: list, labels: list, **columns: list) -> bytes:
    """Write a table as the library ``datasets`` does: pictures as records, classes as numbers."""
    image = pa.array(pictures, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    features = {
        "image": {"_type": "Image"},
        "label": {"names": list(CLASS_NAMES), "_type": "ClassLabel"},
    }
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    found = pa.table({"image": image, "label": labels, **columns}).replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    pq.write_table(found, buffer)
    return buffer.getvalue()


@pytest.fixture
def tables() -> dict[str, bytes]:
    png = encode(draw_photo("sitting"), "PNG")
    train = table(
        [
            {"bytes": photo_bytes("running", 1), "path": "run.jpg"},
            {"bytes": photo_bytes("running", 2), "path": "../../run.jpg"},
            {"bytes": png, "path": None},
            {"bytes": None, "path": "lost.jpg"},
        ],
        [RUNNING, RUNNING, SITTING, RUNNING],
        place=["park", "street", "sofa", "park"],
    )
    test = table([{"bytes": photo_bytes("running", 3), "path": "run.jpg"}], [-1])
    return {
        "data/train-00000-of-00001.parquet": train,
        "data/test-00000-of-00001.parquet": test,
    }


@pytest.fixture
def folder(tables: dict[str, bytes], tmp_path: Path) -> Path:
    (tmp_path / "hub" / "data").mkdir(parents=True)
    for name, content in tables.items():
        (tmp_path / "hub" / name).write_bytes(content)
    return tmp_path / "hub"


def check(root: Path) -> None:
    rows = load_dataset(root)
    assert rows["filename"].tolist() == [
        "test/run.jpg",
        "run.jpg",
        "000002_run.jpg",
        "000003.png",
        "lost.jpg",
    ]
    assert rows["label"].tolist() == ["", "running", "running", "sitting", "running"]
    assert rows["path"].isna().tolist() == [False, False, False, False, True]
    assert Path(rows["path"][1]).read_bytes() == photo_bytes("running", 1)
    assert open_dataset(root).records["place"].tolist()[1:3] == ["park", "street"]


def test_command_writes_the_photographs_as_a_dataset(folder: Path, tmp_path: Path) -> None:
    ended = har("unpack", folder, "--output", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr
    assert "5 rows" in ended.stderr
    check(tmp_path / "out")
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o755
    assert har("unpack", folder, "--output", tmp_path / "out").returncode == 2
    assert sorted(p.name for p in tmp_path.iterdir() if "out" in p.name) == ["out"]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "out: No space left on device."),
        (KeyboardInterrupt(), "Interrupted; nothing is written."),
    ],
)
def test_what_ends_unpacking_is_said_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: BaseException, said: str
) -> None:
    def write(path: Path, content: bytes) -> None:
        raise problem

    monkeypatch.setattr(Path, "write_bytes", write)
    ended = har("unpack", folder, "--output", tmp_path / "out")
    assert ended.returncode == 2 and said in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hub"]


def test_zip_with_photographs_inside_parquet_is_a_dataset(
    tables: dict[str, bytes], tmp_path: Path
) -> None:
    check(unpack_dataset(zipped(tables), tmp_path))
    assert not list(tmp_path.rglob("*.parquet"))


def test_zip_with_a_parquet_table_beside_its_photographs_is_a_dataset(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"filename": ["a.jpg"], "label": ["running"]}), buffer)
    archive = zipped({"labels.parquet": buffer.getvalue(), "train/a.jpg": photo_bytes()})
    rows = load_dataset(unpack_dataset(archive, tmp_path))
    assert rows["label"].tolist() == ["running"] and rows["path"].notna().all()


def test_folder_of_such_tables_says_the_command(folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"inside 2 tables .*har unpack .*hub --output"):
        open_dataset(folder)


def test_bytes_without_a_record_and_unnamed_classes_are_read(tmp_path: Path) -> None:
    content = pa.table({"picture": [photo_bytes()], "class": [4], "boxes": [[1, 2]]})
    pq.write_table(content, tmp_path / "all.parquet")
    unpack_photographs(tables_with_photographs(tmp_path), tmp_path)
    rows = load_dataset(tmp_path)
    assert rows["filename"].tolist() == ["000000.jpg"] and rows["label"].tolist() == ["4"]


def test_no_photograph_is_written_over_another(tmp_path: Path) -> None:
    pictures = [photo_bytes("running"), photo_bytes("sitting"), photo_bytes("clapping")]
    names = ["000002_a.jpg", "a.jpg", "a.jpg"]
    records = [{"bytes": data, "path": name} for data, name in zip(pictures, names, strict=True)]
    (tmp_path / "a.parquet").write_bytes(table(records, [RUNNING, SITTING, RUNNING]))
    (tmp_path / "new").mkdir()
    unpack_photographs([tmp_path / "a.parquet"], tmp_path / "new")
    paths = load_dataset(tmp_path / "new")["path"]
    assert [Path(path).read_bytes() for path in paths] == pictures


def test_names_in_a_column_of_their_own_are_those_of_the_files(tmp_path: Path) -> None:
    pictures = [{"bytes": photo_bytes(label), "path": None} for label in ("running", "sitting")]
    content = table(pictures, [RUNNING, SITTING], Filename=["a.jpg", "b.jpg"])
    rows = load_dataset(unpack_dataset(zipped({"train.parquet": content}), tmp_path))
    assert rows["filename"].tolist() == ["a.jpg", "b.jpg"] and rows["path"].notna().all()


@pytest.mark.parametrize("labelled_by", ["table", "folders"])
def test_bytes_that_are_no_photographs_change_nothing(labelled_by: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"features": [b"\xff\x01"]}), buffer)
    labels = {"train.csv": b"filename,label\nrunning/1.jpg,running\nsitting/1.jpg,sitting\n"}
    photographs = {f"{label}/1.jpg": photo_bytes(label) for label in ("running", "sitting")}
    entries = {**photographs, **(labels if labelled_by == "table" else {})}
    archive = zipped({**entries, "features.parquet": buffer.getvalue()})
    rows = load_dataset(unpack_dataset(archive, tmp_path))
    assert rows["label"].tolist() == ["running", "sitting"] and rows["path"].notna().all()


def bomb(*, n_rows: int, picture: bytes = b"", text: str = "") -> dict[str, bytes]:
    """Return a ZIP's entry of a few hundred bytes: a table that repeats one picture and text."""

    def repeated(value: bytes | str) -> pa.Array:
        rows = pa.array(np.zeros(n_rows, np.int32), mask=np.full(n_rows, not value))
        return pa.DictionaryArray.from_arrays(rows, pa.array([value]))

    columns = {"image": repeated(picture), "label": repeated(text)}
    buffer = io.BytesIO()
    pq.write_table(
        pa.table(columns),
        buffer,
        compression="zstd",
        dictionary_pagesize_limit=2**30,
        store_schema=False,
    )
    return {"train.parquet": buffer.getvalue()}


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        (lambda: bomb(n_rows=2_000), "more than 1,000 photographs"),
        (lambda: bomb(n_rows=30, picture=photo_bytes(), text="x" * 2**20), "20 MB of text"),
        (lambda: bomb(n_rows=1, picture=bytes(19 * 2**20)), "more than is allowed"),
    ],
    ids=["rows", "text", "one picture"],
)
def test_a_table_that_unpacks_to_gigabytes_is_refused(
    entries: Callable[[], dict[str, bytes]],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedded, "_PACKED_TOGETHER", 2**24)
    archive = zipped(entries())
    assert len(archive.getvalue()) < 30_000
    with pytest.raises(DatasetError, match=reason):
        unpack_dataset(archive, tmp_path, max_entries=1_000)


def test_a_picture_that_comes_in_every_row_is_not_held_as_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_BYTES_AT_ONCE", 2**22)
    (tmp_path / "out").mkdir()
    for name, content in bomb(n_rows=64, picture=bytes(2**20)).items():
        (tmp_path / name).write_bytes(content)
    before = pa.total_allocated_bytes()
    most = []
    unpack_photographs(
        [tmp_path / "train.parquet"],
        tmp_path / "out",
        progress=lambda *step: most.append(pa.total_allocated_bytes() - before),
    )
    assert len(most) == 64 and max(most) < 16 * 2**20


def test_what_is_too_large_damaged_or_no_table_is_said(folder: Path, tmp_path: Path) -> None:
    tables = tables_with_photographs(folder)
    (tmp_path / "small").mkdir()
    with pytest.raises(DatasetError, match="larger than allowed"):
        unpack_photographs(tables, tmp_path / "small", max_bytes=1000)
    tables[0].write_bytes(tables[0].read_bytes()[:-100])
    damaged = har("unpack", folder, "--output", tmp_path / "out")
    assert damaged.returncode == 2 and "test-00000-of-00001.parquet cannot be" in damaged.stderr
    nothing = har("unpack", tmp_path / "small", "--output", tmp_path / "out")
    assert nothing.returncode == 2 and "holds photographs" in nothing.stderr
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".unpacking-*"))
