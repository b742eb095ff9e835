import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from har_core.errors import DatasetError, ModelBundleError
from har_core.model.manifest import SPLITS_FILE
from har_core.storage.checksums import sha256_of_file
from har_core.training.ancestry import check_held_out
from har_core.training.preparation import STORED_SIZE, prepare_dataset, rows_to_train_on
from har_core.training.publication import training_record
from har_core.training.quick.run import train_quick
from har_core.training.settings import TrainingSettings
from tests.drawing import CLASS_NAMES, encode, photo_bytes, write_dataset


def write_rows(dataset, rows, header="filename,label"):
    (dataset / "train.csv").write_text("\n".join([header, *rows]) + "\n")


def test_every_photograph_is_decoded_and_assigned_to_a_split(tiny_dataset, tmp_path):
    steps = []
    prepared = prepare_dataset(tiny_dataset, tmp_path, progress=lambda *step: steps.append(step))
    assert prepared.class_names == CLASS_NAMES
    assert prepared.pixels.shape == (12, STORED_SIZE, STORED_SIZE, 3)
    assert set(prepared.table["split"]) == {"train", "validation", "test"}
    assert sum(len(prepared.rows_of(s)) for s in ("train", "validation", "test")) == 12
    assert steps[-1] == ("Reading photographs", 12, 12)


def test_unusable_photographs_are_skipped_with_their_reason(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", per_class=20)
    (dataset / "train" / "sitting_0.jpg").write_text("<html></html>")
    for name in ("running_4.jpg", "running_5.jpg"):
        (dataset / "train" / name).unlink()
    prepared = prepare_dataset(dataset, tmp_path)  # just as many as may be
    skipped = ["running_4.jpg", "running_5.jpg", "sitting_0.jpg"]
    assert prepared.skipped["filename"].tolist() == skipped
    assert prepared.skipped["reason"].iloc[0] == "missing"
    assert len(prepared.table) == len(prepared.pixels) == 57
    row = prepared.table.index[prepared.table["filename"] == "sitting_1.jpg"][0]
    mean = prepared.pixels[row].reshape(-1, 3).mean(axis=0)
    assert np.argmax(mean) == 2  # the drawing of "sitting" is blue: rows still match pixels


def test_more_than_five_percent_unusable_stops_with_the_list(tiny_dataset, tmp_path):
    (tiny_dataset / "train" / "sitting_0.jpg").unlink()
    with pytest.raises(DatasetError, match=r"1 of 12 .*more than 5%(.|\n)*sitting_0\.jpg: missing"):
        prepare_dataset(tiny_dataset, tmp_path)


def test_unknown_columns_are_named(tiny_dataset, tmp_path):
    write_rows(tiny_dataset, ["a.jpg,running"], header="picture,sort")
    with pytest.raises(DatasetError, match=r"lacks the columns filename and label.*picture, sort"):
        prepare_dataset(tiny_dataset, tmp_path)


def test_splits_of_folders_are_used_and_copies_of_what_measures_left_out(tmp_path):
    for split, seeds in {"train": range(12), "test": range(20, 24)}.items():
        for label in CLASS_NAMES:
            folder = tmp_path / "set" / split / label
            folder.mkdir(parents=True)
            for seed in seeds:
                (folder / f"{seed}.jpg").write_bytes(photo_bytes(label, seed))
    copied = tmp_path / "set" / "train" / "running" / "copy.jpg"
    copied.write_bytes(photo_bytes("running", 20))
    (tmp_path / "set" / "train" / "once").mkdir()  # too few to be split anew
    for name in "abc":
        (tmp_path / "set" / "train" / "once" / f"{name}.jpg").write_bytes(photo_bytes("running", 9))
    prepared = prepare_dataset(tmp_path / "set", tmp_path)
    by_split = prepared.table.groupby("split")["filename"].apply(list)
    assert len(by_split["test"]) == 12
    assert all(name.startswith("test/") for name in by_split["test"])
    assert all(name.startswith("train/") for name in by_split["train"] + by_split["validation"])
    assert len(by_split["validation"]) == 3
    assert list(prepared.skipped["filename"]) == ["train/running/copy.jpg"]
    assert prepared.skipped["reason"].iloc[0].startswith("near duplicate")
    paths = {"backbone_weights": "/home/me/a.keras", "splits_of": "/home/me/b"}
    settings = TrainingSettings(**paths, unlabelled="/home/me/c", teachers=("/home/me/d",))
    record = training_record(settings, prepared, seconds=1)
    assert "/home" not in str(record)  # names tell nothing of this machine
    assert record["photographs"] == {"train": 36, "test": 12, "validation": 3}


def test_copies_of_one_file_are_in_one_split_also_if_it_shows_nothing(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", per_class=20)
    blank = encode(Image.new("RGB", (96, 64), (9, 9, 9)))
    for i in range(10):
        (dataset / "train" / f"running_{i}.jpg").write_bytes(blank)
    table = prepare_dataset(dataset, tmp_path).table
    blanks = table[table["sha256"].duplicated(keep=False)]
    assert len(blanks) == 10
    assert blanks["split"].nunique() == blanks["duplicate_group"].nunique() == 1


def test_why_a_photograph_is_not_found_is_said(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", per_class=20)
    text = (dataset / "train.csv").read_text().replace("running_5.jpg", "test/running_5.jpg")
    (dataset / "train.csv").write_text(text)
    reason = prepare_dataset(dataset, tmp_path).skipped["reason"].iloc[0]
    assert reason == "missing (only in another split: train/running_5.jpg)"


def test_single_class_is_refused(tiny_dataset, tmp_path):
    write_rows(tiny_dataset, [f"running_{i}.jpg,running" for i in range(4)])
    with pytest.raises(DatasetError, match="two classes"):
        prepare_dataset(tiny_dataset, tmp_path)


def test_class_without_usable_photograph_is_named(tmp_path):
    dataset = write_dataset(tmp_path / "dataset", per_class=20)
    with (dataset / "train.csv").open("a") as table:
        table.write("nowhere.jpg,dancing\n")
    with pytest.raises(DatasetError, match="'dancing'"):
        prepare_dataset(dataset, tmp_path)


def test_empty_label_is_refused(tiny_dataset, tmp_path):
    with (tiny_dataset / "train.csv").open("a") as table:
        table.write("running_0.jpg, \n")
    write_rows(tiny_dataset, [f"{c}_{i}.jpg,{c if i else ''}" for c in CLASS_NAMES for i in (0, 1)])
    with pytest.raises(DatasetError, match=r"3 rows have an empty label.* as --cleaned does"):
        prepare_dataset(tiny_dataset, tmp_path)
    write_rows(tiny_dataset, [f"{c}_0.jpg," for c in CLASS_NAMES])
    with pytest.raises(DatasetError, match=r"3 rows have an empty label; fill it in or [^-]*$"):
        prepare_dataset(tiny_dataset, tmp_path)


def test_folder_without_photographs_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    write_rows(tmp_path, ["a.jpg,running"])
    with pytest.raises(DatasetError, match="holds no photographs"):
        prepare_dataset(tmp_path, tmp_path)


def test_photograph_with_two_labels_is_refused(tiny_dataset, tmp_path):
    with (tiny_dataset / "train.csv").open("a") as table:
        table.write("running_0.jpg,running\n")
    assert len(rows_to_train_on(tiny_dataset)) == 12
    with (tiny_dataset / "train.csv").open("a") as table:
        table.write("running_0.jpg,sitting\n")
    with pytest.raises(DatasetError, match=r"two labels: running_0\.jpg"):
        prepare_dataset(tiny_dataset, tmp_path)


def test_fingerprint_changes_with_a_label_or_a_photograph(tiny_dataset, tmp_path):
    first = prepare_dataset(tiny_dataset, tmp_path).fingerprint
    assert prepare_dataset(tiny_dataset, tmp_path).fingerprint == first
    table = (tiny_dataset / "train.csv").read_text()
    (tiny_dataset / "train.csv").write_text(
        table.replace("running_0.jpg,running", "running_0.jpg,sitting")
    )
    second = prepare_dataset(tiny_dataset, tmp_path).fingerprint
    (tiny_dataset / "train" / "running_1.jpg").write_bytes(photo_bytes("running", 99))
    assert len({first, second, prepare_dataset(tiny_dataset, tmp_path).fingerprint}) == 3


def record_splits(models, dataset, split_of):
    """Let the tiny model have had the dataset's photographs in some splits, by their number."""
    table = pd.read_csv(dataset / "train.csv")
    table["sha256"] = [sha256_of_file(dataset / "train" / name) for name in table["filename"]]
    table["duplicate_group"] = range(len(table))
    table["split"] = [split_of(i) for i in range(len(table))]
    table.to_parquet(models / "tiny" / SPLITS_FILE)
    return models / "tiny"


@pytest.mark.parametrize(
    ("split_of", "message"),
    [
        (lambda i: "train", "left to test on: none is held out for that by tiny"),
        (lambda i: "test", "'sitting' is left to learn from: all are held out by tiny"),
        (lambda i: "test" if i < 6 else "train", "class 'clapping' is left to learn from"),
    ],
)
def test_split_of_a_base_that_leaves_nothing_is_refused_at_once_by_every_effort(
    split_of, message, tmp_path, tiny_models
):
    dataset = write_dataset(tmp_path / "dataset", per_class=6)
    base = record_splits(tiny_models, dataset, split_of)
    helps = r".*Add some that tiny has not seen, or train without --effort"
    with pytest.raises(DatasetError, match=message + helps):
        prepare_dataset(dataset, tmp_path, splits_of=str(base))
    with pytest.raises(DatasetError, match=message + helps):
        train_quick(dataset, "quick", base)


def test_a_base_that_has_learned_from_all_that_folders_give_is_refused(tmp_path, tiny_models):
    dataset = write_dataset(tmp_path / "table", per_class=6)
    base = record_splits(tiny_models, dataset, lambda i: "train")
    folders = tmp_path / "folders"
    for i, row in enumerate(pd.read_csv(dataset / "train.csv").itertuples()):
        place = folders / ("train" if i % 6 else "val") / row.label
        place.mkdir(parents=True, exist_ok=True)
        (dataset / "train" / row.filename).rename(place / row.filename)
    message = (
        "left to test on: none is held out for that by the dataset's folders and tiny.*"
        "which follows the folders alone"
    )
    with pytest.raises(DatasetError, match=message):
        prepare_dataset(folders, tmp_path, splits_of=str(base))
    with pytest.raises(DatasetError, match=message):
        train_quick(folders, "quick", base)


def test_fine_tuning_of_a_network_that_has_seen_all_says_which_effort_can(tmp_path, tiny_models):
    dataset = write_dataset(tmp_path / "dataset", per_class=6)
    for i in (3, 4, 5):
        copied = (dataset / "train" / "running_2.jpg").read_bytes()
        (dataset / "train" / f"running_{i}.jpg").write_bytes(copied)
    base = record_splits(tiny_models, dataset, lambda i: "train" if i % 6 else "test")
    prepared = prepare_dataset(dataset, tmp_path, splits_of=str(base))
    assert len(prepared.rows_of("test")) == len(prepared.rows_of("validation")) == 3
    with pytest.raises(ModelBundleError, match=r"--effort quick, which needs none, or --effort fu"):
        check_held_out(base, prepared, splits_of=str(base))
    wanted = prepare_dataset(dataset, tmp_path, splits_of=str(base), shares=(0.4, 0.1))
    assert len(wanted.rows_of("validation")) == 5  # two of a class, of copies none or all
    for table in (prepared.table, wanted.table):
        assert table.groupby("duplicate_group")["split"].nunique().max() == 1
    namesake = shutil.copytree(base, tmp_path / "elsewhere" / base.name)
    with pytest.raises(ModelBundleError, match="was trained on 3 of the 6 photographs"):
        check_held_out(namesake, prepared, splits_of=str(base))
    assert train_quick(dataset, "quick", base).metrics["n"] == 3
