import io
import json
import shutil
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.jobs.registry import dismiss_job, find_jobs, start_job
from dashboard.wording.metrics import calibration_sentence
from har_core.dataset.table import load_dataset
from har_core.evaluation.audit.answers import answer, read_answers
from har_core.evaluation.audit.estimate import audit_sample, estimate
from har_core.evaluation.calibration import fit_temperature
from har_core.evaluation.comparison import SEVERAL_TESTS
from har_core.evaluation.store import keep_evaluation, list_evaluations, read_evaluation
from har_core.model import bundle
from har_core.model.manifest import PREDICTIONS_FILE, SPLITS_FILE, read_manifest
from har_core.storage.data import runs_folder
from tests.drawing import CLASS_NAMES, photo_bytes, write_dataset, write_tiny_bundle
from tests.evaluated import draw_table, write_evaluated_bundle
from tests.parts import run_its_part
from tests.patience import PATIENCE_S
from tests.shown import handed_out
from tests.stale import say_again

SCRIPT = Path(__file__).parents[2] / "dashboard" / "navigation.py"


@pytest.fixture(autouse=True)
def forget_jobs():
    yield
    for job in find_jobs("evaluate/"):
        job.cancel()
        job.wait(PATIENCE_S)
        dismiss_job(job)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("evaluated") / "dataset", per_class=30)


@pytest.fixture
def model(tmp_path, dataset, monkeypatch) -> Path:
    """A model with 30 test photographs, of which it takes two running ones for sitting."""
    table = load_dataset(dataset)
    table["split"] = ["train", "validation", "test"] * 30
    held_out = table[table["split"] != "train"]
    true = pd.Index(CLASS_NAMES).get_indexer(held_out["label"])
    said = true.copy()
    said[np.flatnonzero((held_out["split"] == "test") & (held_out["label"] == "running"))[:2]] = 2
    confidence = np.linspace(0.5, 0.99, len(true))[:, np.newaxis]
    probabilities = (1 - confidence) / 2 * np.ones((1, 3))
    probabilities[np.arange(len(true)), said] = confidence[:, 0]
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATASET", str(dataset))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    write_evaluated_bundle(
        tmp_path / "models",
        table,
        CLASS_NAMES,
        probabilities=probabilities,
        metrics={"split": "test", "n": 30},
    )
    return tmp_path / "models" / "drawn"


@pytest.fixture
def app(model) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S)
    return app.switch_page("../pages/evaluation.py")


def view(app: AppTest, tab: str) -> AppTest:
    app.query_params["view"] = tab
    app.run()
    assert not app.exception
    return app


def box(app: AppTest, label: str):
    return next(box for box in app.selectbox if box.label == label)


def texts(app: AppTest) -> str:
    found = [*app.markdown, *app.caption, *app.info, *app.warning, *app.error, *app.success]
    text = "\n".join(element.value for element in [*found, *app.header])
    return text.replace("\N{NO-BREAK SPACE}", " ").replace("\\", "")


def gallery(app: AppTest) -> list[dict]:
    """Return the tiles of the first gallery."""
    drawn = [json.loads(component.proto.json) for component in app.get("bidi_component")]
    return next(data["tiles"] for data in drawn if "tiles" in data)


def tiles(app: AppTest) -> list[str]:
    """Return the filenames in the first gallery."""
    return [tile["id"] for tile in gallery(app)]


def test_headline_and_what_was_measured(app):
    app.run()
    assert not app.exception
    assert r"drawn · the model's test split · 30 photographs · 3 classes" in texts(app).replace(
        "\\", ""
    )
    values = {
        metric.label: metric.value.replace("\N{NO-BREAK SPACE}", " ") for metric in app.metric
    }
    assert values["Top-1 accuracy"] == "93.3 %"
    assert len(values) == 5
    assert all(metric.delta for metric in app.metric)


@pytest.mark.parametrize("tab", ["Confusions", "Classes", "Errors"])
def test_other_sections_have_the_headline_in_one_line(app, tab):
    view(app, tab)
    assert not app.metric
    assert "**93.3 %** right, 95 % interval" in texts(app)


def test_the_address_chooses_evaluation_view_and_cell(app):
    app.query_params["evaluation"] = "validation"
    app.query_params["true"] = "running"
    app.query_params["predicted"] = "running"
    view(app, "Confusions")
    assert app.selectbox(key="evaluation").value == "validation"
    assert "running, recognised · 10" in [button.label for button in app.button]


@pytest.mark.parametrize("name", ["using_laptop", "using laptop"])
def test_a_link_may_hold_a_classs_real_name_or_the_readable_one(app, model, name):
    names = ("clapping", "running", "using_laptop")
    write_evaluated_bundle(model.parent, draw_table(60, names), names, name="other")
    app.query_params["model"] = "other"
    app.query_params["true"] = name
    view(app, "Confusions")
    assert box(app, "True class").value == "using_laptop"
    assert app.query_params["true"] == name
    app.button(key="clear_cell").click().run()
    assert box(app, "True class").value is None


def test_a_link_keeps_how_cells_and_curves_are_shown(app):
    app.query_params["cells"] = "% of true class"
    app.query_params["order"] = "by name"
    view(app, "Confusions")
    assert app.segmented_control(key="cells").value == "row"
    assert app.segmented_control(key="order").value is True
    app.query_params["curve"] = "ROC"
    view(app, "Curves")
    assert app.segmented_control(key="curve").value == "roc"


def page_keys(app):
    state = app.session_state._state.filtered_state
    return {key for key in state if key.startswith("cell_photographs_page")}


def test_another_cell_begins_with_its_first_page(app, model):
    names = CLASS_NAMES[:2]
    table = draw_table(200, names).assign(split="test")
    write_evaluated_bundle(model.parent, table, names, name="other")
    app.query_params["model"] = "other"
    app.query_params["true"] = names[0]
    view(app, "Confusions")
    first = tiles(app)
    (page,) = page_keys(app)
    app.session_state[page] = 2
    app.run()
    assert tiles(app) != first
    box(app, "True class").set_value(names[1]).run()
    (other,) = page_keys(app) - {page}
    assert app.session_state[other] == 1
    box(app, "True class").set_value(names[0]).run()
    assert tiles(app) == first


def test_a_link_to_another_models_class_or_evaluation_still_opens(app):
    app.query_params["evaluation"] = "gone"
    app.query_params["true"] = "flying"
    view(app, "Confusions")
    assert app.selectbox(key="evaluation").value == "test"
    assert box(app, "True class").value is None


def test_a_cell_shows_exactly_its_photographs_until_the_filter_is_removed(app, model):
    view(app, "Confusions")
    assert "Most confused" in texts(app)
    assert "2 photographs, 20 % of running" in texts(app)
    app.button(key="pair_0").click().run()
    expected = read_evaluation(model, "test").result.photographs()
    expected = expected[(expected["label"] == "running") & (expected["prediction"] == "sitting")]
    assert sorted(tiles(app)) == sorted(expected["filename"])
    assert box(app, "True class").value == "running"
    app.button(key="clear_cell").click().run()
    assert "Most confused" in texts(app)
    assert box(app, "True class").value is None


@pytest.mark.parametrize(
    "tab", ["Confusions", "Classes", "Curves", "Confidence", "Errors", "Compare"]
)
def test_every_view_works_without_photographs(app, monkeypatch, tab):
    monkeypatch.setenv("HAR_DATASET", "")
    view(app, tab)
    if tab == "Errors":
        assert "Set the dataset folder in the sidebar" in texts(app)


def test_the_table_of_classes_holds_their_metrics(app, model):
    view(app, "Classes")
    table = app.dataframe[0].value.set_index("class")
    assert table.loc["running", "recall"] == pytest.approx(80)
    assert table.loc["sitting", "precision"] == pytest.approx(100 * 10 / 12)
    row = app.dataframe[0].value["class"].tolist().index("running")
    app.session_state["classes"] = {"selection": {"rows": [row], "columns": [], "cells": []}}
    app.run()
    kinds = app.segmented_control(key="hits_or_misses")
    assert kinds.options == ["missed · 2", "wrongly given · 0", "recognised · 8"]
    result = read_evaluation(model, "test").result.photographs()
    of_class = result[result["label"] == "running"].sort_values("confidence", ascending=False)
    assert tiles(app) == of_class.loc[~of_class["correct"], "filename"].tolist()
    assert gallery(app)[0]["title"] == "running, taken for sitting"
    app.toggle(key="class_intervals").set_value(True).run()
    assert "–" in app.dataframe[0].value["f1_interval"].iloc[0]


def test_curves_give_macro_and_micro_areas(app, model):
    view(app, "Curves")
    result = read_evaluation(model, "test").result
    mean = np.mean([curve.average_precision for curve in result.curves])
    assert f"(macro): **{mean:.3f}**" in texts(app)
    app.segmented_control(key="curve").set_value("roc").run()
    assert f"(micro): **{result.micro_curves.roc_area:.3f}**" in texts(app)
    mean = np.mean([curve.roc_area for curve in result.curves])
    assert f"area under the ROC curve over classes (macro): **{mean:.3f}**" in texts(app)
    hardest = result.per_class().sort_values("f1", kind="stable")["class"].tolist()
    assert app.multiselect[0].value == hardest


def test_the_calibration_error_is_compared_with_chance(app, model):
    view(app, "Confidence")
    result = read_evaluation(model, "test").result
    sentence = calibration_sentence(
        result.confidence.mean(),
        result.correct.mean(),
        result.totals.headline()["ece"][0],
        result.calibration_error_by_chance,
    )
    assert sentence.replace("\N{NO-BREAK SPACE}", " ") in texts(app)


def test_the_threshold_tells_coverage_and_accuracy(app, model):
    view(app, "Confidence")
    result = read_evaluation(model, "test").result
    app.slider(key="threshold").set_value(0.8).run()
    answered = result.confidence >= 0.8
    sentence = (
        f"From 80% on the model answers {answered.mean():.0%} of the photographs and is right on "
        "all of those."
    )
    assert result.correct[answered].all()
    assert sentence.replace("%", " %") in texts(app)
    run_its_part(app.button(key="store_abstention").click())
    assert read_manifest(model).rules.abstain_below == 0.8
    assert "Now it abstains below 80 %, on the Predict page" in texts(app.run())
    app.slider(key="threshold").set_value(1.0).run()
    assert "answers no photograph at all" in texts(app)


def test_a_fitted_temperature_is_compared_and_stored(app, model):
    view(app, "Confidence")
    app.toggle(key="fit_temperature").set_value(True).run()
    raw = read_evaluation(model, "validation").raw
    fitted = fit_temperature(raw.labels, raw.probabilities)
    table = app.table[0].value
    assert list(table.columns) == ["now (1.00)", f"fitted ({fitted:.2f})"]
    assert table.loc["Top-1 accuracy"].nunique() == 1
    before = read_evaluation(model, "test").result
    assert table.loc["Log loss", "now (1.00)"] == f"{before.headline()['log_loss']['value']:.3f}"
    app.button(key="store_temperature").click().run()
    assert not app.exception
    manifest = bundle.verify_bundle(model)
    assert manifest.temperature == pytest.approx(fitted)
    after = read_evaluation(model, "test").result
    assert np.array_equal(after.predictions, before.predictions)
    assert manifest.metrics["log_loss"]["value"] == pytest.approx(
        after.headline()["log_loss"]["value"]
    )
    assert "uses the fitted temperature already" in texts(app)


def test_a_bundle_that_cannot_be_written_keeps_its_temperature_and_says_so(app, monkeypatch):
    view(app, "Confidence")
    app.toggle(key="fit_temperature").set_value(True).run()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(bundle, "write_atomically", refuse)
    app.button(key="store_temperature").click().run()
    assert not app.exception
    assert "Permission denied" in app.toast[0].value.replace("\\", "")


def test_no_temperature_is_offered_without_validation_photographs(app, model):
    predictions = pd.read_parquet(model / PREDICTIONS_FILE)
    test_only = predictions[predictions["split"] == "test"].to_parquet(index=False)
    files = {name: model / name for name in read_manifest(model).files}
    files[PREDICTIONS_FILE] = test_only
    bundle.write_bundle(model, read_manifest(model), files, overwrite=True)
    view(app, "Confidence")
    assert "kept no validation photographs apart" in texts(app)
    assert not [toggle for toggle in app.toggle if toggle.key == "fit_temperature"]


def test_errors_are_filtered_by_class_and_file_name(app, model):
    view(app, "Errors")
    result = read_evaluation(model, "test").result
    wrong = result.photographs()[~result.correct].sort_values("confidence", ascending=False)
    assert tiles(app) == wrong["filename"].tolist()
    app.multiselect(key="error_predictions").set_value(["sitting"]).run()
    assert tiles(app) == wrong["filename"].tolist()
    app.multiselect(key="error_predictions").set_value(["clapping"]).run()
    assert "No photographs." in texts(app)
    app.multiselect(key="error_predictions").set_value([]).run()
    name = "opened_evaluated_photograph"  # as a step from the one before leads there
    app.session_state[name] = ("error_photographs", tiles(app)[0], tiles(app))
    app.session_state[f"{name}, stepped to in"] = "error_photographs"
    app.run()
    assert ":orange-badge[:material/close: taken for sitting]" in texts(app)
    (link,) = [p.proto for p in app.get("page_link") if p.proto.label == "Open it in the dataset"]
    assert link.query_string == f"photo={tiles(app)[0]}"
    app.segmented_control(key="errors_or_hits").set_value(True).run()
    app.multiselect(key="error_labels").set_value(["sitting"]).run()
    hits = result.photographs()[result.correct & (result.label_names == "sitting")]
    assert tiles(app) == hits.sort_values("confidence")["filename"].tolist()
    app.text_input(key="error_search").set_value("NG_2.").run()
    assert tiles(app) == ["sitting_2.jpg"]
    app.text_input(key="error_search").set_value("[").run()
    assert "No photographs." in texts(app)


def test_a_link_keeps_the_errors_filters(app, model):
    app.query_params["errors_or_hits"] = "doubtful hits"
    app.query_params["error_labels"] = ["sitting", "flying"]  # the last is no class of this model
    app.query_params["error_search"] = "ng_2."
    view(app, "Errors")
    assert app.multiselect(key="error_labels").value == ["sitting"]
    assert tiles(app) == ["sitting_2.jpg"]


def test_an_audit_of_many_classes_takes_each_answer_once(app, model, monkeypatch):
    monkeypatch.setattr("dashboard.evaluation.audit.section._MOST_BUTTONS", 2)
    first, second = audit_sample(read_evaluation(model, "test").result.sha256.tolist())[:2]
    view(app, "Audit")
    box = app.selectbox(key=f"audit_class {first}").select("clapping")
    box.run()
    say_again(box)
    assert not app.toast
    app.selectbox(key=f"audit_class {second}").select("sitting").run()
    assert read_answers() == {first: "clapping", second: "sitting"}
    app.button(key="audit_undo").click().run()
    assert read_answers() == {first: "clapping"}  # the latest is taken back


def test_an_audit_is_blind_and_corrects_the_estimate(app, model):
    result = read_evaluation(model, "test").result
    view(app, "Audit")
    assert "**0** of 30 looked at" in "".join(bar.proto.text for bar in app.get("progress"))
    assert "_" not in texts(app).split("right ones")[1]  # no filename, which holds the label
    first, second = audit_sample(result.sha256.tolist())[:2]
    app.button(key=f"audit clapping {first}").click().run()
    assert read_answers() == {first: "clapping"}
    assert not app.metric  # one answer tells nothing yet
    assert app.button(key=f"audit clapping {second}").proto.shortcut == "1"
    answer(second, "sitting")  # in another tab
    app.button(key=f"audit running {second}").click().run()
    assert read_answers()[second] == "sitting"
    assert "already answered" in app.toast[0].value
    answer(second, None)
    app.run()
    app.button(key="audit_undo").click().run()
    assert read_answers() == {}
    app.button(key=f"audit_unclear {first}").click().run()
    answer(second, "juggling")  # while another model was audited
    for sha256, label in zip(result.sha256, result.label_names, strict=True):
        if sha256 not in read_answers():
            answer(sha256, "running" if label == "clapping" else label)
    app.run()
    assert not app.exception
    values = {
        metric.label: metric.value.replace("\N{NO-BREAK SPACE}", " ") for metric in app.metric
    }
    audit = estimate(result, read_answers())
    n_wrong = len(audit.wrong)
    assert values["Top-1, corrected"] == f"{audit.corrected_top1.value:.1%}".replace("%", " %")
    assert values["Top-1, corrected"] != values["Top-1 by the labels"]
    assert values["Wrong labels"] == f"{100 * n_wrong / 28:.1f} %"
    assert "Count nowhere: 1 that nobody can tell, 1 of a class that this model lacks." in texts(
        app
    )
    assert len(tiles(app)) == n_wrong
    assert gallery(app)[0]["note"] == "you: running"


def write_rival(dataset: Path, model: Path, name: str = "rival", **given) -> Path:
    """Write an older model with predictions for the photographs of `model`."""
    table = load_dataset(dataset)
    table["split"] = ["train", "validation", "test"] * 30
    created = "2001-01-01T00:00:00+00:00"
    write_evaluated_bundle(model.parent, table, CLASS_NAMES, name=name, created=created, **given)
    return model.parent / name


def test_two_models_are_compared_on_the_same_photographs(app, model, dataset):
    write_rival(dataset, model)
    view(app, "Compare")
    assert "a permutation test over" in texts(app)
    assert list(app.table[0].value.columns) == ["drawn", "rival", "rival minus drawn"]
    assert "30 photographs that every model was evaluated on" in texts(app)
    assert SEVERAL_TESTS not in texts(app)
    labels = load_dataset(dataset)["label"][np.resize([False, True, True], 90)]
    probabilities = np.eye(3)[pd.Index(CLASS_NAMES).get_indexer(labels)]
    probabilities[np.flatnonzero(labels == "clapping")[1]] = [0, 1, 0]  # a test photograph
    write_rival(dataset, model, "other", probabilities=probabilities)
    app.run()
    app.multiselect(key="with").set_value(["rival", "other"]).run()
    assert SEVERAL_TESTS in texts(app)
    app.segmented_control(key="rival").set_value("other").run()
    ours = read_evaluation(model, "test").result
    theirs = read_evaluation(model.parent / "other", "test").result
    only_ours = set(ours.filenames[ours.correct & ~theirs.correct])
    assert only_ours and set(tiles(app)) == only_ours
    app.segmented_control(key="winner").set_value(2).run()
    only_theirs = set(ours.filenames[~ours.correct & theirs.correct])
    assert only_theirs and set(tiles(app)) == only_theirs
    differences = app.table[0].value.loc["Top-1 accuracy"]
    points = 100 * (theirs.correct.mean() - ours.correct.mean())
    assert differences["other minus drawn"].startswith(f"{points:+.1f}".replace("-", "−"))


def test_what_only_a_rival_knows_by_other_names_is_shown(app, model, dataset):
    table = load_dataset(dataset).assign(split=["train", "validation", "test"] * 30)
    table["filename"] = "renamed_" + table["filename"]
    held_out = table.loc[table["split"] != "train", "label"]
    probabilities = np.eye(3)[pd.Index(CLASS_NAMES).get_indexer(held_out)]
    created = "2001-01-01T00:00:00+00:00"
    write_evaluated_bundle(
        *(model.parent, table, CLASS_NAMES),
        **{"name": "rival", "created": created, "probabilities": probabilities},
    )
    view(app, "Compare")
    app.segmented_control(key="winner").set_value(2).run()
    assert not app.exception
    found = [(tile["id"], tile["note"], bool(tile["source"])) for tile in gallery(app)]
    names = ["running_2.jpg", "running_5.jpg"]
    assert sorted(found) == [(name, "the other says sitting", True) for name in names]


def test_a_rival_without_a_common_class_is_not_offered_to_be_evaluated(app, model, dataset):
    names = tuple(f"my {name}" for name in CLASS_NAMES)
    table = load_dataset(dataset).assign(split="train")
    table["label"] = "my " + table["label"]
    created = "2001-01-01T00:00:00+00:00"
    write_evaluated_bundle(model.parent, table, names, name="rival", created=created)
    view(app, "Compare")
    assert "drawn and rival have no class in common" in app.warning[0].value
    assert "was not evaluated on" not in texts(app)


def test_a_rival_that_answered_for_other_photographs_is_to_be_evaluated(app, model):
    created = "2001-01-01T00:00:00+00:00"
    table = draw_table(30, CLASS_NAMES).assign(split="test")
    write_evaluated_bundle(model.parent, table, CLASS_NAMES, name="rival", created=created)
    view(app, "Compare")
    assert "was not evaluated on the same 30 photographs" in texts(app)


def test_a_rival_without_predictions_is_evaluated_on_a_click(app, model):
    write_tiny_bundle(model.parent, "rival", created="2001-01-01T00:00:00+00:00")
    view(app, "Compare")
    assert "was not evaluated on the same 30 photographs" in texts(app)
    app.button(key="evaluate_same rival").click().run()
    (job,) = find_jobs("same/")
    assert job.wait(PATIENCE_S)
    app.run()
    dismiss_job(job)
    assert list_evaluations(model.parent / "rival", read_manifest(model.parent / "rival")) == [
        "test of drawn"
    ]
    assert list(app.table[0].value.columns) == ["drawn", "rival", "rival minus drawn"]
    assert "30 photographs that every model was evaluated on" in texts(app)
    assert "not known which photographs the model was trained on" in texts(app)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("", "Set the dataset folder in the sidebar"),
        ("others", "The dataset folder does not hold these photographs"),
    ],
)
def test_a_rival_is_not_offered_evaluation_where_the_photographs_are_gone(
    app, model, monkeypatch, tmp_path, folder, said
):
    (tmp_path / "others" / "train").mkdir(parents=True)
    (tmp_path / "others" / "train" / "other.jpg").write_bytes(photo_bytes())
    (tmp_path / "others" / "train.csv").write_text("filename,label\nother.jpg,running\n")
    monkeypatch.setenv("HAR_DATASET", folder and str(tmp_path / folder))
    write_tiny_bundle(model.parent, "rival", created="2001-01-01T00:00:00+00:00")
    view(app, "Compare")
    assert app.button(key="evaluate_same rival").disabled
    assert said in texts(app)


def test_a_model_on_trial_is_compared_and_judged(app, model, dataset):
    rival = write_rival(dataset, model)
    trial = runs_folder() / "20260101-000000-rival" / "models" / "rival"
    shutil.copytree(rival, trial)
    shutil.rmtree(rival)
    view(app, "Compare")
    assert app.multiselect(key="with").value == ["rival"]
    assert app.multiselect(key="with").options == ["rival (on trial)"]
    assert "of 30 photographs that neither has learned from" in texts(app)
    labels = [link.proto.label for link in app.get("page_link")]
    assert "Use or discard rival" in labels


def test_a_copied_bundle_is_compared_under_its_folders_name(app, model):
    shutil.copytree(model, model.parent / "copy")
    app.query_params["model"] = "copy"
    view(app, "Compare")
    assert app.selectbox(key="model").value == "copy"
    assert list(app.table[0].value.columns) == ["copy", "drawn", "drawn minus copy"]
    assert "Only copy is right on 0 photographs, only drawn on 0" in texts(app)


def test_a_copied_bundle_deletes_the_evaluation_that_it_shows(app, model):
    shutil.copytree(model, model.parent / "copy")
    evaluation = read_evaluation(model, "test")
    keep_evaluation(replace(evaluation, name="again"))
    app.query_params["model"] = "copy"
    view(app, "Evaluate another set")
    app.button(key="delete_again").click().run()
    assert not app.exception
    assert list_evaluations(model, read_manifest(model)) == ["test", "validation"]


def test_a_click_alone_deletes_no_evaluation(app, model):
    keep_evaluation(replace(read_evaluation(model, "test"), name="again"))
    view(app, "Evaluate another set")
    asked = [block for block in app.main if block.type == "popover"]
    (question,) = [block for block in asked if block.proto.popover.label == "Delete"]
    assert question.button[0].key == "delete_again"


def test_an_evaluation_that_cannot_be_deleted_is_said_so(app, model):
    path = keep_evaluation(replace(read_evaluation(model, "test"), name="again"))
    path.unlink()
    path.mkdir()
    view(app, "Evaluate another set")
    app.button(key="delete_again").click().run()
    assert not app.exception
    assert f"Cannot delete {path}" in app.toast[0].value.replace("\\", "")


def test_a_comparison_tells_the_rivals_caveats(app, model, dataset):
    rival = write_rival(dataset, model)
    view(app, "Compare")
    assert "rival:" not in texts(app)
    splits = pd.read_parquet(rival / SPLITS_FILE)
    seen = splits["split"].where(splits["split"] != "test", "train")
    splits["split"] = seen.mask(splits.index == splits.index[2], "test")
    splits.to_parquet(rival / SPLITS_FILE, index=False)
    files = read_manifest(rival).files
    digest = bundle.sha256_of_file(rival / SPLITS_FILE)
    bundle.update_manifest(rival, files=files | {SPLITS_FILE: digest})
    app.run()
    assert "rival: 29 of 30 photographs are among those that the model was trained" in texts(app)


def test_a_rivals_name_is_text(app, model, dataset):
    write_rival(dataset, model).rename(model.parent / "*a* [b](c)")
    view(app, "Compare")
    assert list(app.table[0].value.columns)[1] == r"\*a\* \[b\]\(c\)"
    assert r"\*a\* \[b\]\(c\)" in app.segmented_control(key="winner").options[1]


def run_job(app: AppTest) -> None:
    job = find_jobs("evaluate/drawn/")[-1]
    assert job.wait(PATIENCE_S)
    app.run()
    assert not app.exception


def test_another_folder_is_evaluated_kept_and_opened(app, tiny_dataset):
    view(app, "Evaluate another set")
    app.text_input(key="set_name").set_value("twelve")
    app.text_input(key="set_folder").set_value(str(tiny_dataset))
    app.form_submit_button[0].click().run()
    run_job(app)
    assert "Evaluating drawn on twelve: done" in texts(app)
    app.button(key="open evaluate/drawn/twelve").click().run()
    assert app.selectbox(key="evaluation").value == "twelve"
    assert "12 photographs" in texts(app)
    assert find_jobs("evaluate/") == []
    app.button(key="delete_twelve").click().run()
    assert not app.exception
    assert app.selectbox(key="evaluation").value == "test"


@pytest.mark.parametrize("gone", [False, True])
def test_a_job_of_another_model_opens_that_model(app, model, dataset, gone):
    rival = write_rival(dataset, model)
    job = start_job("evaluate/rival/validation", "Evaluating", lambda _: ("rival", "validation"))
    assert job.wait(PATIENCE_S)
    app.run()
    assert app.selectbox(key="model").value == "drawn"
    if gone:
        shutil.rmtree(rival)
    app.button(key="open evaluate/rival/validation").click().run()
    assert not app.exception
    assert app.selectbox(key="model").value == ("drawn" if gone else "rival")
    assert app.selectbox(key="evaluation").value == "validation"


def test_of_a_zip_small_pictures_are_kept_and_no_photographs(app, model, tmp_path, monkeypatch):
    files = handed_out(monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("set/train.csv", "filename,label\na.jpg,running\nb.jpg,flying\n")
        archive.writestr("set/train/a.jpg", photo_bytes("running"))
        archive.writestr("set/train/b.jpg", photo_bytes("sitting"))
    view(app, "Evaluate another set")
    app.segmented_control(key="set_source").set_value("a ZIP archive").run()
    app.text_input(key="set_name").set_value("my zip")
    app.file_uploader(key="set_zip").upload("set.zip", buffer.getvalue())
    app.form_submit_button[0].click().run()
    run_job(app)
    app.button(key="open evaluate/drawn/my zip").click().run()
    assert "1 photograph · 3 classes" in texts(app)
    assert "label unknown to the model: flying" in texts(app)
    for name in ("Report (HTML, opens offline)", "Metrics (JSON)"):
        assert "label unknown to the model: flying" in files[name]()
    assert files["Predictions (CSV)"]().splitlines()[1].startswith("a.jpg,running,")
    said = read_evaluation(model, "my zip").result.photographs()["prediction"].iloc[0]
    app.query_params["true"], app.query_params["predicted"] = "running", said
    view(app, "Confusions")
    assert [bool(tile["source"]) for tile in gallery(app)] == [True]
    assert "were not kept" not in texts(app)
    view(app, "Classes")
    undefined = app.dataframe[0].value.set_index("class")["average_precision"].isna()
    assert undefined.to_dict() == {"clapping": True, "running": False, "sitting": True}
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_archives_photographs_are_not_replaced_by_others_of_the_same_name(app, model):
    keep_evaluation(replace(read_evaluation(model, "test"), name="zipped", folder=""))
    app.query_params["evaluation"] = "zipped"
    view(app, "Errors")
    assert not any(tile["source"] for tile in gallery(app))
    assert "were not kept" in texts(app)


def test_a_photograph_that_has_changed_since_is_not_shown(
    app, model, dataset, tmp_path, monkeypatch
):
    copy = shutil.copytree(dataset, tmp_path / "changed")
    monkeypatch.setenv("HAR_DATASET", str(copy))
    view(app, "Errors")
    first, second = gallery(app)
    assert first["source"]
    assert second["source"]
    (copy / "train" / first["id"]).write_bytes(photo_bytes("clapping", 999))
    app.run()
    assert not app.exception
    assert [bool(tile["source"]) for tile in gallery(app)] == [False, True]
    (copy / "train" / second["id"]).write_bytes(photo_bytes("clapping", 998))
    app.run()
    assert "has other photographs of these names" in texts(app)


def test_photographs_that_nothing_identifies_are_not_shown_by_their_names(app, model):
    (model / SPLITS_FILE).unlink()
    files = {n: d for n, d in read_manifest(model).files.items() if n != SPLITS_FILE}
    bundle.update_manifest(model, files=files)
    view(app, "Errors")
    assert not any(tile["source"] for tile in gallery(app))
    assert "does not record which photographs these were" in texts(app)


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("test", "DATASET", "belongs to the model's own splits"),
        ("../evil", "DATASET", "cannot be an evaluation's name"),
        ("fine", "/nowhere", "no dataset folder"),
        ("fine", "", "Choose the photographs first"),
    ],
)
def test_what_cannot_be_evaluated_is_said_at_once(app, dataset, name, folder, message):
    view(app, "Evaluate another set")
    app.text_input(key="set_name").set_value(name)
    app.text_input(key="set_folder").set_value(str(dataset) if folder == "DATASET" else folder)
    app.form_submit_button[0].click().run()
    assert not app.exception
    assert message in texts(app)
    assert find_jobs("evaluate/") == []


@pytest.mark.parametrize("mark", ["", "'", '"'])
def test_a_table_is_looked_for_in_the_folder_of_the_set(app, tiny_dataset, mark):
    rows = (tiny_dataset / "train.csv").read_text().splitlines(keepends=True)
    (tiny_dataset / "other.csv").write_text("".join(rows[:6]))
    view(app, "Evaluate another set")
    app.text_input(key="set_name").set_value("five")
    app.text_input(key="set_folder").set_value(f"{mark}{tiny_dataset}{mark}")
    app.text_input(key="set_csv").set_value(f"{mark}other.csv{mark}")
    app.form_submit_button[0].click().run()
    run_job(app)
    assert "Evaluating drawn on five: done" in texts(app)


@pytest.mark.parametrize(
    "table", ["OUTSIDE", "../secrets.csv", "link.csv", "train/../../secrets.csv"]
)
def test_a_table_outside_the_folder_is_refused_unread(app, tmp_path, table):
    folder = write_dataset(tmp_path / "set")
    outside = tmp_path / "secrets.csv"
    outside.write_text("HAR_API_KEY=hush,other\n1,2\n")
    (folder / "link.csv").symlink_to(outside)
    view(app, "Evaluate another set")
    app.text_input(key="set_name").set_value("fine")
    app.text_input(key="set_folder").set_value(str(folder))
    app.text_input(key="set_csv").set_value(str(outside) if table == "OUTSIDE" else table)
    app.form_submit_button[0].click().run()
    assert not app.exception
    assert "is not in the folder" in texts(app)
    assert "hush" not in texts(app).lower()
    assert find_jobs("evaluate/") == []


def test_a_running_job_is_shown_after_a_page_change_and_can_be_cancelled(app):
    def work(job) -> None:
        for step in range(1000):
            job.report(step, 1000)
            time.sleep(0.02)

    job = start_job("evaluate/drawn/slow", "Evaluating drawn on slow", work)
    app.run()
    app.switch_page("../pages/predict.py").run()
    app.switch_page("../pages/evaluation.py").run()
    assert "Evaluating drawn on slow" in app.progress[0].text
    app.button(key="cancel evaluate/drawn/slow").click().run()
    assert job.wait(PATIENCE_S)
    app.run()
    assert "cancelled, nothing was kept" in texts(app)


def test_damaged_predictions_are_named_and_nothing_is_drawn(app, model):
    path = model / PREDICTIONS_FILE
    table = pd.read_parquet(path)
    table.loc[table["split"] == "test", "running"] = np.nan
    table.to_parquet(path, index=False)
    manifest = read_manifest(model)
    files = manifest.files | {PREDICTIONS_FILE: bundle.sha256_of_file(path)}
    bundle.update_manifest(model, files=files)
    app.run()
    assert not app.exception
    assert "NaN" in app.error[0].value
    assert not app.metric


def test_a_model_without_predictions_offers_to_evaluate_it(app, model):
    write_tiny_bundle(model.parent, "bare")
    app.run()
    app.selectbox(key="model").select("bare").run()
    assert not app.exception
    assert "comes without predictions" in texts(app)
    assert app.text_input(key="set_name")


def test_without_a_model_the_page_says_what_to_do(app, tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "none"))
    app.run()
    assert not app.exception
    assert "no model yet" in texts(app)


def test_the_confusion_matrix_as_a_table_leads_to_the_same_photographs(app, model):
    app.session_state["as_table"] = True
    view(app, "Confusions")
    result = read_evaluation(model, "test").result
    table = app.dataframe[0].value
    for name in result.class_names:
        row = table.loc[name.replace("_", " ")]
        assert row[name] == ((result.label_names == name) & result.correct).sum()
    assert table.to_numpy().sum() == result.n
    assert "Teal" not in texts(app)
    app.segmented_control(key="cells").set_value("row").run()
    assert app.dataframe[0].value.loc["running"].to_dict() == pytest.approx(
        {"running": 80, "sitting": 20, "clapping": 0}
    )
    app.segmented_control(key="cells").set_value("count").run()
    app.toggle(key="hide_right").set_value(True).run()
    assert np.nansum(app.dataframe[0].value.to_numpy(float)) == (~result.correct).sum()
