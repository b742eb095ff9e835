"""The loop from the command line: decisions in and out, quick training, a verdict."""

import dataclasses
import json
import shutil
from functools import partial
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from har_core.cli.main import application
from har_core.cli.train import say_what_resuming_ignores
from har_core.dataset.decisions import decide, load_decisions
from har_core.settings import shipped
from har_core.training.run_folder import RunFolder
from har_core.training.settings import TrainingSettings
from tests.command_line import har
from tests.drawing import photo_bytes, write_dataset


@pytest.fixture
def run(tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("HAR_DATASET", raising=False)
    return partial(har, folder=tmp_path)


def test_decisions_travel_and_a_quick_model_learns_from_them(run, tmp_path: Path) -> None:
    here = write_dataset(tmp_path / "here", per_class=12)
    wrong = [f"running_{n}.jpg" for n in range(4)]
    text = (here / "train.csv").read_text()
    for name in wrong:
        text = text.replace(f"{name},running", f"{name},sitting")
    (here / "train.csv").write_text(text)
    assert run("train", "--dataset", here, "--name", "old", "--effort", "quick").returncode == 0

    elsewhere = write_dataset(tmp_path / "elsewhere", per_class=12)
    decide(elsewhere, "relabel", wrong, "running")
    decide(elsewhere, "exclude", ["sitting_0.jpg"])
    decide(elsewhere, "confirm", ["sitting_1.jpg"])
    table = tmp_path / "decisions.csv"
    exported = run("review", "--dataset", elsewhere, "--export", table)
    assert "0 relabelled, 1 excluded, 5 right as they are" in exported.stdout
    with table.open("a") as file:
        file.write("unknown.jpg,running,exclude,,\n")
    imported = run("review", "--dataset", here, "--import", table)
    assert imported.returncode == 1
    assert "4 relabelled, 1 excluded, 1 right as they are" in imported.stdout
    assert "unknown.jpg" in imported.stderr
    assert set(load_decisions(here).relabelled) == set(wrong)

    events = tmp_path / "run.jsonl"
    options = ["--cleaned", "--effort", "quick", "--base", "old", "--events", events]
    trained = run("train", "--dataset", here, "--name", "new", *options)
    assert trained.returncode == 0, trained.stderr
    assert "4 relabelled, 1 excluded" in trained.stderr
    assert "Goes on from the model old." in trained.stderr
    assert json.loads(events.read_text().splitlines()[-1])["event"] == "finished"

    compared = run("compare", "old", "new", "--verdict")
    assert compared.returncode == 0, compared.stderr
    assert "photographs that neither is known to have learned from" in compared.stdout
    assert run("compare", "old", "new").returncode == 2
    assert run("train", "--dataset", here, "--name", "x", "--base", "old").returncode == 2
    useless = run("train", "--dataset", here, "--name", "x", "--effort", "quick", "--epochs", 3)
    assert useless.returncode == 2
    assert "takes no --epochs" in useless.stderr


def test_decisions_stay_readable_when_some_are_about_photographs_that_are_not_here(
    run, tmp_path: Path
) -> None:
    here = write_dataset(tmp_path / "here", per_class=2)
    elsewhere = write_dataset(tmp_path / "elsewhere", per_class=3)
    decide(elsewhere, "exclude", ["running_2.jpg", "running_0.jpg"])
    table = tmp_path / "decisions.csv"
    assert run("review", "--dataset", elsewhere, "--export", table).returncode == 0
    imported = run("review", "--dataset", here, "--import", table)
    assert imported.returncode == 1 and "running_2.jpg" in imported.stderr
    (step,) = load_decisions(here).steps
    (known,) = load_decisions(elsewhere).steps
    assert step.photographs == {"running_0.jpg": known.photographs["running_0.jpg"]}


def test_a_label_that_stays_the_same_is_not_counted_and_a_new_spelling_is_named(
    run, tmp_path: Path
) -> None:
    here = write_dataset(tmp_path / "here", per_class=4)
    decide(here, "relabel", ["sitting_0.jpg", "running_0.jpg", "running_1.jpg"], "running")
    said = run("review", "--dataset", here)
    assert "1 relabelled, 0 excluded, 2 right as they are" in said.stdout
    assert "spelling" not in said.stderr
    trained = run("train", "--dataset", here, "--cleaned", "--name", "x", "--effort", "quick")
    assert "1 relabelled, 0 excluded by the review." in trained.stderr

    decide(here, "exclude", ["gone.jpg"])
    decide(here, "confirm", ["gone too.jpg"])
    said = run("review", "--dataset", here)
    assert "1 relabelled, 0 excluded, 2 right as they are" in said.stdout

    table = tmp_path / "decisions.csv"
    table.write_text("filename,decision,new_label\nsitting_1.jpg,relabel,Running\n")
    for args in (
        ("review", "--dataset", here, "--import", table),
        ("train", "--dataset", here, "--cleaned", "--name", "y", "--effort", "quick"),
    ):
        said = run(*args).stderr
        assert "differ only in spelling" in said and "'Running' (1) and 'running' (5)" in said
        assert "relabel those photographs" in said and "merge-labels" not in said


def test_resuming_names_what_it_does_not_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder(tmp_path / "mine")
    folder.make()
    folder.write_settings({"settings": dataclasses.asdict(TrainingSettings(epochs=8))})
    say_what_resuming_ignores(folder.path, {"epochs": 8, "seed": 0, "notes": "x"})
    assert not capsys.readouterr().err
    say_what_resuming_ignores(folder.path, {"epochs": 3, "seed": 0, "mixup": 0.75})
    assert "without --epochs 3 (it has 8), --mixup 0.75 (it has " in capsys.readouterr().err


def test_a_model_or_a_class_that_cannot_be_is_said_before_anything_is_taken_over(
    run, tmp_path
) -> None:
    here = write_dataset(tmp_path / "here")
    table = tmp_path / "decisions.csv"
    rows = "running_1.jpg,exclude,\nrunning_0.jpg,relabel,confidence\n"
    table.write_text(f"filename,decision,new_label\n{rows}")
    refused = run("review", "--dataset", here, "--import", table)
    assert refused.returncode == 2 and "cannot be called 'confidence'" in refused.stderr
    assert not load_decisions(here).steps
    table.write_text("filename,decision,new_label\nrunning_0.jpg,exclude,\n")
    given = ["--import", table, "--next", tmp_path / "next.csv", "--model", "nowhere"]
    refused = run("review", "--dataset", here, *given)
    assert refused.returncode == 2 and "There is no model 'nowhere'" in refused.stderr
    assert not load_decisions(here).excluded


def test_what_to_label_next_is_written_filled_in_and_taken_over(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))

    def review(*options):
        done = CliRunner().invoke(
            application(), ["review", "--dataset", str(here), *map(str, options)]
        )
        assert done.exit_code == 0, done.output
        return done.stdout

    here = write_dataset(tmp_path / "here", per_class=5)
    table = here / "train.csv"
    table.write_text(table.read_text().replace("running_0.jpg,running", "running_0.jpg,"))
    (here / "train" / "more.jpg").write_bytes(photo_bytes("sitting", 50))
    chosen = tmp_path / "next.csv"
    review("--next", chosen)
    assert review("--next", "-", "--number", "1").count("\n") == 2
    rows = pd.read_csv(chosen, dtype=str).fillna("").set_index("filename")
    assert rows["suggested"].to_dict() == {"running_0.jpg": "running", "more.jpg": "sitting"}
    rows.loc["more.jpg", "new_label"] = "sitting"
    rows.to_csv(chosen)
    review("--import", chosen)
    assert load_decisions(here).relabelled == {"more.jpg": "sitting"}
    lines = review("--next", "-").splitlines()
    assert [line.split(",")[0] for line in lines] == ["filename", "running_0.jpg"]
    # The photograph behind a decision is another one now, which nobody has labelled.
    (here / "train" / "more.jpg").write_bytes(photo_bytes("clapping", 51))
    rows = pd.read_csv(StringIO(review("--next", "-"))).set_index("filename")
    assert rows["suggested"].to_dict() == {"running_0.jpg": "running", "more.jpg": "clapping"}
    decide(here, "exclude", [f"running_{n}.jpg" for n in range(1, 5)])
    decide(here, "confirm", ["more.jpg"])  # looked at, and left without a label
    rows = pd.read_csv(StringIO(review("--next", "-"))).set_index("filename")
    assert rows.index.tolist() == ["running_0.jpg"]
    assert "running" not in set(rows["suggested"])  # there is none any more to learn from


def test_what_was_decided_about_a_photograph_before_is_not_exported(
    run, tiny_dataset: Path, tmp_path: Path
) -> None:
    decide(tiny_dataset, "exclude", ["running_0.jpg", "running_1.jpg"])
    (tiny_dataset / "train" / "running_0.jpg").write_bytes(photo_bytes("running", 77))
    table = tmp_path / "decisions.csv"
    done = run("review", "--dataset", tiny_dataset, "--export", table)
    assert "0 relabelled, 1 excluded" in done.stdout
    assert pd.read_csv(table)["filename"].tolist() == ["running_1.jpg"]


def test_suspects_are_filled_in_and_taken_over(run, tmp_path: Path) -> None:
    here = write_dataset(tmp_path / "here", per_class=6)
    shutil.copytree(here / "train", tmp_path / "bucket")
    table = (
        (here / "train.csv").read_text().replace("running_0.jpg,running", "running_0.jpg,sitting")
    )
    (here / "train.csv").write_text(table)
    model = shipped("models") / "cnn_lstm_har15"  # it gives features
    scored = run("score", "bucket", "--to", "results", "--features", "--model", model)
    assert scored.returncode == 0, scored.stderr
    run("suspects", "results", "--table", here / "train.csv", "--csv", "suspects.csv")
    assert run("review", "--dataset", here, "--import", "suspects.csv").returncode == 0
    assert not load_decisions(here).steps  # nothing is filled in yet
    rows = pd.read_csv(tmp_path / "suspects.csv", dtype=str).fillna("").set_index("uri")
    (wrong,) = (uri for uri in rows.index if uri.endswith("/running_0.jpg"))
    rows.loc[wrong, "new_label"] = "running"
    rows.to_csv(tmp_path / "suspects.csv")
    shutil.copy(here / "train" / "running_0.jpg", here / "train" / "copy.jpg")
    taken = run("review", "--dataset", here, "--import", "suspects.csv")
    assert taken.returncode == 0, taken.stderr
    assert load_decisions(here).relabelled == {"running_0.jpg": "running"}
    (here / "train" / "running_0.jpg").unlink()
    (here / "train" / "other.jpg").write_bytes((here / "train" / "copy.jpg").read_bytes())
    table = (here / "train.csv").read_text().replace("running_0.jpg", "copy.jpg")
    (here / "train.csv").write_text(table)
    assert run("review", "--dataset", here, "--import", "suspects.csv").returncode == 0
    assert {"copy.jpg", "other.jpg"} < set(load_decisions(here).relabelled)
    rows.assign(sha256="0" * 64).to_csv(tmp_path / "suspects.csv")
    assert run("review", "--dataset", here, "--import", "suspects.csv").returncode == 1
