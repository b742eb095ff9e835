import dataclasses
import itertools
import json
import shlex
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from har_core import load_model
from har_core.cli.main import application
from har_core.errors import DatasetError, HarError, ModelBundleError
from har_core.keras_io.loading import load_network
from har_core.model import bundle
from har_core.model.manifest import (
    KERAS_FILE,
    MODEL_CARD_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    TRAINING_LOG_FILE,
)
from har_core.model.records import (
    match_splits,
    read_lineage,
    read_splits,
    recorded_cross_validation,
)
from har_core.progress import silent
from har_core.settings import shipped
from har_core.storage.locks import folder_to_oneself
from har_core.training import run
from har_core.training.learning import stages
from har_core.training.preparation import prepare_dataset
from har_core.training.publication import NotPublishedError
from har_core.training.run import train
from har_core.training.run_folder import Checkpoint, RunFolder
from har_core.training.settings import TrainingSettings
from har_core.training.trainer import Trainer
from tests.drawing import CLASS_NAMES, photo_bytes, write_dataset, write_small_backbone

SETTINGS = TrainingSettings(
    backbone_weights="random",
    head_epochs=1,
    epochs=2,
    small_epochs=0,
    size=96,
    batch_size=8,
    warmup_epochs=0.5,
    frozen_blocks=1,
    notes="Drawn, not photographed.",
)


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Train in one go, and go on from what a kill after the first epoch would have left.

    Both as where there is no TensorFlow; the second is published by the command that it says.
    """
    root = tmp_path_factory.mktemp("training") / "with a space"
    dataset = write_dataset(root / "dataset", per_class=10)
    with (dataset / "train.csv").open("a") as table:
        table.write("lost.jpg,sitting\n")
    backbone = write_small_backbone(root / "backbone.keras")
    settings = dataclasses.replace(SETTINGS, backbone_weights=str(backbone))
    epochs_after = []

    def leave_as_a_kill_would(row):
        if (row["stage"], row["epoch"]) == ("fine-tuning", 1):
            shutil.copytree(root / "straight", root / "runs")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAR_MODELS_DIR", str(root / "models"))
        losses, measured = itertools.count(), stages.validation_quality
        patch.setattr(
            stages,
            "validation_quality",
            lambda *of: {**measured(*of), "validation_calibrated_log_loss": float(next(losses))},
        )
        patch.setattr(run, "runs_tensorflow", lambda: False)
        with pytest.raises(NotPublishedError):
            train(
                dataset,
                "trained",
                settings,
                runs_dir=root / "straight",
                on_epoch=leave_as_a_kill_would,
            )
        start = partial(train, dataset, "trained", runs_dir=root / "runs")
        with pytest.raises(HarError, match="--resume"):
            start(settings)
        with pytest.raises(NotPublishedError) as done:
            start(
                TrainingSettings(seed=99),
                resume=True,
                on_epoch=lambda row: epochs_after.append((row["stage"], row["epoch"])),
            )
        patch.setattr(run, "runs_tensorflow", lambda: True)
        _, said = str(done.value).split("KERAS_BACKEND=tensorflow har ")
        published = CliRunner().invoke(application(), shlex.split(said))
        assert published.exit_code == 0, published.output
        yield root, bundle.verify_bundle(root / "models" / "trained"), epochs_after


def test_resumed_run_repeats_no_epoch_and_ends_like_an_uninterrupted_one(runs):
    root, resumed, epochs_after = runs
    assert epochs_after == [("fine-tuning", 2)]
    assert resumed.training["settings"]["seed"] == SETTINGS.seed
    straight, trained = RunFolder(root / "straight" / "trained"), root / "models" / "trained"
    logs = [pd.DataFrame(straight.read_checkpoint().log), pd.read_csv(trained / TRAINING_LOG_FILE)]
    for log in logs:
        assert log["stage"].tolist() == ["head", "fine-tuning", "fine-tuning"]
    np.testing.assert_allclose(logs[0]["training_loss"], logs[1]["training_loss"], rtol=2e-3)
    # The weights also tell whether the optimiser's moments and moving average came back.
    first, second = straight.read_best("fine-tuning"), load_network(trained / KERAS_FILE)
    for a, b in zip(first, second.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=2e-5)


def test_few_validation_photographs_choose_no_epoch(runs):
    """Each epoch looked worse than the one before it."""
    root, *_ = runs
    folder = root / "models" / "trained"
    held_out = pd.read_parquet(folder / PREDICTIONS_FILE).query("split == 'validation'")
    own = [row[row["label"]] for _, row in held_out.iterrows()]
    last = pd.read_csv(folder / TRAINING_LOG_FILE).iloc[-1]
    assert -np.log(own).mean() == pytest.approx(last["validation_log_loss"], abs=1e-4)
    assert "The last epoch was kept" in (folder / MODEL_CARD_FILE).read_text()


def check_that_it_predicts_as_recorded(folder, dataset):
    trained = bundle.verify_bundle(folder)
    predictions = pd.read_parquet(folder / PREDICTIONS_FILE)
    assert np.ptp(predictions[list(CLASS_NAMES)], axis=0).max() > 0.01  # it tells them apart
    photo = predictions[predictions["split"] == "test"].iloc[0]
    served = load_model(folder).predict(dataset / "train" / photo["filename"])
    recorded = photo[list(CLASS_NAMES)].to_numpy(float) ** (1 / trained.temperature)
    recorded /= recorded.sum()
    np.testing.assert_allclose(list(served.probabilities.values()), recorded, atol=1e-4)


def test_bundle_is_complete_and_predicts_as_recorded(runs):
    root, trained, *_ = runs
    folder = root / "models" / "trained"
    predictions = pd.read_parquet(folder / PREDICTIONS_FILE)
    splits = pd.read_parquet(folder / SPLITS_FILE)
    assert trained.class_names == CLASS_NAMES
    assert set(predictions["split"]) == {"validation", "test"}
    assert len(splits) == 30
    judged = recorded_cross_validation(folder, trained)
    assert judged["sha256"].tolist() == splits["sha256"].tolist()
    held_out = splits[splits["split"] != "train"]
    assert set(predictions["sha256"]) == set(held_out["sha256"])
    np.testing.assert_allclose(judged[list(CLASS_NAMES)].sum(axis=1), 1, atol=1e-5)
    card = (folder / MODEL_CARD_FILE).read_text()
    assert "24 photographs for training" in card
    assert "Drawn, not photographed." in card
    assert splits.groupby("duplicate_group")["split"].nunique().max() == 1
    check_that_it_predicts_as_recorded(folder, root / "dataset")


def test_real_network_predicts_as_recorded(runs, tmp_path, monkeypatch):
    """It is fine-tuned at its end, which spares compiling the way back."""
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    settings = dataclasses.replace(
        SETTINGS,
        backbone_weights=str(shipped("models") / "cnn_lstm_har15" / KERAS_FILE),
        head_epochs=0,
        epochs=1,
        frozen_blocks=14,
    )
    trained = train(root / "dataset", "trained", settings, runs_dir=tmp_path / "runs")
    folder = tmp_path / "models" / "trained"
    assert bundle.verify_bundle(folder) == trained
    check_that_it_predicts_as_recorded(folder, root / "dataset")


def test_network_that_goes_on_from_another_sees_other_crops(runs, tmp_path, monkeypatch):
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(root / "models"))
    prepared = prepare_dataset(root / "dataset", tmp_path)

    def first_draws(backbone_weights):
        settings = dataclasses.replace(SETTINGS, backbone_weights=str(backbone_weights))
        trainer = Trainer(prepared, settings, RunFolder(tmp_path), silent, silent)
        return next(trainer.views.batches(0))[1]

    earlier = root / "models" / "trained" / KERAS_FILE
    on, again = first_draws(earlier), first_draws(earlier)
    np.testing.assert_array_equal(on, again)
    assert not np.array_equal(on, first_draws(root / "backbone.keras"))
    swapped = prepared.table["split"].replace({"train": "test", "test": "train"})
    prepared.table["split"] = swapped  # what it has learned from would measure the new one
    with pytest.raises(ModelBundleError, match="trained on 24 of the 27 photographs"):
        first_draws(earlier)


def test_network_that_goes_on_from_another_records_what_that_has_met(runs, tmp_path, monkeypatch):
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(root / "models"))
    dataset = tmp_path / "dataset"
    for label in CLASS_NAMES:
        (dataset / label).mkdir(parents=True)
        for seed in range(50, 54):
            (dataset / label / f"{seed}.jpg").write_bytes(photo_bytes(label, seed))
    earlier = root / "models" / "trained"
    settings = dataclasses.replace(
        SETTINGS, backbone_weights=str(earlier / KERAS_FILE), head_epochs=0, epochs=1
    )
    later = train(dataset, "later", settings, runs_dir=tmp_path / "runs")
    assert later.training["unrecorded"] == []
    known, met = read_splits(earlier), read_lineage(root / "models" / "later")
    assert match_splits(known["sha256"], met).tolist() == known["split"].tolist()
    assert len(met) == len(known) + 12


def test_weights_that_are_gone_from_a_bundle_are_named(runs, tmp_path, monkeypatch):
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(root / "models"))
    gone = root / "models" / "trained" / "gone.keras"
    settings = dataclasses.replace(SETTINGS, backbone_weights=str(gone))
    with pytest.raises(ModelBundleError, match=r"gone\.keras"):
        train(root / "dataset", "on", settings, runs_dir=tmp_path)


def test_manifest_records_run_and_skipped_photographs(runs):
    _, trained, *_ = runs
    record = trained.training
    assert record["photographs"] == {"train": 24, "validation": 3, "test": 3}
    assert [row["filename"] for row in record["skipped"]] == ["lost.jpg"]
    assert record["packages"]["keras"]
    assert trained.metrics["split"] == "test"
    assert trained.metrics["n"] == 3
    json.dumps(record)


def test_finished_run_leaves_no_checkpoints_behind(runs):
    root, *_ = runs
    assert not (root / "runs" / "trained").exists()


def test_published_run_is_published_once_and_a_stranger_s_not_at_all(runs, monkeypatch):
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(root / "models"))
    for name, message in (("trained", "exists already"), ("never", "There is no run in")):
        command = ["publish", str(root / "runs" / name), "--dataset", str(root / "dataset")]
        with pytest.raises(HarError, match=message):
            CliRunner().invoke(application(), command, catch_exceptions=False)


@pytest.mark.parametrize("command", ["publish", "train", "recipe"])
def test_run_whose_bundle_is_there_is_not_advised_to_take_a_name_that_has_no_run(
    command, runs, monkeypatch, tmp_path
):
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(root / "models"))
    run = RunFolder(tmp_path / "trained")
    run.make()
    run.write_settings({"settings": dataclasses.asdict(SETTINGS), "dataset": "any"})
    run.write_checkpoint(Checkpoint("fine-tuning", SETTINGS.epochs, 0.5))
    (tmp_path / "a.toml").write_text("[[teacher]]\n[student]\n")
    resumed = ["train", "--name", "trained", "--runs-dir", str(tmp_path), "--resume"]
    arguments = {
        "publish": ["publish", str(run.path)],
        "train": resumed,
        "recipe": [*resumed, "--recipe", str(tmp_path / "a.toml")],
    }[command]
    with pytest.raises(ModelBundleError, match="exists already; overwrite it") as refused:
        CliRunner().invoke(
            application(), [*arguments, "--dataset", str(root / "dataset")], catch_exceptions=False
        )
    assert "--name" not in str(refused.value)
    assert (f"rename {run.path}" in str(refused.value)) == (command != "recipe")


@pytest.mark.parametrize(
    ("epochs", "reached", "said"),
    [
        (2, None, "no epoch is done"),
        (2, Checkpoint("head", 1, 0.5), "epoch 1 of its head is done"),
        (2, Checkpoint("fine-tuning", 1, 0.5), "epoch 1 of its fine-tuning is done"),
        (2, Checkpoint("fine-tuning", 2, 0.5), None),
        (0, Checkpoint("head", 1, 0.5), None),
    ],
)
def test_only_a_run_that_is_trained_to_its_end_is_published(
    epochs, reached, said, tmp_path, monkeypatch
):
    monkeypatch.setattr(run, "train", lambda *_, **__: pytest.fail("published"))
    settings = dataclasses.replace(SETTINGS, epochs=epochs)
    folder = RunFolder(tmp_path / "mine")
    folder.make()
    folder.write_settings({"settings": dataclasses.asdict(settings), "dataset": "any"})
    if reached is not None:
        folder.write_checkpoint(reached)
    dataset = write_dataset(tmp_path / "dataset")
    command = ["publish", str(folder.path), "--dataset", str(dataset)]
    with pytest.raises((HarError, pytest.fail.Exception)) as ended:
        CliRunner().invoke(application(), command, catch_exceptions=False)
    assert (said or "published") in str(ended.value)


def test_effort_goes_on_without_the_model_that_it_began_with(tmp_path, monkeypatch):
    """Neither its name is asked for, nor has the newest model anything to do with it."""
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    asked = []
    monkeypatch.setattr(run, "train", lambda *of, **options: asked.append(options) or 1 / 0)
    command = ["train", "--name", "mine", "--runs-dir", str(tmp_path), "--effort", "standard"]
    command += ["--dataset", str(write_dataset(tmp_path / "dataset")), "--resume"]
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(application(), command, catch_exceptions=False)
    assert asked[0]["resume"]


def test_existing_bundle_is_not_overwritten_unasked(runs, monkeypatch):
    root, *_ = runs
    monkeypatch.setenv("HAR_MODELS_DIR", str(root / "models"))
    with pytest.raises(ModelBundleError, match="exists already"):
        train(root / "dataset", "trained", SETTINGS, runs_dir=root / "runs")


def test_changed_dataset_is_not_resumed(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    dataset = write_dataset(tmp_path / "dataset")
    run = RunFolder(tmp_path / "runs" / "changed")
    run.make()
    run.write_settings({"settings": dataclasses.asdict(SETTINGS), "dataset": "another"})
    with pytest.raises(DatasetError, match="photographs or labels changed"):
        train(dataset, "changed", runs_dir=tmp_path / "runs", resume=True)


def test_what_was_learned_from_measures_no_run_that_goes_on(tiny_models, tmp_path):
    """The model whose split is kept was trained anew in between, with another seed."""
    dataset, base = write_dataset(tmp_path / "dataset", per_class=4), tiny_models / "tiny"

    def split_by(seed):
        prepared = prepare_dataset(dataset, tmp_path, seed=seed)
        (base / SPLITS_FILE).write_bytes(prepared.table.drop(columns="path").to_parquet())

    def kill(what, done, total):
        if what == "Computing features":  # the first thing that learning does
            raise Killed

    backbone = write_small_backbone(tmp_path / "backbone.keras")
    settings = dataclasses.replace(SETTINGS, splits_of=str(base), backbone_weights=str(backbone))
    split_by(0)
    start = partial(train, dataset, "on", settings, runs_dir=tmp_path / "runs")
    with pytest.raises(Killed):
        start(progress=kill)
    split_by(1)
    with pytest.raises(DatasetError, match="not split as it was"):
        start(resume=True, progress=kill)
    split_by(0)
    with pytest.raises(Killed):
        start(resume=True, progress=kill)


def test_run_that_a_process_is_at_work_on_is_neither_begun_nor_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))

    def kill(*_):
        raise Killed

    dataset = write_dataset(tmp_path / "dataset")
    start = partial(train, dataset, "mine", runs_dir=tmp_path / "runs", progress=kill)
    at_work = RunFolder(tmp_path / "runs" / "mine")
    at_work.make()
    with folder_to_oneself(at_work.path):
        with pytest.raises(HarError, match="Another process is at work on"):
            start(SETTINGS)  # while that one reads the photographs
        at_work.write_settings({"settings": dataclasses.asdict(SETTINGS), "dataset": "any"})
        for resume in (False, True):
            with pytest.raises(HarError, match="Another process is at work on"):
                start(SETTINGS, resume=resume)
    with pytest.raises(HarError, match="--resume"):
        start(SETTINGS)
    with pytest.raises(Killed):
        start(resume=True)


def test_nothing_to_resume_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    with pytest.raises(HarError, match="no interrupted run"):
        train(tmp_path, "new", SETTINGS, runs_dir=tmp_path / "runs", resume=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 1.0}, r"dropout must be in \[0, 1\)"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 3_000_000_000}, "seed must be from 0"),
        ({"weight_decay": -5.0}, "weight decay"),
        ({"head_learning_rate": -1.0}, "head's learning rate"),
        ({"ema_epochs": -3.0}, "moving average"),
        ({"warmup_epochs": -1.0}, "warm-up"),
        ({"validation": 0.6, "test": 0.5}, "shares of validation and test"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(HarError, match=message):
        TrainingSettings(**settings)


def test_folder_that_is_no_run_survives_a_mistyped_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    precious = tmp_path / "runs" / "detect" / "weights.pt"
    precious.parent.mkdir(parents=True)
    precious.write_bytes(b"precious")
    with pytest.raises(HarError, match="holds other files"):
        train(tmp_path / "typo", "detect", SETTINGS, runs_dir=tmp_path / "runs")
    assert precious.read_bytes() == b"precious"
    with pytest.raises(HarError, match="no interrupted run"):
        train(tmp_path, "typo", SETTINGS, runs_dir=tmp_path / "runs", resume=True)
    assert not (tmp_path / "runs" / "typo").exists()


def test_run_of_another_version_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    run = RunFolder(tmp_path / "runs" / "old")
    run.make()
    run.write_settings({"settings": {"seed": 0}, "dataset": "x"})
    with pytest.raises(HarError, match="another version"):
        train(tmp_path, "old", runs_dir=tmp_path / "runs", resume=True)


@pytest.mark.parametrize("name", ["split", "group", "prediction", "confidence"])
def test_class_that_is_called_like_a_column_is_refused_before_a_photograph_is_read(
    tmp_path, monkeypatch, name
):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    dataset = write_dataset(tmp_path / "dataset")
    table = dataset / "train.csv"
    table.write_text(table.read_text().replace("sitting\n", f"{name}\n"))
    steps = []
    with pytest.raises(DatasetError, match=f"cannot be called '{name}'"):
        train(
            dataset,
            "new",
            SETTINGS,
            runs_dir=tmp_path / "runs",
            progress=lambda *step: steps.append(step),
        )
    assert steps == []


def test_run_that_cannot_start_leaves_nothing_to_resume(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    dataset = write_dataset(tmp_path / "dataset")
    settings = TrainingSettings(backbone_weights=str(tmp_path / "nowhere.weights.h5"))
    with pytest.raises(ModelBundleError, match=r"no backbone weights file .*nowhere"):
        train(dataset, "new", settings, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs" / "new").exists()


def test_last_epoch_is_never_small():
    settings = TrainingSettings(epochs=3, small_epochs=9)
    assert [settings.is_small(epoch) for epoch in range(3)] == [True, True, False]
    assert not TrainingSettings(epochs=1, small_epochs=9).is_small(0)
