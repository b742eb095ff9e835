import json
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from har_core.cli import evaluate, main
from har_core.dataset.decisions import decide
from har_core.dataset.table import load_dataset
from har_core.errors import HarError
from har_core.evaluation.comparison import SEVERAL_TESTS
from har_core.evaluation.documents import metrics_json
from har_core.evaluation.store import read_evaluation
from har_core.model.bundle import update_manifest
from tests.drawing import CLASS_NAMES, COLOUR_WEIGHTS, photo_bytes, write_tiny_bundle
from tests.evaluated import write_evaluated_bundle


@pytest.fixture
def dataset(tiny_dataset, tmp_path, monkeypatch):
    """Two models that know the dataset's splits: one tells colours, one confuses them."""
    models = tmp_path / "models"
    monkeypatch.setenv("HAR_MODELS_DIR", str(models))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    table = load_dataset(tiny_dataset).assign(split=["train", "validation", "test", "test"] * 3)
    rolled = np.roll(COLOUR_WEIGHTS, 1, axis=1)
    for name, weights in (("good", COLOUR_WEIGHTS), ("bad", rolled)):
        write_evaluated_bundle(models, table, CLASS_NAMES, name=name, weights=weights)
    return tiny_dataset


def run(*arguments) -> Result:
    return CliRunner().invoke(evaluate.app, [str(a) for a in arguments], catch_exceptions=False)


def test_evaluate_writes_metrics_and_predictions(dataset, tmp_path):
    metrics, predictions = tmp_path / "metrics.json", tmp_path / "predictions.csv"
    answer = run(
        *("evaluate", "--model", "good", "--dataset", dataset, "--split", "test"),
        *("--json", metrics, "--predictions", predictions),
    )
    assert answer.exit_code == 0
    assert "Top-1 accuracy" in answer.stdout
    body = json.loads(metrics.read_text())
    assert (body["model"], body["n"]) == ("good", 6)
    for name in ("top1", "top3", "macro_f1", "log_loss", "ece"):
        assert set(body[name]) == {"value", "low", "high"}
    assert body["top1"]["value"] == 1
    assert set(body["per_class"]) == set(CLASS_NAMES)
    table = pd.read_csv(predictions)
    assert list(table) == ["filename", "label", "prediction", "confidence", *CLASS_NAMES]
    assert (table["label"] == table["prediction"]).all()
    assert np.allclose(table[list(CLASS_NAMES)].sum(axis=1), 1)
    assert body["caveats"] == []


def test_a_model_or_a_dataset_in_the_place_of_results_is_told_how_it_is_named(dataset):
    for named, said in (
        ("good", "har evaluate --model good --dataset DATASET"),
        (dataset, f"har evaluate --dataset {dataset}"),
    ):
        for more in ((), ("--dataset", dataset)):
            with pytest.raises(HarError, match=said):
                run("evaluate", named, *more)


def test_photographs_of_a_split_that_are_gone_or_replaced_are_counted(dataset):
    photos = dataset / "train"
    (photos / "running_3.jpg").write_bytes(photo_bytes("running", 500))
    (photos / "sitting_3.jpg").unlink()
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--split", "test")
    assert "good on 4 photographs" in answer.stdout
    said = "2 of the 6 photographs of good's test split are not in this dataset."
    assert said in " ".join(answer.stderr.split())


def test_the_page_and_the_command_line_write_the_same_fields_of_metrics(dataset, tmp_path):
    """Both take them from `metrics_json`; a model's own test split knows no folder."""
    metrics = tmp_path / "metrics.json"
    run(
        *("evaluate", "--model", "good", "--dataset", dataset, "--split", "test"),
        *("--json", metrics),
    )
    written = json.loads(metrics.read_text())
    own = read_evaluation(tmp_path / "models" / "good", "test")
    shown = json.loads(metrics_json(own, []))
    assert list(written) == list(shown)
    assert (written["dataset"], written["split"]) == (str(dataset), "test")
    assert (shown["dataset"], shown["split"], shown["evaluation"]) == (None, "test", "test")


def test_a_variant_of_a_split_s_name_is_recorded_as_that_split(dataset, tmp_path):
    folder, metrics = tmp_path / "folders", tmp_path / "metrics.json"
    for seed, split in enumerate(("train", "val")):
        for label in CLASS_NAMES:
            place = folder / split / label
            place.mkdir(parents=True)
            (place / "a.jpg").write_bytes(photo_bytes(label, 50 + seed))
    arguments = ("--dataset", folder, "--split", "val", "--json", metrics)
    assert run("evaluate", "--model", "good", *arguments).exit_code == 0
    body = json.loads(metrics.read_text())
    assert (body["n"], body["split"], body["evaluation"]) == (3, "validation", "validation")


def test_models_that_are_not_there_are_said_before_others_are_run(dataset, monkeypatch):
    monkeypatch.setattr(evaluate, "_run", None)
    with pytest.raises(HarError, match="There is no model 'godo'"):
        run("compare", "good", "godo", "--dataset", dataset)


def test_models_on_trial_are_compared_by_their_names(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    trials = tmp_path / "data" / "training" / "20260101-000000-new" / "models"
    table = load_dataset(dataset).assign(split=["train", "validation", "test", "test"] * 3)
    rolled = np.roll(COLOUR_WEIGHTS, 1, axis=1)
    write_evaluated_bundle(trials, table, CLASS_NAMES, name="new", weights=rolled)
    verdict = run("compare", "good", "new", "--verdict")
    assert verdict.exit_code == 0 and "new" in verdict.stdout
    compared = run("compare", "good", "new", "--dataset", dataset, "--split", "test")
    assert compared.exit_code == 0 and "6 photographs" in compared.stdout
    with pytest.raises(HarError, match="There is no model 'new'"):
        run("evaluate", "--model", "new", "--dataset", dataset)


def test_names_of_models_are_no_markup(dataset, tmp_path, monkeypatch):
    (tmp_path / "[").mkdir()
    (tmp_path / "models").rename(tmp_path / "[" / "x]")
    (tmp_path / ":dog:").symlink_to(tmp_path / "[" / "x]" / "bad")
    monkeypatch.chdir(tmp_path)
    compared = run("compare", "[/x]/good", ":dog:", "--dataset", dataset, "--split", "test")
    assert compared.exit_code == 0
    assert "[/x]/good" in compared.stdout and ":dog:" in compared.stdout


def test_evaluating_training_photographs_is_pointed_out(dataset):
    answer = run("evaluate", "--model", "good", "--dataset", dataset)
    assert answer.exit_code == 0
    assert "6 of 12 photographs are among those that the model was trained" in answer.stderr


def test_corrected_labels_count_where_the_cleaned_table_is_asked_for(dataset):
    arguments = ("evaluate", "--model", "good", "--dataset", dataset)
    assert "review" not in run(*arguments).stderr
    decide(dataset, "relabel", ["running_0.jpg"], "sitting")
    decide(dataset, "exclude", ["running_1.jpg"])
    as_it_is = run(*arguments)
    assert "good on 12 photographs" in as_it_is.stdout
    assert "with --cleaned it does" in " ".join(as_it_is.stderr.split())
    cleaned = run(*arguments, "--cleaned", "--json", "-")
    assert json.loads(cleaned.stdout)["top1"]["value"] == pytest.approx(10 / 11)
    assert "1 relabelled, 1 excluded by the review." in cleaned.stderr
    compared = run("compare", "good", "bad", "--dataset", dataset, "--cleaned")
    assert "11 photographs that every model was evaluated on" in compared.stdout


def test_another_validation_folder_is_not_what_the_confidence_was_fitted_on(dataset, tmp_path):
    folder = tmp_path / "folders"
    for split in ("train", "val"):
        for label in CLASS_NAMES:
            place = folder / split / label
            place.mkdir(parents=True)
            (place / "a.jpg").write_bytes(photo_bytes(label, 70 + len(split)))
    models = tmp_path / "models"
    write_tiny_bundle(models, "unrecorded", temperature=0.7)
    update_manifest(models / "good", temperature=0.7)
    for name in ("good", "unrecorded"):
        answer = run("evaluate", "--model", name, "--dataset", folder, "--split", "val")
        assert "3 photographs" in answer.stdout
        assert "fitted on these" not in " ".join(answer.stderr.split())
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--split", "validation")
    assert "fitted on these" in " ".join(answer.stderr.split())


def test_the_report_shows_what_the_review_labelled(dataset, tmp_path):
    table = load_dataset(dataset)
    table[table["filename"].ne("running_0.jpg")].to_csv(
        dataset / "train.csv", index=False, columns=["filename", "label"]
    )
    decide(dataset, "relabel", ["running_0.jpg"], "sitting")  # the only mistake
    report = tmp_path / "report.html"
    run(
        *("evaluate", "--model", "good", "--dataset", dataset, "--cleaned"),
        *("--report", report),
    )
    assert report.read_text().count("data:image/jpeg") == 1


def test_what_the_review_excluded_is_not_said_to_be_gone(dataset):
    decide(dataset, "exclude", ["running_3.jpg"])
    arguments = ("evaluate", "--model", "good", "--dataset", dataset, "--split", "test")
    assert "test split" not in run(*arguments).stderr
    answer = run(*arguments, "--cleaned")
    assert "good on 5 photographs" in answer.stdout
    said = "1 of the 6 photographs of good's test split is not in this dataset as the review left"
    assert said in " ".join(answer.stderr.split())
    compared = run("compare", *("good", "bad"), *arguments[3:], "--cleaned")
    assert " ".join(compared.stderr.split()).count(said) == 2


def test_decisions_that_change_nothing_here_are_not_said_to_count(dataset, tmp_path):
    decide(dataset, "relabel", ["running_0.jpg"], "running")
    decide(dataset, "exclude", ["gone.jpg"])
    arguments = ("evaluate", "--model", "good", "--dataset", dataset)
    assert "review" not in run(*arguments).stderr
    decide(dataset, "exclude", ["running_1.jpg"])
    assert "with --cleaned it does" in " ".join(run(*arguments).stderr.split())
    csv = tmp_path / "cleaned.csv"
    table = load_dataset(dataset)
    table[table["filename"].ne("running_1.jpg")].to_csv(csv, index=False)
    assert "review" not in run(*arguments, "--table", csv).stderr


def test_thousands_of_rows_that_are_left_out_do_not_flood_the_terminal(dataset, tmp_path):
    csv = tmp_path / "other.csv"
    rows = "".join(f"{n}.jpg,running\n" for n in range(25))
    csv.write_text(f"filename,label\nrunning_0.jpg,running\n{rows}")
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--table", csv)
    assert answer.exit_code == 1 and answer.stderr.count(".jpg: photograph missing") == 20
    assert answer.stderr.endswith("… and 5 more\n")


def test_metrics_alone_on_stdout_are_json(dataset):
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--json", "-")
    assert json.loads(answer.stdout)["n"] == 12


def test_another_table_and_rows_left_out_exit_with_1(dataset, tmp_path):
    csv = tmp_path / "other.csv"
    csv.write_text("filename,label\nrunning_0.jpg,running\ngone.jpg,running\nsitting_0.jpg,fly\n")
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--table", csv)
    assert answer.exit_code == 1
    assert "gone.jpg: photograph missing" in answer.stderr
    assert "sitting_0.jpg: label unknown to the model: fly" in answer.stderr
    assert run("compare", "good", "bad", "--dataset", dataset, "--table", csv).exit_code == 1


def test_the_old_name_of_table_still_works_with_a_warning(dataset, tmp_path):
    csv = tmp_path / "other.csv"
    csv.write_text("filename,label\nrunning_0.jpg,running\n")
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--csv", csv)
    assert answer.exit_code == 0
    assert "The table to read is named by --table" in answer.stderr
    with pytest.raises(HarError, match="the old name of --table"):
        run("evaluate", "--model", "good", "--dataset", dataset, "--csv", csv, "--table", csv)


def test_the_report_is_written(dataset, tmp_path):
    report = tmp_path / "report.html"
    answer = run("evaluate", "--model", "good", "--dataset", dataset, "--report", report)
    assert answer.exit_code == 0
    assert "How good is good?" in report.read_text()


def test_compare_prints_differences_and_the_test(dataset, tmp_path):
    answer = run("compare", "good", "bad", "--dataset", dataset, "--split", "test")
    assert answer.exit_code == 0
    assert "6 photographs" in answer.stdout
    assert "-1.0000" in answer.stdout
    assert "Only good is right on 6" in " ".join(answer.stdout.split())
    assert "permutation test over 6 groups gives" in " ".join(answer.stdout.split())
    write_tiny_bundle(tmp_path / "models", "unrecorded")  # measured on the split of the first
    others = ("compare", "good", "unrecorded", "--dataset", dataset, "--split", "test")
    assert run(*others).exit_code == 0
    assert SEVERAL_TESTS not in " ".join(answer.stdout.split())
    several = run("compare", "good", "bad", "unrecorded", "--dataset", dataset, "--split", "test")
    assert SEVERAL_TESTS in " ".join(several.stdout.split())


def test_photographs_that_only_share_names_with_the_test_split_are_refused(
    dataset, monkeypatch, capsys
):
    for number, path in enumerate(sorted((dataset / "train").iterdir())):
        path.write_bytes(photo_bytes("running", 1000 + number))
    arguments = ["evaluate", "--model", "good", "--dataset", str(dataset), "--split", "test"]
    monkeypatch.setattr(sys, "argv", ["har", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "6 have the names of such photographs, but other content" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("evaluate", "--dataset", "/nowhere"), "no dataset folder"),
        (("evaluate", "--model", "none", "--dataset", "DATASET"), "no model 'none'"),
        (("evaluate", "--dataset", "DATASET", "--split", "dev"), "no split 'dev'"),
        (("compare", "good", "--dataset", "DATASET"), "at least two"),
        (("compare", "good", "good", "--dataset", "DATASET"), "must differ"),
    ],
)
def test_what_cannot_work_exits_with_2(dataset, arguments, named, monkeypatch, capsys):
    arguments = [str(dataset) if a == "DATASET" else a for a in arguments]
    monkeypatch.setattr(sys, "argv", ["har_core", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert named in capsys.readouterr().err
