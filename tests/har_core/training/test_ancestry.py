from pathlib import Path

import pandas as pd
import pytest

from har_core.errors import ModelBundleError
from har_core.model import bundle
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    INHERITED_FILE,
    KERAS_FILE,
    MANIFEST_FILE,
    SPLITS_FILE,
)
from har_core.training import ancestry
from har_core.training.ancestry import (
    bundle_of_weights,
    check_held_out,
    find_cross_validation,
    inheritance,
    knows_labels,
    shipped_backbone,
)
from har_core.training.preparation import prepare_dataset


@pytest.fixture
def prepared(tiny_dataset, tmp_path):
    return prepare_dataset(tiny_dataset, tmp_path)


def write_splits(folder, prepared, splits):
    table = prepared.table.drop(columns="path").assign(split=splits)
    (folder / SPLITS_FILE).write_bytes(table.to_parquet())


def test_photographs_that_are_left_out_may_have_been_seen(tiny_models, prepared):
    write_splits(tiny_models / "tiny", prepared, prepared.table["split"].tolist())
    prepared.table.loc[prepared.rows_of("train")[2:], "split"] = "left out"
    check_held_out(tiny_models / "tiny", prepared)


def test_keywords_are_no_files_of_the_current_folder(tiny_models, prepared, monkeypatch):
    write_splits(tiny_models / "tiny", prepared, prepared.table["split"].tolist())
    monkeypatch.chdir(tiny_models / "tiny")
    assert bundle_of_weights("model.keras") is None  # there is none
    for name in ("imagenet", "random", "model.keras"):
        Path(name).write_bytes(b"")
    assert bundle_of_weights("imagenet") is None
    assert bundle_of_weights("random") is None
    assert bundle_of_weights("model.keras") == Path()


def test_nothing_is_known_of_a_network_whose_bundle_records_no_splits(tiny_models):
    keras_file = tiny_models / "tiny" / KERAS_FILE
    keras_file.write_bytes(b"")
    origin = bundle_of_weights(str(keras_file))
    assert origin == tiny_models / "tiny"
    assert inheritance([origin], record(a="train"))[1] == {"unrecorded": ["tiny"]}
    (tiny_models / "tiny" / MANIFEST_FILE).unlink()
    assert bundle_of_weights(str(keras_file)) is None
    record(a="train").to_parquet(tiny_models / "tiny" / SPLITS_FILE)  # as in a run's folder
    assert bundle_of_weights(str(keras_file)) == tiny_models / "tiny"
    keras_file.rename(tiny_models / KERAS_FILE)
    assert bundle_of_weights(str(tiny_models / KERAS_FILE)) is None


def record(**splits):
    given = {"filename": list(splits), "sha256": list(splits), "split": list(splits.values())}
    return pd.DataFrame(given).assign(label="running", duplicate_group=0)


def test_what_an_ancestor_has_learned_from_is_recorded_whatever_it_is_to_the_new_model(tmp_path):
    old = record(a="train", b="test", c="validation", d="train", e="test")
    old.to_parquet(tmp_path / SPLITS_FILE)
    # A copy of a test photograph is left out here, but has been learned from all the same.
    new = record(a="", b="", c="test", d="train", f="test")
    files, _ = inheritance([tmp_path], new)
    (tmp_path / INHERITED_FILE).write_bytes(files[INHERITED_FILE])
    met = pd.read_parquet(tmp_path / INHERITED_FILE).set_index("sha256")["split"]
    assert met.to_dict() == {"a": "train", "c": "validation", "e": "test"}


def test_model_that_saw_held_out_photographs_is_refused(tiny_models, prepared):
    check_held_out(tiny_models / "tiny", prepared)  # no record: nothing is known of it
    same = prepared.table["split"].tolist()
    write_splits(tiny_models / "tiny", prepared, same)
    check_held_out(tiny_models / "tiny", prepared)
    write_splits(tiny_models / "tiny", prepared, ["train"] * len(same))
    n_held_out = sum(split != "train" for split in same)
    with pytest.raises(ModelBundleError, match=f"{n_held_out} of the {n_held_out} photographs"):
        check_held_out(tiny_models / "tiny", prepared)


def test_a_model_may_know_labels_unless_it_records_that_it_has_not_learned_them(
    tiny_models, prepared
):
    folder, n = tiny_models / "tiny", len(prepared.table)
    assert knows_labels(folder, prepared)
    for split, known in (("train", True), ("validation", True), ("test", False)):
        write_splits(folder, prepared, [split] * n)
        assert knows_labels(folder, prepared) == known
    bundle.update_manifest(folder, training={"base": "imported"})  # whose photographs nobody knows
    assert knows_labels(folder, prepared)


def test_cross_validation_of_the_same_photographs_is_found_again(tiny_models, prepared):
    folder = tiny_models / "tiny"
    path = folder / CROSS_VALIDATED_FILE
    path.parent.mkdir()
    assert find_cross_validation([folder], prepared) is None
    shuffled = prepared.table[["sha256", "label"]].sample(frac=1, random_state=0)
    shuffled.to_parquet(path)
    assert find_cross_validation([folder], prepared) == path.read_bytes()
    path.write_bytes(b"no parquet")
    with pytest.raises(ModelBundleError, match=r"cross_validated\.parquet"):
        find_cross_validation([folder], prepared)
    shuffled.assign(label="running").to_parquet(path)
    assert find_cross_validation([folder], prepared) is None


def test_training_goes_on_from_the_shipped_model_unless_it_has_seen_what_is_held_out(
    tiny_models, prepared, monkeypatch
):
    assert Path(shipped_backbone(prepared)).parts[-2:] == ("cnn_lstm_har15", "model.keras")
    monkeypatch.setattr(ancestry, "shipped", lambda name: tiny_models)
    monkeypatch.setattr(ancestry, "_SHIPPED_MODEL", "tiny")
    assert shipped_backbone(prepared) == "imagenet"  # it has no Keras file
    (tiny_models / "tiny" / KERAS_FILE).write_bytes(b"")
    splits = prepared.table["split"].tolist()
    write_splits(tiny_models / "tiny", prepared, splits)
    assert shipped_backbone(prepared) == str(tiny_models / "tiny" / KERAS_FILE)
    assert knows_labels(tiny_models / "tiny", prepared)
    write_splits(tiny_models / "tiny", prepared, ["train"] * len(splits))
    assert shipped_backbone(prepared) == "imagenet"
