"""Tables are read as programs write them: delimiters, encodings, Parquet, JSON lines."""

import gzip
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from har_core.dataset import cells as dataset_cells
from har_core.dataset.cells import read_cells, read_headings
from har_core.dataset.columns import choose_columns, parse_columns
from har_core.dataset.table import open_dataset, read_table
from har_core.errors import DatasetError

ROWS = [("a.jpg", "dançando"), ("b.jpg", "sitting, reading")]


def cells(data: bytes) -> tuple[list[str], list[list[str]], str]:
    read = read_cells(io.BytesIO(data), "x")
    return read.headings, read.values.to_numpy().tolist(), read.note


def written(delimiter: str) -> str:
    rows = [("filename", "label"), *ROWS]
    quoted = [[f'"{c}"' if delimiter in c else c for c in row] for row in rows]
    return "\r\n".join(delimiter.join(row) for row in quoted)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be-bom", "cp1252"])
def test_every_dialect_gives_the_same_cells(delimiter: str, encoding: str) -> None:
    text = written(delimiter)
    data = b"\xfe\xff" + text.encode("utf-16-be") if "bom" in encoding else text.encode(encoding)
    headings, values, note = cells(data)
    assert headings == ["filename", "label"]
    assert values == [list(row) for row in ROWS]
    assert ("Windows-1252" in note) == (encoding == "cp1252")


def test_line_breaks_of_old_macs_and_a_second_byte_order_mark_are_read() -> None:
    assert cells(b"filename,label\ra.jpg,x\rb.jpg,y")[1] == [["a.jpg", "x"], ["b.jpg", "y"]]
    assert cells(b"\xef\xbb\xbf" * 2 + b"filename,label\na.jpg,x\n")[0] == ["filename", "label"]


def test_line_that_names_the_delimiter_is_none_of_the_table() -> None:
    assert cells(b"sep=;\nfilename;label\na,b.jpg;x\n")[1] == [["a,b.jpg", "x"]]


def test_rows_of_delimiters_alone_are_left_out() -> None:
    assert cells(b"filename;label\na.jpg;x\n;\n;\n")[1] == [["a.jpg", "x"]]
    assert cells(b";\n;\nfilename;label\na.jpg;x\n")[:2] == (
        ["filename", "label"],
        [["a.jpg", "x"]],
    )
    with pytest.raises(DatasetError, match="it is empty"):
        cells(b";\n;\n")


@pytest.mark.parametrize(
    "data",
    [
        b'filename, label\na.jpg, "x, y"\n',
        b'"filename,label"\n"a.jpg,""x, y"""\n',  # a table that a spreadsheet took for one column
        b"filename;label\na.jpg;x, y\n\x1a",
    ],
)
def test_quirks_of_programs_are_no_part_of_the_cells(tmp_path: Path, data: bytes) -> None:
    assert cells(data)[:2] == (["filename", "label"], [["a.jpg", "x, y"]])
    (tmp_path / "t.csv").write_bytes(data)
    assert read_headings(tmp_path / "t.csv") == ["filename", "label"]


def test_a_heading_of_two_lines_is_read(tmp_path: Path) -> None:
    data = b'"file\nname"\na.jpg\n'
    assert cells(data)[:2] == (["file\nname"], [["a.jpg"]])


def test_the_delimiter_is_the_one_that_makes_known_headings() -> None:
    data = b"filename;label;size (w, h, d, n)\na.jpg;x;1\n"
    assert cells(data)[0] == ["filename", "label", "size (w, h, d, n)"]


@pytest.mark.parametrize(
    "data",
    [
        {"filename": {"0": "a.jpg"}, "label": {"0": "x"}},  # as pandas writes it if not told
        {"columns": ["filename", "label"], "data": [["a.jpg", "x"]]},
        {"images": [{"file_name": "a.jpg"}], "annotations": []},
    ],
)
def test_an_object_of_columns_is_no_photograph(data: dict[str, object]) -> None:
    with pytest.raises(DatasetError, match="line 1 holds lists or objects only; write a list with"):
        cells(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("headings", "found"),
    [
        (["ImagePath", "ClassName"], (0, 1)),
        (["Class Label", "Image File"], (1, 0)),
        (["imagepath", "image_name", "label"], (1, 2)),  # words apart before joined
        (["file", "classname", "class_label", "category", "target"], (0, 1)),
    ],
)
def test_headings_may_be_written_without_spaces(headings: list[str], found: tuple[int]) -> None:
    columns = choose_columns(headings, "t.csv")
    assert (columns.filename, columns.label) == found


def test_numbers_whose_names_are_beside_them_are_said(tiny_dataset: Path) -> None:
    table = pd.read_csv(tiny_dataset / "train.csv")
    named = table.assign(label=table["label"].factorize()[0], label_name=table["label"])
    named.to_csv(tiny_dataset / "train.csv", index=False)
    assert open_dataset(tiny_dataset).notes == (
        "train.csv: its labels are numbers, which 'label_name' has names for (--columns label=… "
        "names it).",
    )
    named.drop(columns="label_name").assign(size=range(len(named))).to_csv(
        tiny_dataset / "train.csv", index=False
    )
    assert open_dataset(tiny_dataset).notes == ()


def test_parquet_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "train.csv"
    frame = pd.DataFrame({"file_name": ["1.jpg", "2.jpg"], "label": pd.Categorical(["a", None])})
    frame.assign(fold=[1, 2], boxes=[[1], [2, 3]]).to_parquet(path)
    read = read_cells(path, "train.csv")
    assert read.headings == ["file_name", "label", "fold"]
    assert read.values.to_numpy().tolist() == [["1.jpg", "a", "1"], ["2.jpg", "", "2"]]
    assert "boxes" in read.note
    assert read_headings(path) == ["file_name", "label", "fold"]


def test_a_text_that_comes_in_every_row_of_parquet_is_not_held_as_often() -> None:
    rows = pa.array(np.zeros(1_100, np.int32))
    text = pa.DictionaryArray.from_arrays(rows, pa.array(["x" * 2**20]))
    buffer = io.BytesIO()
    pq.write_table(pa.table({"filename": rows, "label": text}), buffer, store_schema=False)
    before = pa.total_allocated_bytes()
    read = read_cells(buffer, "x")
    assert read.headings == ["filename"] and "label" in read.note and len(read.values) == 1_100
    assert pa.total_allocated_bytes() - before < 2**26


def test_different_texts_that_are_packed_very_well_are_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dataset_cells, "_MOST_TEXT", 2**20)
    texts = [f"{number}{'x' * 2**14}" for number in range(100)]
    buffer = io.BytesIO()
    pq.write_table(pa.table({"filename": range(100), "label": texts}), buffer, row_group_size=20)
    unpacked: list[str] = []
    read = pq.ParquetFile.read

    def recorded(file: pq.ParquetFile, columns: list[str]) -> pa.Table:
        unpacked.extend(columns)
        return read(file, columns)

    monkeypatch.setattr(pq.ParquetFile, "read", recorded)
    found = read_cells(buffer, "x")
    assert unpacked == found.headings == ["filename"] and "label" in found.note


def test_objects_with_hardly_a_heading_in_common_are_refused_at_once() -> None:
    data = b"".join(b'{"%d.jpg": "running"}\n' % n for n in range(6_000))
    with pytest.raises(DatasetError, match="6,000 rows and 6,000 columns"):
        cells(data)


def test_thousands_of_headings_are_told_apart_at_once() -> None:
    headings = [f"feature {n}" for n in range(60_000)]
    began = time.monotonic()
    with pytest.raises(DatasetError, match="lacks the columns"):
        choose_columns(headings, "x")
    assert time.monotonic() - began < 10


def test_line_separators_within_a_json_text_end_no_line() -> None:
    assert cells('{"file": "1.png", "label": "a\u2028b"}\n'.encode())[1] == [["1.png", "a\u2028b"]]


@pytest.mark.parametrize(
    "rows",
    ["a.jpg,running\nb.jpg,sitting,reading\n", 'a.jpg,"' + "of\nmany lines, " * 10_000 + '"\n'],
    ids=["a line too long", "a cell that goes on"],
)
def test_a_table_of_photographs_is_known_by_its_headings(rows: str, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(f"filename,label\n{rows}")
    assert read_headings(table) == ["filename", "label"]


def test_a_letter_is_no_table(tmp_path: Path) -> None:
    letter = tmp_path / "README.txt"
    letter.write_text("Dear reader, thank you\nfor all, that, you read.\n")
    assert read_headings(letter) is None


def test_a_json_list_is_read() -> None:
    data = b'[\n {"file_name": "1.png", "label": "a"},\n {"file_name": "2.png", "label": "b"}]'
    assert cells(data)[:2] == (["file_name", "label"], [["1.png", "a"], ["2.png", "b"]])


def test_labels_that_may_not_be_meant_are_said(tiny_dataset: Path) -> None:
    table = tiny_dataset / "train.csv"
    table.write_text(table.read_text().replace("running_0.jpg,running", "running_0.jpg,NaN"))
    assert open_dataset(tiny_dataset).notes == (
        "train.csv: 1 row has the label 'NaN', as programs write a missing one; leave the cell "
        "empty if there is none.",
    )
    table.write_text("filename,running,sitting\nrunning_0.jpg,yes,no\n")
    assert open_dataset(tiny_dataset).notes == (
        "train.csv: none of its columns running, sitting is read as label (--columns label=… "
        "names one).",
    )
    table.write_text("filename, running, sitting\nrunning_0.jpg, 1, 0\n")
    assert open_dataset(tiny_dataset).notes == (
        "train.csv: its columns running, sitting hold 0 or 1, as one for each class would; write "
        "the classes' names into one column label.",
    )


def test_json_lines_are_read() -> None:
    data = (
        b'{"file_name": "1.png", "label": "a"}\n\n{"file_name": "2.png", "n": 3, "label": null}\n'
    )
    assert cells(data)[:2] == (
        ["file_name", "label", "n"],
        [["1.png", "a", ""], ["2.png", "", "3"]],
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"file_name": "1.png"}\n[1]\n', "line 2 is no JSON object"),
        (b'{"file_name": 1\n', "line 1 is no JSON"),
        (b'{"a":' + b"[" * 100_000, "line 1 is nested too deeply"),
        (b"PAR1 and nothing else", "cannot be read as Parquet"),
        (b"PK\3\4...", "save the table as CSV"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is a picture (PNG)"),
        (b"\xff\xfea", "cannot be read as a table"),
        (b"", "it is empty"),
        (b"a,b\x1b[31m\nc,d\n", "line 1 holds a control character (0x1b)"),
        (b"a,b\nc,d,e\n", "line 2 has 3 cells, the lines before have 2; put quotation marks"),
        (b'a,b\nc,"d\ne,f\n', "the quotation mark that line 2 opens is never closed"),
        (b"<!doctype html><html>", "is a web page (HTML), not a table"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer, not a"),
        (gzip.compress(b"a,b", mtime=0), "it is a gzip archive"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "it is a picture (JPEG)"),
        (b'[{"a": 1}, 2]', "entry 2 is no JSON object"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(DatasetError, match=re.escape(reason)) as error:
        cells(data)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    "head", ["filename", "file", "Image", "PATH", "img", "id", "File Name", "image-id"]
)
@pytest.mark.parametrize("label", ["label", "class", "Category", "target", "ACTION"])
def test_usual_headings_are_understood_and_said(head: str, label: str) -> None:
    columns = choose_columns(["split", head, label], "t.csv")
    assert (columns.filename, columns.label) == (1, 2)
    assert ("is read as filename" in columns.note) == (head != "filename")
    assert ("is read as label" in columns.note) == (label != "label")


def test_the_plain_heading_wins_over_other_usual_ones() -> None:
    columns = choose_columns(["id", "path", "class", "filename", "label"], "t.csv")
    assert (columns.filename, columns.label, columns.note) == (3, 4, "")


def test_columns_can_be_chosen() -> None:
    chosen = parse_columns("filename=Where, label=Sort")
    columns = choose_columns(["filename", "label", "where", "Sort"], "t.csv", chosen)
    assert (columns.filename, columns.label) == (2, 3)
    with pytest.raises(DatasetError, match=r"t\.csv has no column 'Where'; it has filename, label"):
        choose_columns(["filename", "label"], "t.csv", chosen)
    for wrong in ("filename", "file=x", "filename=a,filename=b", "label="):
        with pytest.raises(DatasetError, match="filename=HEADING,label=HEADING"):
            parse_columns(wrong)
    with pytest.raises(DatasetError, match="cannot hold both"):
        choose_columns(["x", "label"], "t.csv", {"filename": "x", "label": "x"})


def test_chosen_columns_reach_the_rows(tiny_dataset: Path) -> None:
    text = (tiny_dataset / "train.csv").read_text().replace("filename,label", "what,sort")
    (tiny_dataset / "train.csv").write_text(text)
    with pytest.raises(DatasetError, match="--columns filename=HEADING,label=HEADING"):
        open_dataset(tiny_dataset)
    dataset = open_dataset(tiny_dataset, columns={"filename": "what", "label": "sort"})
    assert dataset.rows["path"].notna().all()
    assert dataset.rows["label"].nunique() == 3
    assert dataset.columns == {"filename": "what", "label": "sort"}


def test_other_headings_are_renamed_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Image;Class;Fold\na.jpg;x;1\n")
    table, columns = read_table(tmp_path / "t.csv")
    assert table.to_dict("list") == {"filename": ["a.jpg"], "label": ["x"], "Fold": ["1"]}
    assert columns == {"filename": "Image", "label": "Class"}
