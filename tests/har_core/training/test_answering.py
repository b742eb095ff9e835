import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.analysis.features import FeatureNetwork, compute_features
from har_core.errors import DatasetError, ModelBundleError
from har_core.evaluation.answers import store_abstention, store_temperature
from har_core.evaluation.store import read_evaluation
from har_core.model import bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.loading import load_model
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    MODEL_CARD_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    BundleManifest,
    read_manifest,
)
from har_core.model.novelty.detector import FALSE_ALARMS, read_novelty
from har_core.model.records import read_splits
from har_core.scan.scanning import scan_dataset
from har_core.training import answering
from har_core.training.answering import calibrate_bundle
from tests.drawing import CLASS_NAMES, conv_network, photo_bytes, write_dataset
from tests.evaluated import draw_predictions
from tests.guarded import checkerboard

PER_CLASS = 40


def write_trained(folder: Path, validation: bool = True) -> Path:
    """Write a dataset and a bundle whose splits and predictions record it, as training leaves it.

    Of each class 20 photographs are for training, 16 for validation and 4 for the test.
    """
    dataset = write_dataset(folder / "dataset", PER_CLASS)
    table = pd.read_csv(dataset / "train.csv")
    number = table["filename"].str.extract(r"_(\d+)", expand=False).astype(int)
    table["split"] = np.select(
        [number < 20, number < 36], ["train", "validation" if validation else "train"], "test"
    )
    table["duplicate_group"] = np.arange(len(table)) // 2
    table["sha256"] = [
        hashlib.sha256((dataset / "train" / name).read_bytes()).hexdigest()
        for name in table["filename"]
    ]
    held_out = table[table["split"] != "train"].reset_index(drop=True)
    labels = pd.Index(CLASS_NAMES).get_indexer(held_out["label"])
    predictions = held_out[["filename", "label", "split", "sha256"]].copy()
    predictions[list(CLASS_NAMES)] = draw_predictions(labels, 3).astype(np.float32)
    manifest = BundleManifest(
        name="trained",
        architecture="two convolutions",
        input_size=224,
        preprocessing="minus_one_to_one",
        class_names=CLASS_NAMES,
        metrics={"split": "test", "n": 12, "top1": {"value": 0.5, "low": 0.4, "high": 0.6}},
    )
    files = {
        ONNX_FILE: conv_network(),
        CLASS_INDICES_FILE: format_class_indices(CLASS_NAMES).encode(),
        SPLITS_FILE: table.to_parquet(index=False),
        PREDICTIONS_FILE: predictions.to_parquet(index=False),
        MODEL_CARD_FILE: b"By hand.\n| top-1 accuracy | 50.0% (40.0% \xe2\x80\x93 60.0%) |\n",
    }
    bundle.write_bundle(folder / "models" / "trained", manifest, files)
    return dataset


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrated")
    dataset = write_trained(folder)
    before = load_model(folder / "models" / "trained").predict(photo_bytes("running", 99))
    seen = []
    calibrate_bundle(
        folder / "models" / "trained", dataset, progress=lambda *step: seen.append(step)
    )
    return folder / "models" / "trained", dataset, before, seen


def test_calibrated_model_tells_foreign_pictures_and_keeps_its_predictions(trained):
    folder, _, before, seen = trained
    model = load_model(folder)
    after = model.predict(photo_bytes("running", 99))
    assert (before.in_scope, before.novelty) == (None, None)
    assert after.in_scope is True and 0 <= after.novelty < 1
    assert np.argmax(list(after.probabilities.values())) == CLASS_NAMES.index(before.action)
    foreign = model.predict(checkerboard())
    assert foreign.in_scope is False and foreign.answer is None
    assert seen[-1][1] == seen[-1][2]  # progress ends at its total


def test_metrics_and_card_are_of_the_answers_that_it_gives_now(trained):
    folder, *_ = trained
    top1 = read_manifest(folder).metrics["top1"]
    measured = read_evaluation(folder, "test").result.headline()["top1"]
    assert top1 == measured != {"value": 0.5, "low": 0.4, "high": 0.6}
    by_hand, row = (folder / MODEL_CARD_FILE).read_text().splitlines()
    assert by_hand == "By hand." and f"| {top1['value']:.1%} ({top1['low']:.1%} – " in row


def test_batch_and_single_predictions_agree(trained):
    model = load_model(trained[0])
    sources = [photo_bytes(label, 98) for label in CLASS_NAMES] + [checkerboard()]
    single = [model.predict(source) for source in sources]
    for one, many in zip(single, model.predict_batch(sources), strict=True):
        assert (one.action, one.in_scope, one.answer_set) == (
            many.action,
            many.in_scope,
            many.answer_set,
        )
        assert one.novelty == pytest.approx(many.novelty, abs=0.05)


def test_bundle_stays_whole_and_is_calibrated_twice_alike(trained):
    folder, dataset, *_ = trained
    first = bundle.verify_bundle(folder)
    assert NOVELTY_FILE in first.files
    again = calibrate_bundle(folder, dataset)
    assert again.files == first.files
    assert again.rules == first.rules
    # Too few validation photographs (48) for a confidence map and answer sets.
    assert again.rules.set_threshold is None


def test_recorded_predictions_say_which_photographs_look_foreign(trained):
    folder, *_ = trained
    model = load_model(folder)
    test = read_evaluation(folder, "test").raw
    drawn = [name.removesuffix(".jpg").split("_") for name in test.filenames]
    told = [model.predict(photo_bytes(label, int(seed))).in_scope for label, seed in drawn]
    assert test.in_scope.tolist() == told
    validation = read_evaluation(folder, "validation").raw.in_scope
    assert (~validation).sum() == int((len(validation) + 1) * FALSE_ALARMS) - 1


def test_similar_training_photographs_are_found_by_class(trained):
    folder, *_ = trained
    model = load_model(folder)
    splits = pd.read_parquet(folder / SPLITS_FILE)
    for label in CLASS_NAMES:
        rows = model.similar_rows(photo_bytes(label, 97))
        assert splits["label"].iloc[rows].tolist() == [label] * 3
        assert set(splits["split"].iloc[rows]) == {"train"}


def test_what_a_page_stores_meanwhile_is_kept(trained):
    folder, dataset, *_ = trained
    before = read_manifest(folder)

    def choose(*_):
        if read_manifest(folder).temperature == before.temperature:
            store_temperature(folder, 1.5)
            store_abstention(folder, 0.75)

    after = calibrate_bundle(folder, dataset, progress=choose)
    assert (after.temperature, after.rules.abstain_below) == (1.5, 0.75)
    bundle.update_manifest(folder, temperature=before.temperature, answers=before.answers)


def test_a_bundle_that_is_another_one_meanwhile_is_left_alone(trained):
    folder, dataset, *_ = trained
    before = read_manifest(folder)
    files = {**before.files, ONNX_FILE: "0" * 64}
    with pytest.raises(ModelBundleError, match="have changed in the meantime; nothing was written"):
        calibrate_bundle(
            folder, dataset, progress=lambda *_: bundle.update_manifest(folder, files=files)
        )
    bundle.update_manifest(folder, files=before.files)


def test_other_dataset_is_refused_and_nothing_changes(trained, tmp_path):
    folder, *_ = trained
    before = read_manifest(folder)
    other = write_dataset(tmp_path / "other", 2)
    (other / "train" / "running_0.jpg").write_bytes(photo_bytes("sitting", 5))
    with pytest.raises(DatasetError, match="was trained on"):
        calibrate_bundle(folder, other)
    assert read_manifest(folder) == before


def test_refitted_model_holds_training_photographs_back_and_claims_no_sets(tmp_path):
    dataset = write_trained(tmp_path, validation=False)
    manifest = calibrate_bundle(tmp_path / "models" / "trained", dataset)
    assert manifest.rules.set_threshold is None
    # A tenth of 108 photographs is too few to set a threshold.
    assert NOVELTY_FILE not in manifest.files


def test_what_is_held_back_of_a_refitted_model_is_compared_with_no_copy_of_itself(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(answering, "_HELD_BACK", 0.3)
    folder = tmp_path / "models" / "trained"
    calibrate_bundle(folder, write_trained(tmp_path, validation=False))
    novelty = read_novelty((folder / NOVELTY_FILE).read_bytes(), NOVELTY_FILE)
    splits = read_splits(folder)
    compared = splits.iloc[novelty.rows]
    assert set(compared["split"]) == {novelty.split} == {"train"}
    assert (len(novelty.held_out), len(compared)) == (32, 76)
    aside = splits[splits["split"].eq("train")].drop(compared.index)
    assert not aside["duplicate_group"].isin(compared["duplicate_group"]).any()


def test_bundle_without_splits_is_refused(tiny_models, tiny_dataset):
    with pytest.raises(ModelBundleError, match="does not record its splits"):
        calibrate_bundle(tiny_models / "tiny", tiny_dataset)


def test_what_the_network_sees_meanwhile_is_remembered_of_the_photograph_that_is_meant(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    dataset, folder = write_trained(tmp_path), tmp_path / "models" / "trained"
    find = answering.find_photographs

    def then_another_takes_the_place_of_one(*of):
        paths = find(*of)
        (dataset / "train" / "running_3.jpg").write_bytes(photo_bytes("sitting", 97))
        return paths

    monkeypatch.setattr(answering, "find_photographs", then_another_takes_the_place_of_one)
    before = (dataset / "train" / "running_3.jpg").read_bytes()
    calibrate_bundle(folder, dataset)
    (dataset / "train" / "running_3.jpg").write_bytes(before)  # which the network has not seen
    asked = []
    run = FeatureNetwork.run
    monkeypatch.setattr(
        FeatureNetwork, "run", lambda network, pixels: asked.extend(pixels) or run(network, pixels)
    )
    photographs = scan_dataset(dataset, workers=1)
    found = compute_features(folder, photographs)
    assert len(asked) == 1
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "another"))
    anew = compute_features(folder, photographs)
    assert found.sha256 == anew.sha256
    assert found.features == pytest.approx(anew.features, abs=1e-3)
    assert found.probabilities == pytest.approx(anew.probabilities, abs=1e-6)
