from pathlib import Path

import pytest

from har_core.dataset.files import find_photographs
from har_core.dataset.table import load_dataset, read_table
from har_core.errors import DatasetError
from har_core.scan.scanning import list_rows, scan_dataset


def test_names_are_read_with_one_kind_of_slash_and_without_the_usual_folder(tmp_path):
    csv = tmp_path / "labels.csv"
    csv.write_text("Filename , LABEL,extra\ntrain/one.jpg, running ,1\ntest\\two.jpg,sitting,2\n")
    assert read_table(csv)[0].to_dict("list") == {
        "filename": ["one.jpg", "test/two.jpg"],
        "label": [" running ", "sitting"],
        "extra": ["1", "2"],
    }


def test_missing_photographs_have_no_path(tiny_dataset):
    (tiny_dataset / "train" / "running_0.jpg").unlink()
    table = load_dataset(tiny_dataset).set_index("filename")
    assert table.loc["running_0.jpg", "path"] is None
    assert table.loc["running_1.jpg", "path"].endswith("running_1.jpg")


def test_paths_out_of_the_folder_are_never_resolved(tiny_dataset, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    (tiny_dataset / "train" / "link.jpg").symlink_to(secret)
    (tiny_dataset / "train.csv").write_text(
        "filename,label\n../../secret.jpg,a\n/etc/passwd,b\nlink.jpg,c\nrunning_1.jpg,d\n"
    )
    paths = load_dataset(tiny_dataset)["path"]
    assert paths.isna().tolist() == [True, True, True, False]


def test_an_absolute_name_is_no_photograph_of_a_folder_of_that_name(tiny_dataset, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(b"x")
    inside = (
        tiny_dataset / tmp_path.parts[1] / "a.jpg"
    )  # its folder is called as one of the system's
    inside.parent.mkdir()
    inside.write_bytes(b"x")
    names = [str(secret), f"/{inside.parent.name}/a.jpg", f"{inside.parent.name}/a.jpg"]
    assert find_photographs(tiny_dataset, names) == [None, None, str(inside)]


def test_missing_folder_and_table_are_said(tmp_path):
    with pytest.raises(DatasetError, match="no dataset folder"):
        load_dataset(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no dataset folder"):
        load_dataset("~nobody-of-that-name/DataSet")
    with pytest.raises(DatasetError, match="filename,label"):
        load_dataset(tmp_path)
    table = tmp_path / "train.csv"
    table.touch()
    with pytest.raises(DatasetError, match=f"name the folder that it is in: {tmp_path}"):
        load_dataset(table)


@pytest.mark.parametrize("name", ["a" * 300, "nul\0character"])
@pytest.mark.parametrize("read", [load_dataset, list_rows, scan_dataset])
def test_folder_that_cannot_even_be_looked_for_is_said(tmp_path, name, read):
    with pytest.raises(DatasetError, match="no dataset folder"):
        read(tmp_path / name)


def test_folder_behind_a_closed_one_is_said(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(DatasetError, match="Permission denied"):
        list_rows(tmp_path / "closed" / "DataSet")


def test_rows_longer_than_the_header_are_refused_instead_of_shifted(tmp_path):
    csv = tmp_path / "labels.csv"
    csv.write_text("filename,label\na.jpg,run,\nb.jpg,sit,\n")
    with pytest.raises(DatasetError, match="line 2 has 3 cells, the lines before have 2"):
        read_table(csv)


def test_nameless_columns_are_left_out(tmp_path):
    csv = tmp_path / "labels.csv"
    csv.write_text("filename,label,,\na.jpg,run,,\nb.jpg\n")
    assert read_table(csv)[0].to_dict("list") == {
        "filename": ["a.jpg", "b.jpg"],
        "label": ["run", ""],
    }


@pytest.mark.parametrize(
    ("header", "column"),
    [("filename,label, Label", "label"), ("filename,label,split,Split", "split")],
)
def test_column_that_comes_twice_is_refused(tmp_path, header, column):
    csv = tmp_path / "labels.csv"
    csv.write_text(f"{header}\n{','.join(['train'] * (header.count(',') + 1))}\n")
    with pytest.raises(DatasetError, match=f"more than one column {column};"):
        read_table(csv)


def test_binary_table_is_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"\xff\xfe\x00\x81" * 50)
    with pytest.raises(DatasetError, match="cannot be read as a table: it is no text"):
        read_table(tmp_path / "train.csv")
