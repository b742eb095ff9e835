"""Quick training fixes what wrong labels taught, keeps the test photographs apart, and says so."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from PIL import Image

from har_core.analysis.features import FeatureNetwork
from har_core.analysis.suspects import cross_validated_probabilities
from har_core.dataset.splits import inherited_split
from har_core.dataset.table import load_dataset
from har_core.errors import DatasetError, HarError, ModelBundleError
from har_core.model import bundle
from har_core.model.answers import NO_RULES, AnswerRules
from har_core.model.loading import find_model, load_model
from har_core.model.manifest import (
    KERAS_FILE,
    MODEL_CARD_FILE,
    SPLITS_FILE,
    BundleManifest,
    read_manifest,
)
from har_core.model.records import (
    held_out_predictions,
    match_splits,
    read_lineage,
    read_splits,
    unrecorded_ancestors,
)
from har_core.progress import silent
from har_core.storage.files import sha256_of_file
from har_core.training import publication
from har_core.training.efforts import (
    check_changes,
    effort_settings,
    fine_tunable,
    train_with_effort,
)
from har_core.training.model_card import summarise
from har_core.training.preparation import SplitDataset, split_dataset
from har_core.training.quick import run as quick_run
from har_core.training.quick.head import LinearHead, fit_linear_head, replace_head
from har_core.training.quick.run import _fit, _temperature, train_quick
from har_core.training.settings import TrainingSettings
from har_core.training.verdict import judge_models
from tests.drawing import CLASS_NAMES, colour_network, encode, photo_bytes, write_dataset


@pytest.fixture
def base(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    return tiny_models / "tiny"


@pytest.fixture
def mislabelled(tmp_path: Path) -> Path:
    """Write 20 pictures of each class; half of the runners are labelled as clapping."""
    folder = write_dataset(tmp_path / "photos", per_class=20)
    text = (folder / "train.csv").read_text()
    for seed in range(12):
        text = text.replace(f"running_{seed}.jpg,running", f"running_{seed}.jpg,clapping")
    (folder / "train.csv").write_text(text)
    return folder


def test_few_validation_photographs_do_not_set_the_temperature_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of nine being right, or none, says little: the others are asked by turns, too."""
    rng = np.random.default_rng(0)
    labels = np.arange(75) % 3
    table = pd.DataFrame(
        {
            "label": [CLASS_NAMES[label] for label in labels],
            "split": ["train"] * 60 + ["validation"] * 9 + ["test"] * 6,
            "duplicate_group": np.arange(75) // 6,
        }
    )
    prepared = SplitDataset(table, table.iloc[:0], CLASS_NAMES)
    vectors = rng.normal(size=(75, 4)).astype(np.float32) + 2 * np.eye(3, 4)[labels]
    sure = np.eye(3)[labels[60:69]] * 0.94 + 0.02
    asked: list[list[int]] = []

    def by_turns(*given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(given[2].tolist())
        return cross_validated_probabilities(*given)

    monkeypatch.setattr(quick_run, "cross_validated_probabilities", by_turns)
    found = {_temperature(prepared, vectors, said) for said in (sure, sure[:, [1, 2, 0]])}
    assert len(found) == 1
    assert found.pop() != 1
    assert asked == [table["duplicate_group"].tolist()[:69]] * 2  # never the test photographs

    log: list[dict[str, Any]] = []
    head = _fit(prepared, vectors, log, silent, silent)
    alone = fit_linear_head(vectors[:60], labels[:60])
    np.testing.assert_array_equal(head.weights, alone.weights)
    right = alone.probabilities(vectors).argmax(axis=1) == labels
    assert log[-1]["training_top1"] == right[:60].mean()
    assert log[-1]["validation_top1"] == right[60:69].mean()


def test_head_in_the_graph_answers_as_the_fitted_one() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-1, 1, (90, 224, 224, 3)).astype(np.float32)
    pixels += np.repeat(np.eye(3, dtype=np.float32), 30, axis=0)[:, None, None, :] / 2
    features, codes = pixels.mean(axis=(1, 2)), np.repeat(np.arange(3), 30)
    rounds: list[int] = []
    head = fit_linear_head(features, codes, on_round=lambda n, _head, _loss: rounds.append(n))
    assert (head.probabilities(features).argmax(axis=1) == codes).mean() > 0.95
    assert rounds == list(range(len(rounds))) and rounds
    graph = replace_head(onnx.load_model_from_string(colour_network()), head)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    (answers,) = session.run(None, {session.get_inputs()[0].name: pixels[:5]})
    assert answers == pytest.approx(head.probabilities(features[:5]), abs=1e-5)


def test_head_of_two_classes_gives_both_probabilities() -> None:
    features = np.array([[0.0], [0.1], [1.0], [1.1]], np.float32)
    head = fit_linear_head(features, np.array([0, 0, 1, 1]))
    probabilities = head.probabilities(features)
    assert probabilities.shape == (4, 2)
    assert probabilities[0, 0] > 0.5 > probabilities[3, 0]


def test_a_graph_keeps_only_what_its_new_head_needs() -> None:
    head = LinearHead(np.zeros((3, 2), np.float32), np.zeros(2, np.float32))
    graph = replace_head(onnx.load_model_from_string(colour_network()), head)
    assert [node.op_type for node in graph.graph.node] == ["ReduceMean", "Gemm", "Softmax"]
    assert {value.name for value in graph.graph.initializer} == {"har_weights", "har_bias"}


def test_quick_training_on_corrected_labels_is_judged_better(
    base: Path, mislabelled: Path, tmp_path: Path
) -> None:
    rows: list[dict] = []
    wrong = train_quick(mislabelled, "wrong", base, on_epoch=rows.append)
    assert wrong.training["base"] == "tiny"
    assert {"training_loss", "training_top1", "validation_top1"} <= set(rows[0])
    corrected = tmp_path / "corrected.csv"
    table = pd.read_csv(mislabelled / "train.csv")
    table["label"] = table["filename"].str.split("_").str[0]
    table.to_csv(corrected, index=False)
    models = base.parent
    right = train_quick(mislabelled, "right", models / "wrong", csv=corrected)
    before, after = read_splits(models / "wrong"), read_splits(models / "right")
    assert before is not None and after is not None
    assert before["split"].tolist() == after["split"].tolist()
    verdict = judge_models(models / "wrong", models / "right")
    assert verdict.n_relabelled > 0
    assert verdict.difference.value > 0
    assert verdict.comparison.results["right"].correct.all()
    assert f"{len(before[before['split'] == 'test']):,} photographs" in verdict.sentence
    assert verdict.classes().index[0] == "running"
    as_it_was = judge_models(models / "wrong", models / "right", labels="wrong")
    assert as_it_was.difference.value < verdict.difference.value
    photo = mislabelled / "train" / "running_3.jpg"
    assert load_model("right").predict(photo).action == "running"
    assert right.training["dataset_fingerprint"] != wrong.training["dataset_fingerprint"]


def test_quick_training_needs_no_cache_that_can_be_written(
    base: Path, mislabelled: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()  # no folder can be made there
    train_quick(mislabelled, "without", base)
    assert load_model("without").class_names


def test_photograph_that_the_network_has_no_features_of_is_named(
    base: Path, mislabelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = FeatureNetwork.run

    def blind_to_the_first(self: FeatureNetwork, pixels: np.ndarray) -> tuple[np.ndarray, ...]:
        vectors, probabilities = run(self, pixels)
        vectors[0] = np.nan
        return vectors, probabilities

    monkeypatch.setattr(FeatureNetwork, "run", blind_to_the_first)
    with pytest.raises(ModelBundleError, match=r"'tiny' gives no features for clapping_0\.jpg"):
        train_quick(mislabelled, "blind", base)


def test_why_a_photograph_is_not_found_is_said(base: Path, tmp_path: Path) -> None:
    folder = write_dataset(tmp_path / "photos", per_class=20)
    text = (folder / "train.csv").read_text().replace("running_5.jpg", "test/running_5.jpg")
    (folder / "train.csv").write_text(text)
    (skipped,) = train_quick(folder, "fewer", base).training["skipped"]
    assert skipped["reason"] == "missing (only in another split: train/running_5.jpg)"


def test_copies_that_show_nothing_are_in_one_split_and_rules_are_fitted_by_groups(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dataset(tmp_path / "photos", per_class=20)
    blank = encode(Image.new("RGB", (96, 64), (9, 9, 9)))
    for seed in range(10):
        (folder / "train" / f"running_{seed}.jpg").write_bytes(blank)
    fitted: list[np.ndarray] = []

    def fit_rules(labels: np.ndarray, *others: Any) -> AnswerRules:
        fitted.extend([labels, others[0], others[-1]])
        return NO_RULES

    monkeypatch.setattr(publication, "fit_rules", fit_rules)
    train_quick(folder, "blank", base)
    splits = read_splits(find_model("blank"))
    assert splits is not None
    blanks = splits[splits["sha256"].duplicated(keep=False)]
    assert len(blanks) == 10
    assert blanks["split"].nunique() == blanks["duplicate_group"].nunique() == 1
    validation = splits[splits["split"] == "validation"]
    labels, shown, groups = fitted
    assert groups.tolist() == validation["duplicate_group"].tolist()
    assert [CLASS_NAMES[code] for code in labels] == validation["label"].tolist()
    recorded = held_out_predictions(find_model("blank"), read_manifest(find_model("blank")))
    assert recorded is not None
    told = recorded.loc[recorded["split"] == "validation", list(CLASS_NAMES)]
    np.testing.assert_allclose(shown, told, atol=1e-6)


def test_a_class_without_a_usable_photograph_is_not_dropped_in_silence(
    base: Path, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "photos", per_class=20)
    with (folder / "train.csv").open("a") as table:
        table.write("lost.jpg,juggling\n")
    with pytest.raises(DatasetError, match="No usable photograph is left of the class 'juggling'"):
        train_quick(folder, "fewer", base)


def test_photographs_that_one_model_has_learned_from_do_not_judge(
    base: Path, mislabelled: Path
) -> None:
    train_quick(mislabelled, "first", base)
    train_quick(mislabelled, "other_split", base, seed=1)
    models = base.parent
    verdict = judge_models(models / "first", models / "other_split")
    learned = set()
    for name in ("first", "other_split"):
        splits = read_splits(models / name)
        assert splits is not None
        learned |= set(splits.loc[splits["split"] != "test", "sha256"])
    assert not learned & set(verdict.comparison.results["first"].sha256)
    assert verdict.n_left_out > 0
    with pytest.raises(DatasetError, match="itself"):
        judge_models(models / "first", models / "first")


def test_what_an_earlier_model_learned_from_measures_no_later_one(
    base: Path, mislabelled: Path, tmp_path: Path
) -> None:
    """Two trainings in a row, the first without the photographs that the base knows."""
    table = load_dataset(mislabelled)
    known = table.groupby("label").head(4).reset_index(drop=True)
    known["split"] = np.resize(["train", "test", "validation", "train"], len(known))
    known["sha256"] = [sha256_of_file(path) for path in known["path"]]
    known["duplicate_group"] = range(len(known))
    (base / SPLITS_FILE).write_bytes(known.drop(columns="path").to_parquet())
    others = tmp_path / "others.csv"
    table[~table["filename"].isin(known["filename"])][["filename", "label"]].to_csv(
        others, index=False
    )
    first = train_quick(mislabelled, "first", base, csv=others)
    assert first.training["unrecorded"] == []
    assert unrecorded_ancestors(base.parent / "first") == []
    assert "neither this head nor `tiny` learned from" in card_of(first)
    train_quick(mislabelled, "second", base.parent / "first")
    second = read_splits(base.parent / "second")
    assert second is not None
    kept = second.set_index("sha256")["split"]
    assert kept[known["sha256"]].tolist() == known["split"].tolist()
    lineage = read_lineage(base.parent / "first")
    assert lineage is not None and len(lineage) == len(table)
    assert match_splits(known["sha256"], lineage).tolist() == known["split"].tolist()


def test_that_nothing_is_known_of_a_base_is_recorded(base: Path, mislabelled: Path) -> None:
    first = train_quick(mislabelled, "first", base)
    assert first.training["unrecorded"] == ["tiny"]
    assert "neither this head nor `tiny` is known to have learned from" in card_of(first)
    train_quick(mislabelled, "second", base.parent / "first")
    assert unrecorded_ancestors(base.parent / "second") == ["tiny"]
    verdict = judge_models(base.parent / "first", base.parent / "second")
    assert "neither is known to have learned from" in verdict.sentence


def card_of(manifest: BundleManifest) -> str:
    return (find_model(manifest.name) / MODEL_CARD_FILE).read_text()


def test_models_without_a_common_class_are_said_to_have_none(
    base: Path, mislabelled: Path, tmp_path: Path
) -> None:
    train_quick(mislabelled, "first", base)
    (others := tmp_path / "others").mkdir()
    for number, label in enumerate(CLASS_NAMES):
        (others / f"my {label}").mkdir()
        for seed in range(20):
            photograph = photo_bytes(label, 1000 * number + 100 + seed)
            (others / f"my {label}" / f"{seed}.jpg").write_bytes(photograph)
    models = base.parent
    train_quick(others, "mine", models / "first")
    with pytest.raises(DatasetError, match="first and mine have no class in common"):
        judge_models(models / "first", models / "mine")


def test_quick_training_refuses_what_it_cannot_do(base: Path, mislabelled: Path) -> None:
    train_quick(mislabelled, "once", base)
    with pytest.raises(ModelBundleError, match="exists already"):
        train_quick(mislabelled, "once", base)
    manifest = BundleManifest("k", "net", 224, "minus_one_to_one", CLASS_NAMES)
    bundle.write_bundle(base.parent / "k", manifest, {KERAS_FILE: b"keras"})
    with pytest.raises(ModelBundleError, match=r"no model\.onnx"):
        train_quick(mislabelled, "twice", base.parent / "k")
    for unreadable in (10, None):
        for path in sorted((mislabelled / "train").iterdir())[:unreadable]:
            path.write_bytes(b"")
        with pytest.raises(DatasetError, match=r"cannot be used(.|\n)*clapping_0\.jpg: .*empty"):
            train_quick(mislabelled, "empty", base)


def test_new_photographs_join_the_split_of_their_duplicates() -> None:
    table = pd.DataFrame(
        {
            "label": ["run"] * 6,
            "sha256": ["a", "b", "c", "d", "e", "f"],
            "duplicate_group": [1, 1, 2, 2, 3, 4],
        }
    )
    recorded = pd.DataFrame({"sha256": ["a", "c"], "split": ["test", "train"]})
    split = inherited_split(table, recorded)
    assert split[:4].tolist() == ["test", "test", "train", "train"]
    assert set(split[4:]) <= {"train", "validation", "test"}
    assert len(inherited_split(table, None)) == 6
    twice = pd.DataFrame({"sha256": ["a", "a", "c"], "split": ["train", "test", "train"]})
    assert inherited_split(table, twice)[:2].tolist() == ["test", "test"]


def test_new_photograph_that_resembles_what_is_learned_and_what_is_measured_is_left_out() -> None:
    table = pd.DataFrame(
        {
            "filename": list("abcde"),
            "label": ["run"] * 5,
            "sha256": list("abcde"),
            "duplicate_group": [1, 1, 1, 2, 3],
        }
    )
    recorded = pd.DataFrame({"sha256": list("abd"), "split": ["test", "train", "train"]})
    nothing = pd.DataFrame(columns=["filename", "label", "reason"])
    found = split_dataset(table, nothing, ("run",), recorded, base="base", seed=0)
    assert found.table["split"][:4].tolist() == ["test", "train", "", "train"]
    assert found.counts == {"train": 3, "test": 1}
    assert found.skipped["filename"].tolist() == ["c"]
    assert "measured by" in found.skipped["reason"].iloc[0]


def test_fine_tuning_goes_on_from_the_network_behind_a_quick_model(
    base: Path, mislabelled: Path
) -> None:
    train_quick(mislabelled, "quick", base)
    with pytest.raises(ModelBundleError, match=r"'tiny', behind 'quick', has no model\.keras"):
        fine_tunable(base.parent / "quick")
    with pytest.raises(ModelBundleError, match=r"'tiny' has no model\.keras"):
        fine_tunable(base)
    manifest = read_manifest(base)
    files = {name: (base / name).read_bytes() for name in manifest.files}
    bundle.write_bundle(base, manifest, {**files, KERAS_FILE: b"keras"}, overwrite=True)
    settings = effort_settings("standard", base.parent / "quick")
    assert Path(settings.backbone_weights) == (base / KERAS_FILE).resolve()
    assert effort_settings("full", base).backbone_weights == "imagenet"


def test_settings_of_an_effort_can_be_changed_where_they_mean_something(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[dict[str, Any]] = []
    monkeypatch.setattr(quick_run, "train_quick", lambda *of, **rest: given.append(rest))
    train_with_effort("quick", base, "x", base, changes={"seed": 3})
    assert given[0]["seed"] == 3
    full = effort_settings(
        "full", base, {"epochs": 3, "mixup": 0.0, "backbone_weights": "here.keras"}
    )
    assert full.backbone_weights == "here.keras"
    assert (full.epochs, full.augmentation.mixup) == (3, 0.0)
    assert full.splits_of == str(base)
    with pytest.raises(HarError, match=r"fits a head .* takes no --learning-rate"):
        check_changes("quick", {"learning_rate": 1e-3, "seed": 1})
    with pytest.raises(HarError, match=r"takes no --teacher\."):
        check_changes("quick", {"teachers": ("tiny",)})
    with pytest.raises(HarError, match="takes no --backbone-weights"):
        effort_settings("standard", base, {"backbone_weights": "imagenet"})
    with pytest.raises(HarError, match=r"learning rate must be in \(0, 1\)"):
        effort_settings("full", base, {"learning_rate": 2.0})


def test_few_photographs_get_more_epochs_unless_somebody_gave_their_number(base: Path) -> None:
    full = effort_settings("full", base)
    assert full.for_photographs(8_000) == full
    few = full.for_photographs(80)  # three steps an epoch
    assert (few.head_epochs, few.epochs, few.small_epochs) == (67, 67, 43)
    given = effort_settings("full", base, {"epochs": 3})
    few = given.for_photographs(80)
    assert (few.head_epochs, few.epochs, few.small_epochs) == (67, 3, given.small_epochs)
    given = effort_settings("full", base, {"head_epochs": 2, "epochs": 3})
    assert given.for_photographs(80) == given
    no_tuning = dataclasses.replace(full, epochs=0).for_photographs(80)
    assert (no_tuning.head_epochs, no_tuning.epochs) == (67, 0)


def test_card_counts_a_single_epoch() -> None:
    told = summarise(dataclasses.asdict(TrainingSettings(head_epochs=1, epochs=2)), 200)
    assert "1 epoch of the head" in told and "2 epochs of the whole" in told
