"""The Training page says what it would learn from, and what is missing."""

import json
import os
import re
import shutil
import signal
import time
from dataclasses import asdict
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pandas as pd
import pytest
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextInput

from dashboard.training.runs import Run, list_runs
from har_core.dataset.decisions import decide
from har_core.model.loading import find_model
from har_core.training.efforts import Effort
from har_core.training.events import EventLog, recorded_run
from tests.drawing import CLASS_NAMES, write_dataset, write_tiny_bundle
from tests.evaluated import write_evaluated_bundle
from tests.patience import PATIENCE_S
from tests.shown import tiles_of

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "DATA"):
        monkeypatch.setenv(f"HAR_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.delenv("HAR_DATASET", raising=False)


def open_page(dataset: Path | None = None) -> AppTest:
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=PATIENCE_S)
    page.session_state["dataset"] = str(dataset) if dataset else ""
    page.switch_page("../pages/training.py").run()
    assert not page.exception
    return page


def texts(page: AppTest) -> str:
    return "\n".join(e.value for e in (*page.markdown, *page.info, *page.caption, *page.error))


def selecting(page: AppTest, name: str) -> WidgetState:
    """Return what a browser says in which a version is selected."""
    (table,) = page.dataframe
    row = table.value["Model"].tolist().index(name)
    chosen = {"selection": {"rows": [row], "columns": [], "cells": []}}
    return WidgetState(id=table.proto.id, string_value=json.dumps(chosen))


def send(page: AppTest, widget: WidgetState) -> AppTest:
    """Let a browser send what a table holds."""
    return page._run(WidgetStates(widgets=[widget]))


def headers(page: AppTest) -> list[str]:
    return [header.value for header in page.header]


def test_without_a_dataset_the_page_says_where_to_name_one(tiny_models: Path) -> None:
    page = open_page()
    assert "No dataset folder yet" in texts(page)
    assert page.dataframe[0].value["Model"].tolist() == ["tiny"]


def test_any_version_can_be_compared_and_made_the_default(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pd.DataFrame({"filename": ["a", "b"], "label": ["running", ""], "split": "train"})
    write_evaluated_bundle(
        tiny_models, table, CLASS_NAMES, name="older", created="2001-01-01T00:00:00+00:00"
    )
    page = open_page()
    versions = page.dataframe[0].value.set_index("Model")
    assert versions["State"].to_dict() == {"tiny": "the default", "older": "ready"}
    assert list(versions.index) == ["tiny", "older"]
    data = versions.loc["older", "Data"]
    assert re.fullmatch("[0-9a-f]{6}", data)
    assert versions.loc["older", "Made (UTC)"] == "2001-01-01 00:00"
    assert f"Data `{data}`" in texts(page)
    assert "tiny, the default" in texts(page)
    send(page, selecting(page, "older"))
    monkeypatch.setenv("HAR_MODEL", "tiny")
    page.run()
    labels = [link.proto.label for link in page.get("page_link")]
    assert labels == ["Open its evaluation", "Compare with tiny"]
    compared = {"model": "tiny", "view": "Compare", "with": "older"}
    assert dict(parse_qsl(page.get("page_link")[1].proto.query_string)) == compared
    page.button(key="make_default").click().run()
    assert not page.exception
    assert page.selectbox(key="model").value == "older"
    assert "`HAR_MODEL`" in "".join(w.value for w in page.warning)
    monkeypatch.delenv("HAR_MODEL")
    assert find_model().name == "older"
    assert "`HAR_MODEL`" not in "".join(w.value for w in page.run().warning)


def test_a_link_to_another_models_evaluation_opens_that_one(tiny_models: Path) -> None:
    table = pd.DataFrame({"filename": ["a", "b"], "label": ["running", ""], "split": "train"})
    write_evaluated_bundle(
        tiny_models, table, CLASS_NAMES, name="older", created="2001-01-01T00:00:00+00:00"
    )
    page = open_page()
    send(page, selecting(page, "older"))
    page.query_params.update(parse_qsl(page.get("page_link")[0].proto.query_string))
    page.switch_page("../pages/evaluation.py").run()
    assert page.selectbox(key="model").value == "older"
    page.selectbox(key="model").select("tiny").run()
    assert page.selectbox(key="model").value == "tiny"  # a choice on the page counts from then on


def test_nothing_is_learned_from_a_table_whose_photographs_are_gone(
    tiny_models: Path, tmp_path: Path
) -> None:
    dataset = write_dataset(tmp_path / "photos", per_class=4)
    shutil.rmtree(dataset / "train")
    page = open_page(dataset)
    assert "photographs' folder" in page.error[0].value
    assert "Train" not in [button.label for button in page.button]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Collect what trainings are started with, instead of starting any."""
    asked: list[dict] = []

    def start(name: str, effort: Effort, base: Path, folder: str, csv: str, **rest: object) -> Run:
        asked.append({"csv": csv, **rest})
        return waiting_run(base, f"{name}-{len(asked)}")

    monkeypatch.setattr("dashboard.training.start.start_run", start)
    return asked


def test_decisions_are_listed_before_they_are_learned_from(
    tiny_models: Path, tmp_path: Path, started: list[dict]
) -> None:
    dataset = write_dataset(tmp_path / "photos", per_class=4)
    assert "nothing was relabelled or excluded" in texts(open_page(dataset))
    decide(dataset, "relabel", ["running_0.jpg"], "sitting")
    decide(dataset, "exclude", ["running_1.jpg"])
    page = open_page(dataset)
    chosen = page.radio(key="train_table")
    captions = list(chosen.proto.captions)
    assert captions == ["11 photographs, 1 relabelled, 1 excluded", "12 photographs"]
    # By these the browser knows what is chosen: others would leave nothing chosen.
    decide(dataset, "exclude", ["running_2.jpg"])
    again = page.run().radio(key="train_table")
    assert again.proto.captions[0] == "10 photographs, 1 relabelled, 2 excluded"
    assert again.options == chosen.options
    page.button(key="train").click().run()
    page.radio(key="train_table").set_value("as it is").run()
    page.button(key="train").click().run()
    cleaned, as_it_is = ({**asked, "csv": asked["csv"].count("\n") - 1} for asked in started)
    assert "running_0.jpg,sitting" in started[0]["csv"]
    usual = {"settings": {}}
    learned = {"csv": 10, "n_photographs": 10, "relabelled": 1, "excluded": 2}
    assert cleaned == learned | usual
    learned = {"csv": 12, "n_photographs": 12, "relabelled": 0, "excluded": 0}
    assert as_it_is == learned | usual


def test_what_was_newly_labelled_is_learned_from_and_the_rest_is_not(
    tiny_models: Path, tmp_path: Path, started: list[dict]
) -> None:
    dataset = write_dataset(tmp_path / "photos", per_class=4)
    csv = dataset / "train.csv"
    names = [line.split(",")[0] for line in csv.read_text().splitlines()[1:]]
    csv.write_text("filename,label\n" + "".join(f"{name},\n" for name in names))
    assert "No photograph here has a label yet" in texts(open_page(dataset))
    decide(dataset, "relabel", ["running_0.jpg", "running_1.jpg"], "running")
    page = open_page(dataset)
    assert "Learns from 2 photographs" in texts(page)
    assert "2 newly labelled" in texts(page)
    page.button(key="train").click().run()
    assert (started[0]["n_photographs"], started[0]["relabelled"]) == (2, 2)


def test_a_run_whose_process_is_gone_is_offered_for_resuming(tiny_models: Path) -> None:
    run = Run("20260101-000000-mine", "mine", "standard", str(tiny_models / "tiny"), "photos")
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(json.dumps(asdict(run)))
    EventLog(run.folder / "events.jsonl").write("started", pid=1, name="mine")
    page = open_page()
    assert "It ended before it was done" in "".join(w.value for w in page.warning)
    assert page.button(key=f"resume {run.id}").label == "Resume"
    page.button(key=f"remove {run.id}").click().run()
    assert not page.exception
    assert list_runs() == []


def test_a_name_that_cannot_be_used_starts_nothing(tiny_models: Path, tmp_path: Path) -> None:
    page = open_page(write_dataset(tmp_path / "photos", per_class=4))
    name_field(page).set_value("tiny")
    page.button(key="train").click().run()
    assert "already" in page.toast[0].value
    assert list_runs() == []


def test_advanced_settings_are_those_of_the_effort_and_reach_the_training(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[dict]
) -> None:
    monkeypatch.setattr("dashboard.training.estimate.seconds_per_pass", lambda *_: 1.0)
    page = open_page(write_dataset(tmp_path / "photos", per_class=4))
    assert [field.label for field in page.number_input] == ["Seed"]
    page.radio(key="train_effort").set_value("full").run()
    (epochs,) = (field for field in page.number_input if field.label == "Epochs")
    assert epochs.value > 14  # so few photographs are learned from more often
    before = page.radio(key="train_effort").proto.captions[2]
    epochs.set_value(28).run()
    (mixup,) = (field for field in page.number_input if field.label == "Mixup")
    mixup.set_value(0.0).run()
    assert "Other than usual: epochs 28, mixup 0." in texts(page)
    assert page.radio(key="train_effort").proto.captions[2] != before
    page.radio(key="train_effort").set_value("quick").run()
    page.radio(key="train_effort").set_value("full").run()  # after a look at another effort
    assert not page.warning
    page.button(key="train").click().run()
    assert started[0]["settings"] == {"epochs": 28, "mixup": 0.0}


def test_a_started_training_is_said_and_the_next_has_another_name(
    tiny_models: Path, tmp_path: Path, started: list[dict]
) -> None:
    page = open_page(write_dataset(tmp_path / "photos", per_class=4))
    usual = name_field(page).value
    name_field(page).set_value("mine")
    page.button(key="train").click().run()
    assert [toast.value for toast in page.toast] == [
        "Started mine: it is shown at the top of this page."
    ]
    assert name_field(page).value == usual
    assert page.query_params["run"] == "20260101-000000-mine-1"
    assert r"mine\-1" in headers(page)


@pytest.mark.parametrize(
    ("base", "stem"),
    [("poses-2000", "poses-2000"), ("mine-20260101-2", "mine"), ("a-20b", "a-20b")],
)
def test_a_new_name_is_the_old_one_with_todays_date_instead_of_its_own(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str, stem: str
) -> None:
    write_tiny_bundle(tiny_models, base)
    monkeypatch.setenv("HAR_MODEL", base)
    page = open_page(write_dataset(tmp_path / "photos", per_class=4))
    assert re.fullmatch(rf"{stem}-20\d{{6}}", name_field(page).value)


def name_field(page: AppTest) -> TextInput:
    return next(field for field in page.text_input if "Name of the new" in field.label)


def waiting_run(base: Path, name: str) -> Run:
    """Record a run that was launched and has not said a word."""
    launched = time.time()
    run = Run(f"20260101-000000-{name}", name, "standard", str(base), "photos", launched=launched)
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(json.dumps(asdict(run)))
    return run


def finished_run(tiny_models: Path) -> Run:
    run = Run("20260101-000000-mine", "mine", "quick", str(tiny_models / "tiny"), "photos")
    write_tiny_bundle(run.folder / "models", "mine")
    (run.folder / "run.json").write_text(json.dumps(asdict(run)))
    log = EventLog(run.folder / "events.jsonl")
    log.write("started", pid=1, name="mine")
    log.write("finished", model="mine")
    return run


def test_whoever_watched_a_training_is_told_anywhere_and_led_to_the_comparison(
    tiny_models: Path,
) -> None:
    run = finished_run(tiny_models)
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=PATIENCE_S)
    page.session_state["watched_runs"] = {run.id: False}
    page.switch_page("../pages/about.py").run()
    assert [toast.value for toast in page.toast] == ["mine is trained."]
    assert "Compare" in [link.proto.label for link in page.get("page_link")]
    assert not page.run().toast  # it is said once
    page.switch_page("../pages/training.py").run()
    assert "Compare mine with tiny" in [header.value for header in page.header]
    page.run()
    assert "Compare" not in [link.proto.label for link in page.get("page_link")]
    page.button(key=f"use {run.id}").click().run()
    assert find_model().name == "mine"
    use = page.button(key=f"use {run.id}")  # its comparison stays, whatever else is on trial
    assert (use.label, use.disabled) == ("Make it the default", True)
    assert use.help == "It is the default already."
    assert "Predict with it" in [link.proto.label for link in page.get("page_link")]
    page.query_params.update(parse_qsl(page.get("page_link")[-1].proto.query_string))
    page.switch_page("../pages/predict.py").run()
    assert not page.exception
    assert page.selectbox(key="model").value == "mine"


def test_a_verdict_is_given_by_the_labels_that_are_chosen(tiny_models: Path) -> None:
    run = Run("20260101-000000-mine", "mine", "quick", str(tiny_models / "old"), "photos")
    split = ["test"] * 8 + ["train"] * 4
    table = pd.DataFrame({"filename": [f"{n}.jpg" for n in range(12)], "split": split})
    clapping, running, sitting = np.eye(3)
    for folder, name, first, said in (
        (tiny_models, "old", "running", [running, clapping, sitting]),
        (run.folder / "models", "mine", "sitting", [sitting, running, clapping]),
    ):
        labelled = table.assign(label=[first, *["clapping"] * 11])
        probabilities = np.array([*said, *[clapping] * 5])
        write_evaluated_bundle(
            folder, labelled, CLASS_NAMES, name=name, probabilities=probabilities
        )
    (run.folder / "run.json").write_text(json.dumps(asdict(run)))
    with recorded_run(EventLog(run.folder / "events.jsonl"), run.folder, "mine"):
        pass
    page = open_page()
    assert "by the labels for mine" in "".join(w.value for w in page.warning)
    assert "**Newly right: 2**" in texts(page) and "**Newly wrong: 1**" in texts(page)
    better, worse = (tiles_of(page, f"changed {n}") for n in (2, 1))
    assert {(tile["id"], tile["note"]) for tile in better} == {
        ("0.jpg", "running → sitting"),
        ("2.jpg", "sitting → clapping"),
    }
    assert [(tile["id"], tile["note"]) for tile in worse] == [("1.jpg", "clapping → running")]
    assert "sitting **+100** points :small[0 → 100\N{NO-BREAK SPACE}% of 1]" in texts(page)
    led_to = {
        link.proto.label: dict(parse_qsl(link.proto.query_string)) for link in page.get("page_link")
    }
    compared = {"model": "old", "view": "Compare", "with": "mine"}
    assert led_to["Open in Compare"] == compared
    assert led_to["Audit random test photographs, blind"] == {"model": "old", "view": "Audit"}
    page.segmented_control(key=f"labels {run.id}").set_value("old").run()
    assert not page.exception
    assert "by the labels for old" in "".join(w.value for w in page.warning)
    assert "**Newly right: 1**" in texts(page) and "**Newly wrong: 2**" in texts(page)


def test_a_training_is_stopped_as_soon_as_it_has_said_who_it_is(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = waiting_run(tiny_models / "tiny", "mine")
    stop = open_page().button(key=f"stop {run.id}")
    assert (stop.disabled, stop.help) == (True, "It can be stopped as soon as it has started.")
    log = EventLog(run.folder / "events.jsonl")
    stopped: list = []
    monkeypatch.setattr("os.kill", lambda *what: stopped.append(what))
    with recorded_run(log, run.folder.parent, "mine"):
        page = open_page()
        stop = page.button(key=f"stop {run.id}")
        assert (stop.disabled, stop.help) == (False, "")
        stop.click().run()
    assert stopped == [(os.getpid(), signal.SIGTERM)]


def failed_run(models: Path, **said: object) -> Run:
    run = Run("20260101-000000-mine", "mine", "quick", str(models / "tiny"), "photos")
    run.folder.mkdir(parents=True)
    (run.folder / "run.json").write_text(json.dumps(asdict(run)))
    EventLog(run.folder / "events.jsonl").write("failed", error="It was dark.", **said)
    return run


@pytest.mark.parametrize(("said", "offered"), [({}, True), ({"for_good": True}, False)])
def test_a_run_that_failed_for_its_labels_is_not_offered_for_resuming(
    tiny_models: Path, said: dict, offered: bool
) -> None:
    run = failed_run(tiny_models, **said)
    page = open_page()
    page.query_params["run"] = run.id
    page.run()
    keys = {button.key for button in page.button}
    assert (f"resume {run.id}" in keys) == offered
    assert ("learns from the same table" in texts(page)) != offered
    page.button(key=f"remove {run.id}").click().run()
    assert not page.exception and list_runs() == []


def test_the_address_keeps_no_run_that_is_gone(tiny_models: Path) -> None:
    run = failed_run(tiny_models)
    page = open_page()
    page.query_params["run"] = run.id
    page.run()
    assert "mine" in headers(page)
    assert page.query_params["run"] == run.id
    page.button(key=f"remove {run.id}").click().run()
    assert not page.exception
    assert "run" not in page.query_params


def test_a_selected_version_is_that_one_only(tiny_models: Path) -> None:
    failed_run(tiny_models)
    page = open_page()
    selected = selecting(page, "mine")
    assert "mine" in headers(send(page, selected))
    assert "**mine**" in [text.value for text in page.run().markdown]
    # Another model stands in its place now, and a browser may not have heard of that.
    write_tiny_bundle(tiny_models, "newer", created="2999-01-01T00:00:00+00:00")
    write_tiny_bundle(tiny_models, "newest", created="2999-01-02T00:00:00+00:00")
    page.query_params.clear()
    assert "Select a version to open, compare or use it." in texts(page.run())
    assert "mine" not in headers(send(page, selected))
