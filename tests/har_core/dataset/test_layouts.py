"""The layouts that people have: other tables, class folders, ImageFolder, links."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from har_core.dataset.decisions import labels_csv
from har_core.dataset.files import find_photographs
from har_core.dataset.layouts import is_label_table
from har_core.dataset.table import load_dataset, open_dataset
from har_core.errors import DatasetError, NoTableError, UnclearTableError
from tests.drawing import CLASS_NAMES, photo_bytes

VEHICLES = ("bus", "train")


def write_photos(root: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo_bytes(seed=seed))


def test_the_layout_of_kaggle_is_read(tiny_dataset: Path) -> None:
    (tiny_dataset / "train.csv").rename(tiny_dataset / "Training_set.csv")
    (tiny_dataset / "Testing_set.csv").write_text("filename\nImage_1.jpg\n")
    write_photos(tiny_dataset, ["test/Image_1.jpg"])
    dataset = open_dataset(tiny_dataset)
    assert dataset.tables == (tiny_dataset / "Training_set.csv",)
    assert dataset.notes == ("Using Training_set.csv; there is no train.csv.",)
    assert dataset.rows["path"].notna().all()
    assert dataset.unlisted == {}  # test/ is none of this table's folders


def test_a_table_without_labels_is_opened_but_not_loaded(tiny_dataset: Path) -> None:
    (tiny_dataset / "train.csv").rename(tiny_dataset / "Training_set.csv")
    (tiny_dataset / "Testing_set.csv").write_text("filename\nsitting_0.jpg\nImage_1.jpg\n")
    write_photos(tiny_dataset, ["test/Image_1.jpg", "test/sitting_0.jpg"])
    table = tiny_dataset / "Testing_set.csv"
    dataset = open_dataset(tiny_dataset, table)
    assert not dataset.labelled
    assert [Path(path).parent.name for path in dataset.rows["path"]] == ["test", "test"]
    assert list(dataset.rows["filename"]) == ["test/sitting_0.jpg", "test/Image_1.jpg"]
    with pytest.raises(DatasetError, match=r"Testing_set\.csv lacks the column label"):
        load_dataset(tiny_dataset, table)


def test_several_tables_that_fit_are_named(tiny_dataset: Path) -> None:
    content = (tiny_dataset / "train.csv").read_text()
    (tiny_dataset / "better.tsv").write_text(content.replace(",", "\t"))
    assert open_dataset(tiny_dataset).notes == (
        "Using train.csv; better.tsv would fit, too (--table).",
    )
    (tiny_dataset / "train.csv").rename(tiny_dataset / "labels.csv")
    with pytest.raises(DatasetError, match=r"better\.tsv, labels\.csv\. Say which one, --table"):
        open_dataset(tiny_dataset)
    assert len(open_dataset(tiny_dataset, tiny_dataset / "labels.csv").rows) == 12


@pytest.mark.parametrize(
    ("table", "photographs"),
    [
        ("annotations/labels.csv", "images"),
        ("train/labels.csv", "train"),
        ("DataSet/Training_set.csv", "DataSet/train"),  # as it unpacks, into a folder of its own
    ],
)
def test_the_only_table_further_down_is_found(tmp_path: Path, table: str, photographs: str) -> None:
    other = "DataSet/test/1.jpg" if table.startswith("DataSet") else "test/3.jpg"
    write_photos(tmp_path, [f"{photographs}/1.jpg", f"{photographs}/2.jpg", other])
    (tmp_path / table).parent.mkdir(exist_ok=True)
    (tmp_path / table).write_text("filename,label\n1.jpg,a\n2.jpg,b\n")
    (tmp_path / "README.txt").write_text("About these photographs.\nThey are drawn.\n")
    (tmp_path / photographs / "classes.csv").write_text("number,name\n0,a\n1,b\n")
    dataset = open_dataset(tmp_path)
    paths = [str(tmp_path / photographs / name) for name in ("1.jpg", "2.jpg")]
    assert list(dataset.rows["path"]) == paths
    assert dataset.notes == (f"Using {table}; there is no train.csv.",)


def test_several_tables_further_down_are_named_and_those_without_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/1.jpg"])
    (tmp_path / "train" / "_classes.csv").write_text("filename, a, b\n1.jpg, 1, 0\n")
    with pytest.raises(NoTableError, match=r"to hold the labels of train/_classes\.csv\. There"):
        open_dataset(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / "train" / name).write_text("filename,label\n1.jpg,a\n")
    with pytest.raises(UnclearTableError, match=r"--table train/a\.csv") as error:
        open_dataset(tmp_path)
    assert error.value.tables == ("train/a.csv", "train/b.csv")
    assert open_dataset(tmp_path, "train/b.csv").rows["path"].notna().all()


@pytest.mark.parametrize("name", ["labels.xlsx", "train.csv.gz"])
def test_tables_that_are_not_read_are_named(tmp_path: Path, name: str) -> None:
    write_photos(tmp_path, ["train/1.jpg"])
    (tmp_path / name).write_bytes(b"PK\3\4")
    with pytest.raises(DatasetError, match=rf"Not read: {name}; save the table as CSV\."):
        open_dataset(tmp_path)


def test_a_list_in_json_is_found(tmp_path: Path) -> None:
    names = [f"{n:04}.jpg" for n in range(3_000)]  # more than is read for its headings
    write_photos(tmp_path, [f"train/{name}" for name in names[:2]])
    rows = [{"filename": name, "label": "a", "note": "of a long text"} for name in names]
    (tmp_path / "labels.json").write_text(json.dumps(rows))
    (tmp_path / "classes.json").write_text('{"0": "a"}')
    (tmp_path / "0000.json").write_text('{"imagePath": "0000.jpg", "label": "a"}')
    assert open_dataset(tmp_path).tables == (tmp_path / "labels.json",)


def test_json_counts_as_a_table_only_where_nothing_else_has_the_labels(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/a/1.jpg", "train/b/2.jpg"])
    rows = json.dumps([{"image": "1.jpg", "label": "c"}])
    for name in ("metadata.json", "labels.json", "train/metadata.json"):
        (tmp_path / name).write_text(rows)
    assert list(open_dataset(tmp_path).rows["label"]) == ["a", "b"]
    (tmp_path / "labels.csv").write_text("image,label\n1.jpg,d\n")
    assert open_dataset(tmp_path).tables == (tmp_path / "labels.csv",)


@pytest.mark.parametrize("other", ["image_train", "imgs_train"])
def test_photographs_are_looked_for_in_the_plainest_folder(tiny_dataset: Path, other: str) -> None:
    shutil.copytree(tiny_dataset / "train", tiny_dataset / other)
    paths = open_dataset(tiny_dataset).rows["path"]
    assert {Path(path).parent for path in paths} == {tiny_dataset / "train"}


def test_a_table_without_headings_is_told_to_need_them(tmp_path: Path) -> None:
    """A photograph taken for a heading would be lost."""
    write_photos(tmp_path, ["train/1.jpg", "train/2.jpg"])
    (tmp_path / "labels.csv").write_text("1.jpg;a\n2.jpg;b\n")
    said = r"labels\.csv begins with 1\.jpg, not with headings; put the line filename,label above"
    with pytest.raises(DatasetError, match=said) as error:
        open_dataset(tmp_path)
    assert not isinstance(error.value, UnclearTableError)
    chosen = {"filename": "1.jpg", "label": "a"}
    with pytest.raises(DatasetError, match=said):
        open_dataset(tmp_path, "labels.csv", columns=chosen)


def test_the_only_table_with_the_columns_that_are_named_is_found(tiny_dataset: Path) -> None:
    text = (tiny_dataset / "train.csv").read_text().replace("filename,label", "Datei,Etikett")
    (tiny_dataset / "train.csv").rename(tiny_dataset / "Etiketten.csv")
    (tiny_dataset / "Etiketten.csv").write_text(text)
    (tiny_dataset / "notes.csv").write_text("Datum,Text\n1,2\n")
    chosen = {"filename": "Datei", "label": "Etikett"}
    assert len(open_dataset(tiny_dataset, columns=chosen).rows) == 12
    says = (
        r"of Etiketten\.csv \(Datei, Etikett\), notes\.csv \(Datum, Text\); say which one does: --t"
    )
    with pytest.raises(DatasetError, match=says):
        open_dataset(tiny_dataset)


def test_results_of_the_program_are_no_tables_of_labels(tiny_dataset: Path) -> None:
    (tiny_dataset / "train.csv").rename(tiny_dataset / "labels.csv")
    (tiny_dataset / "findings.csv").write_text("filename,label,is_unreadable_issue\na,b,False\n")
    (tiny_dataset / "p.csv").write_text("filename,label,prediction,confidence\na,b,b,0.5\n")
    (tiny_dataset / "decisions.csv").write_text("filename,label,decision,new_label\na,b,exclude,\n")
    (tiny_dataset / "actions.csv").write_text("file,action_1,confidence_1,error\na,b,0.5,\n")
    assert not is_label_table(tiny_dataset / "actions.csv")  # and may be written again
    failed, found = {"filename": "a", "error": "b"}, {"filename": "c", "action": "d"}
    for name, rows in (("failed", [failed]), ("both", [failed, found | {"all_predictions": {}}])):
        (tiny_dataset / f"{name}.json").write_text(json.dumps(rows))
        assert not is_label_table(tiny_dataset / f"{name}.json")
    assert open_dataset(tiny_dataset).tables == (tiny_dataset / "labels.csv",)


@pytest.mark.parametrize("outer", ["", "images/", "train/"])
def test_class_folders_are_labels(tmp_path: Path, outer: str) -> None:
    write_photos(tmp_path, [f"{outer}{label}/{n}.jpg" for label in CLASS_NAMES for n in range(2)])
    dataset = open_dataset(tmp_path)
    assert dataset.rows["label"].value_counts().to_dict() == dict.fromkeys(CLASS_NAMES, 2)
    assert dataset.rows["filename"].is_unique
    assert "split" not in dataset.rows
    assert dataset.notes == ("There is no train.csv: the labels are the names of 3 folders.",)
    (tmp_path / "sizes.csv").write_text(f"filename,width\n{dataset.rows['filename'][0]},8\n")
    (tmp_path / outer / CLASS_NAMES[0]).rename(tmp_path / outer / f"{CLASS_NAMES[0]} ")
    assert open_dataset(tmp_path).rows["label"].tolist() == dataset.rows["label"].tolist()


def test_splits_above_class_folders_are_used(tmp_path: Path) -> None:
    names = [f"{split}/{label}/1.jpg" for split in ("train", "val", "test") for label in "ab"]
    write_photos(tmp_path, [*names, "train/loose.jpg", "other/c/1.jpg"])
    (tmp_path / "train" / "a" / "._1.jpg").write_bytes(b"junk")
    rows = open_dataset(tmp_path).rows.set_index("filename")
    assert rows["split"].to_dict() == {
        name: {"val": "validation"}.get(name.split("/")[0], name.split("/")[0]) for name in names
    }
    assert rows.loc["val/b/1.jpg", "label"] == "b"
    assert "2 photographs in no such folder are passed over" in open_dataset(tmp_path).notes[0]


@pytest.mark.parametrize(
    ("training", "test"),
    [
        ("training_set", "test_set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train2017", "testing-images"),
        ("train/images", "valid/images"),
    ],
)
def test_splits_are_known_by_what_people_call_their_folders(
    tmp_path: Path, training: str, test: str
) -> None:
    write_photos(tmp_path, [f"{part}/{label}/1.jpg" for part in (training, test) for label in "ab"])
    rows = open_dataset(tmp_path).rows
    assert list(rows["label"]) == ["a", "b", "a", "b"]
    assert set(rows["split"]) == {"train", "validation" if "valid" in test else "test"}


@pytest.mark.parametrize(
    "folders", [("train/images", "valid/images"), ("train2017", "val2017"), ("images/train",)]
)
def test_folders_of_nothing_but_photographs_are_no_classes(
    tmp_path: Path, folders: tuple[str, ...]
) -> None:
    write_photos(tmp_path, [f"{folder}/{n}.jpg" for folder in folders for n in range(2)])
    with pytest.raises(DatasetError, match=r"There is no .*train\.csv"):
        open_dataset(tmp_path)


def test_photographs_of_a_split_without_classes_make_no_split(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/images/a/0.jpg", "train/images/b/0.jpg", "test/images/0.jpg"])
    dataset = open_dataset(tmp_path)
    assert dataset.rows["label"].tolist() == ["a", "b"] and "split" not in dataset.rows
    assert "1 photograph in no such folder is passed over" in dataset.notes[0]


def test_one_class_in_folders_of_splits_is_one(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/a/0.jpg", "test/a/1.jpg"])
    rows = open_dataset(tmp_path).rows
    assert rows["label"].tolist() == ["a", "a"] and rows["split"].tolist() == ["test", "train"]


def test_a_class_may_be_called_like_its_split(tmp_path: Path) -> None:
    write_photos(
        tmp_path, [f"{s}/{label}/{s}.jpg" for s in ("train", "test") for label in VEHICLES]
    )
    rows = open_dataset(tmp_path).rows.set_index("filename")
    assert rows["label"].to_dict() == {name: name.split("/")[1] for name in rows.index}
    assert rows["split"].to_dict() == {name: name.split("/")[0] for name in rows.index}
    assert len(rows) == 4


def test_classes_may_be_called_photos_beside_others(tmp_path: Path) -> None:
    write_photos(tmp_path, [f"train/{label}/1.jpg" for label in ("drawings", "photos")])
    assert list(open_dataset(tmp_path).rows["label"]) == ["drawings", "photos"]


@pytest.mark.parametrize("suffix", ["", ".1", ".dat", ".jpg_large", ".jpg?w=640"])
def test_photographs_of_a_class_are_known_by_their_content(tmp_path: Path, suffix: str) -> None:
    write_photos(tmp_path, [f"{label}/{label}{suffix}" for label in "ab"])
    (tmp_path / "a" / f"note{suffix}").write_text("no photograph")
    assert list(open_dataset(tmp_path).rows["label"]) == ["a", "b"]


def test_files_of_a_class_that_are_no_photographs_are_said(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a/1.jpg", "b/1.jpg"])
    (tmp_path / "a" / "1.txt").write_text("an annotation")
    (tmp_path / "LICENSE").write_text("of no class")
    (tmp_path / "b" / "2.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    note = "There is no train.csv: the labels are the names of 2 folders; 1 file that is no "
    assert open_dataset(tmp_path).notes == (f"{note}photograph is passed over (b/2.mp4).",)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "3.CR3").write_bytes(b"\0\0\0\x18ftypcrx ")
    assert "2 files that are no photographs are passed over (b/2.mp4, …)" in str(
        open_dataset(tmp_path).notes
    )


@pytest.mark.parametrize("take", ["test", "dev ", "training_"])
def test_numbered_takes_are_no_splits(tmp_path: Path, take: str) -> None:
    write_photos(tmp_path, [f"{label}/{take}{n}/0.jpg" for label in "ab" for n in (1, 2)])
    assert list(open_dataset(tmp_path).rows["label"]) == ["a", "a", "b", "b"]


def test_folders_within_a_class_belong_to_it(tmp_path: Path) -> None:
    write_photos(tmp_path, [f"train/{label}/clip{n}/0.jpg" for label in "ab" for n in range(2)])
    assert list(open_dataset(tmp_path).rows["label"]) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_metadata_in_the_folders_of_splits_is_read(tmp_path: Path, form: str) -> None:
    for split in ("train", "test"):
        write_photos(tmp_path, [f"{split}/0.png", f"{split}/1.png"])
        rows = [{"file_name": f"{n}.png", "label": f"{split}{n}"} for n in range(2)]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        if form == "csv":
            text = "file_name,label\n" + "".join(",".join(row.values()) + "\n" for row in rows)
        (tmp_path / split / f"metadata.{form}").write_text(text)
    rows = open_dataset(tmp_path).rows
    found = [
        (Path(path).parent.name, label)
        for path, label in zip(rows["path"], rows["label"], strict=True)
    ]
    assert found == [("test", "test0"), ("test", "test1"), ("train", "train0"), ("train", "train1")]
    assert list(rows["split"]) == ["test", "test", "train", "train"]


def test_splits_of_the_folders_that_one_metadata_lists_are_used(tmp_path: Path) -> None:
    names = ["train/0.png", "train/1.png", "test/0.png"]
    write_photos(tmp_path, names)
    lines = [json.dumps({"file_name": name, "label": f"l{n}"}) for n, name in enumerate(names)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    rows = open_dataset(tmp_path).rows
    assert list(rows["split"]) == ["train", "train", "test"]
    assert list(rows["filename"]) == ["0.png", "1.png", "test/0.png"]


def test_a_table_that_lists_folders_of_splits_keeps_them(tmp_path: Path) -> None:
    names = ["train/a/0.png", "train/b/0.png", "test/a/0.png", "val/b/0.png"]
    write_photos(tmp_path, names)
    (tmp_path / "cleaned.csv").write_text("filename,label\n" + "".join(f"{n},x\n" for n in names))
    dataset = open_dataset(tmp_path)
    assert list(dataset.rows["split"]) == ["train", "train", "test", "validation"]
    assert dataset.notes[-1] == "The splits are those of the folders: test, train, validation."
    write_photos(tmp_path, ["elsewhere/1.png"])
    with (tmp_path / "cleaned.csv").open("a") as table:
        table.write("elsewhere/1.png,x\n")
    assert "split" not in open_dataset(tmp_path).rows


def test_a_table_is_found_in_the_dataset_too(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny_dataset / "train.csv").rename(tiny_dataset / "labels.csv")
    assert open_dataset(tiny_dataset, "labels.csv").tables == (tiny_dataset / "labels.csv",)
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny_dataset / "labels.csv", "labels.csv")
    assert open_dataset(tiny_dataset, "labels.csv").tables == (Path("labels.csv"),)
    with pytest.raises(DatasetError, match=r"There is no nowhere\.csv"):
        open_dataset(tiny_dataset, "nowhere.csv")


def test_metadata_without_labels_takes_them_from_class_folders(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/a/0.png", "train/b/0.png"])
    (tmp_path / "metadata.csv").write_text("file_name,note\ntrain/a/0.png,x\ntrain/b/0.png,y\n")
    dataset = open_dataset(tmp_path)
    assert list(dataset.rows["label"]) == ["a", "b"]
    assert list(dataset.records["note"]) == ["x", "y"]
    with (tmp_path / "metadata.csv").open("a") as table:
        table.write("train/a/gone.png,z\n")
    assert list(open_dataset(tmp_path).rows["label"]) == ["a", "b", ""]


def test_a_table_of_none_of_the_photographs_is_opened_beside_these(tiny_dataset: Path) -> None:
    (tiny_dataset / "train.csv").write_text("filename,label\na.jpg,x\nb.jpg,y\n")
    dataset = open_dataset(tiny_dataset)
    assert (len(dataset.rows), len(dataset.unlisted), dataset.missing) == (2, 12, "")


def test_a_chosen_column_of_labels_takes_the_place_of_another(tiny_dataset: Path) -> None:
    (tiny_dataset / "train.csv").write_text("filename,label,Class\nrunning_0.jpg,0,run\n")
    dataset = open_dataset(tiny_dataset, columns={"label": "Class"})
    written = labels_csv(dataset.table, dataset.columns)
    assert written == "filename,Class\nrunning_0.jpg,run\n"


def test_links_into_a_cache_are_followed_only_where_the_operator_says_so(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    (tiny_dataset / "train").rename(store)
    (tiny_dataset / "train").mkdir()
    for photo in store.iterdir():
        (tiny_dataset / "train" / photo.name).symlink_to(photo)
    (tiny_dataset / "train" / "gone.jpg").symlink_to(store / "no such file")
    (tiny_dataset / "train" / "circle.jpg").symlink_to(tiny_dataset / "train" / "circle.jpg")
    (tiny_dataset / "train" / "device.jpg").symlink_to("/dev/zero")
    monkeypatch.delenv("HAR_DATASET", raising=False)
    with pytest.raises(DatasetError, match=r"13 links .* are not followed"):
        open_dataset(tiny_dataset)
    followed = open_dataset(tiny_dataset, follow_links=True)
    assert followed.rows["path"].notna().all()
    assert followed.unlisted == {}
    monkeypatch.setenv("HAR_DATASET", str(tiny_dataset))
    assert open_dataset(tiny_dataset).rows["path"].notna().all()
    monkeypatch.delenv("HAR_DATASET")
    monkeypatch.setenv("HAR_LINKED_DATASETS", f"/nowhere:~nobody-of-that-name/x:{tmp_path}")
    assert open_dataset(tiny_dataset).rows["path"].notna().all()


def test_nothing_behind_a_linked_folder_is_listed_where_links_are_not_followed(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    (tiny_dataset / "train").rename(tmp_path / "store")
    (tiny_dataset / "train").symlink_to(tmp_path / "store")
    with pytest.raises(DatasetError, match="The link train leads out"):
        open_dataset(tiny_dataset, follow_links=False)
    closed = open_dataset(tiny_dataset, follow_links=False, photographs_needed=False)
    assert closed.unlisted == {}
    assert closed.rows["path"].isna().all()
    assert find_photographs(tiny_dataset, ["running_0.jpg"]) == [None]


def test_linked_folders_and_their_circles_end(tmp_path: Path) -> None:
    store, root = tmp_path / "store", tmp_path / "dataset"
    write_photos(store, ["a/0.jpg", "b/0.jpg"])
    (store / "a" / "again").symlink_to(store)
    root.mkdir()
    (root / "train").symlink_to(store)
    rows = open_dataset(root, follow_links=True).rows
    assert list(rows["label"]) == ["a", "b"]
    with pytest.raises(DatasetError, match="The link train leads out"):
        open_dataset(root, follow_links=False)


def test_a_link_to_a_class_is_no_class(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/running/0.jpg", "train/sitting/0.jpg"])
    (tmp_path / "train" / "jogging").symlink_to("running")
    (tmp_path / "all").symlink_to("train")
    assert list(open_dataset(tmp_path).rows["label"]) == ["running", "sitting"]


def test_a_folder_with_nothing_of_the_kind_says_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("what,sort\na.jpg,x\n")
    with pytest.raises(DatasetError, match="one folder of photographs for each class") as error:
        open_dataset(tmp_path)
    says = "of list.csv (what, sort); say which one does: --columns filename=HEADING,label=HEADING"
    assert says in str(error.value)
    assert isinstance(error.value, UnclearTableError)
    assert error.value.headings == ("what", "sort")  # to be chosen from at once


def test_the_folder_of_one_class_is_said_to_be_too_few(tmp_path: Path) -> None:
    write_photos(tmp_path, ["running/0.jpg", "running/1.jpg"])
    with pytest.raises(DatasetError, match="in one folder, running: labels take two or more"):
        open_dataset(tmp_path)
    (tmp_path / "running").rename(tmp_path / "train")
    with pytest.raises(DatasetError, match=r"for each class\.$"):
        open_dataset(tmp_path)
    (tmp_path / "train" / "0.jpg").rename(tmp_path / "0.jpg")
    (tmp_path / "train" / "1.jpg").unlink()
    with pytest.raises(DatasetError, match=r"for each class\.$"):
        open_dataset(tmp_path)


def test_an_empty_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing yet")
    with pytest.raises(DatasetError, match="holds neither photographs nor a table of them"):
        open_dataset(tmp_path)
    write_photos(tmp_path, ["a.jpg"])
    with pytest.raises(DatasetError, match=r"^There is no .*train\.csv; it must hold"):
        open_dataset(tmp_path)


def test_photographs_may_lie_beside_the_table(tmp_path: Path) -> None:
    write_photos(tmp_path, ["a.jpg", "b.jpg", "images/c.jpg"])
    (tmp_path / "labels.csv").write_text("image,class\na.jpg,x\nb.jpg,y\nc.jpg,y\n")
    dataset = open_dataset(tmp_path)
    assert dataset.rows["path"].notna().all()
    assert list(dataset.rows["filename"]) == ["a.jpg", "b.jpg", "images/c.jpg"]


@pytest.mark.parametrize("layout", ["a table", "class folders"])
def test_folder_that_cannot_be_listed_is_a_note_and_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: str
) -> None:
    write_photos(tmp_path, ["train/a/0.png", "train/b/0.png", "train/b/locked/1.png"])
    if layout == "a table":
        names = ["a/0.png", "b/0.png", "b/locked/1.png"]
        rows = "".join(f"train/{name},x\n" for name in names)
        (tmp_path / "train.csv").write_text(f"filename,label\n{rows}")
    locked, scandir = str(tmp_path / "train" / "b" / "locked"), os.scandir

    def refuse(path):  # the superuser may list what its mode forbids
        if str(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    notes = " ".join(open_dataset(tmp_path).notes)
    assert "The folder train/b/locked cannot be listed (Permission denied)" in notes


def test_photographs_that_cannot_be_listed_are_not_said_to_be_none(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked, scandir = str(tiny_dataset / "train"), os.scandir

    def refuse(path):
        if str(path) == locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DatasetError, match=r"folder train cannot be listed \(Permission denied\)"):
        open_dataset(tiny_dataset)


def test_labels_of_one_split_are_kept_where_another_has_none(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/a.png", "test/b.png"])
    (tmp_path / "test" / "metadata.csv").write_text("file_name\nb.png\n")
    (tmp_path / "train" / "metadata.csv").write_text("image,class\na.png,sit\n")
    dataset = open_dataset(tmp_path)
    assert dataset.labelled and dataset.columns == {"filename": "file_name", "label": "class"}
    assert dataset.rows["label"].tolist() == ["", "sit"]
    assert dataset.table["label"].tolist() == dataset.records["class"].tolist() == ["", "sit"]


def test_tables_of_several_headings_become_one_that_can_be_read_again(tmp_path: Path) -> None:
    write_photos(tmp_path, ["train/a.png", "test/b.png"])
    (tmp_path / "test" / "metadata.csv").write_text("Image,Target,X\nb.png,run,1\n")
    (tmp_path / "train" / "metadata.csv").write_text("image,class,x,Target\na.png,sit,2,9\n")
    dataset = open_dataset(tmp_path)
    cleaned = tmp_path / "cleaned.csv"
    cleaned.write_text(labels_csv(dataset.table, dataset.columns))
    assert cleaned.read_text().splitlines()[0] == "Image,Target,X"
    assert load_dataset(tmp_path, cleaned).to_dict() == load_dataset(tmp_path).to_dict()


def test_folders_that_may_get_another_class_are_watched(tmp_path: Path) -> None:
    write_photos(
        tmp_path, [f"{split}/{label}/0.png" for split in ("train", "val") for label in "ab"]
    )
    watched = [path.relative_to(tmp_path).as_posix() for path in open_dataset(tmp_path).sources]
    assert watched == ["train", "train/a", "train/b", "val", "val/a", "val/b"]
