"""The Dataset page, as Streamlit runs it: every section, with and without a dataset."""

import io
import json
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Button

from dashboard.dataset import actions, decision_bar, overview
from dashboard.dataset import leakage as dataset_leakage
from dashboard.dataset import suspects as dataset_suspects
from dashboard.dataset import view as views
from dashboard.dataset.kept import zip_of
from dashboard.dataset.review import unlabelled
from dashboard.dataset.review.queue import load_queue
from dashboard.dataset.view import dataset_view
from dashboard.jobs.registry import dismiss_job, find_jobs, start_job
from har_core.analysis.labelling import choose_to_label
from har_core.analysis.suspects import LabelSuspects, find_label_suspects
from har_core.analysis.whole_set import analyse_photographs
from har_core.dataset import decisions
from har_core.dataset.decisions import decide, load_decisions, undo
from har_core.dataset.kept import keep_dataset, kept_datasets
from har_core.model import bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    CROSS_VALIDATED_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    BundleManifest,
    read_manifest,
)
from har_core.model.temperature import apply_temperature
from har_core.scan.scanning import scan_dataset
from tests.drawing import CLASS_NAMES, colour_network, photo_bytes, write_dataset
from tests.evaluated import draw_table, write_evaluated_bundle
from tests.parts import run_its_part
from tests.patience import PATIENCE_S
from tests.shown import handed_out, tiles_of
from tests.stale import say_again

ROOT = Path(__file__).parents[2]
SECTIONS = ("Overview", "Photographs", "Findings", "Label suspects", "Map", "Leakage", "Clean up")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a dataset, a model that knows it, and a cache, once for all tests.

    Eight pictures of each class, one of them twice, one unreadable. The model records splits (the
    copy's and its original's apart) and predictions.
    """
    folder = tmp_path_factory.mktemp("template")
    dataset = write_dataset(folder / "photos", per_class=8)
    photos = dataset / "train"
    (photos / "copy.jpg").write_bytes((photos / "running_0.jpg").read_bytes())
    (photos / "sitting_7.jpg").write_bytes(b"")
    with (dataset / "train.csv").open("a") as table:
        table.write("copy.jpg,running\n")
    scan = scan_dataset(dataset, workers=1, cache=folder / "cache" / "template.sqlite")
    splits = scan[["filename", "label", "sha256"]].assign(duplicate_group=range(len(scan)))
    splits["split"] = np.resize(["train", "validation", "test"], len(splits))
    splits.loc[splits["filename"] == "running_0.jpg", "split"] = "train"
    splits.loc[splits["filename"] == "copy.jpg", "split"] = "test"
    predictions = splits.loc[splits["split"] != "train", ["filename", "label", "split"]].copy()
    for name in CLASS_NAMES:
        predictions[name] = np.where(predictions["label"] == name, 0.8, 0.1)
    files = {
        ONNX_FILE: colour_network(),
        CLASS_INDICES_FILE: format_class_indices(CLASS_NAMES).encode(),
        SPLITS_FILE: as_parquet(splits),
        PREDICTIONS_FILE: as_parquet(predictions),
    }
    manifest = BundleManifest("tiny", "colour", 224, "minus_one_to_one", CLASS_NAMES)
    bundle.write_bundle(folder / "models" / "tiny", manifest, files)
    shutil.copytree(dataset, folder / "unscanned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HAR_CACHE_DIR", str(folder / "cache"))
        analyse_photographs(folder / "models" / "tiny", scan_dataset(dataset, workers=1))
    return folder


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("HAR_DATASET", "HAR_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shared(template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a dataset that is scanned and analysed, for tests that change nothing in it."""
    monkeypatch.setenv("HAR_MODELS_DIR", str(template / "models"))
    monkeypatch.setenv("HAR_CACHE_DIR", str(template / "cache"))
    yield template / "photos"
    assert load_decisions(template / "photos").steps == ()


@pytest.fixture
def shared_unscanned(template: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a dataset that nobody has scanned, for tests that change nothing in it."""
    monkeypatch.setenv("HAR_MODELS_DIR", str(template / "models"))
    yield template / "unscanned"
    assert load_decisions(template / "unscanned").steps == ()


@pytest.fixture
def unscanned(tmp_path: Path, template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the dataset beside its model; nothing is scanned yet."""
    monkeypatch.setenv("HAR_MODELS_DIR", str(template / "models"))
    return shutil.copytree(template / "photos", tmp_path / "photos")


@pytest.fixture
def dataset(unscanned: Path) -> Path:
    """Scan the copied dataset."""
    scan_dataset(unscanned, workers=1)
    return unscanned


@pytest.fixture
def analysed(tmp_path: Path, template: Path, dataset: Path) -> Path:
    """Take over the analysis, which belongs to contents and labels, not to a folder."""
    for kept in ("features", "analyses"):
        shutil.copytree(template / "cache" / kept, tmp_path / "cache" / kept)
    return dataset


def as_parquet(table: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.to_parquet(buffer)
    return buffer.getvalue()


def open_page(
    dataset: Path | None = None, section: str | None = None, photo: str = "", **state
) -> AppTest:
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=PATIENCE_S)
    page.session_state["dataset"] = str(dataset) if dataset else ""
    page.switch_page("../pages/dataset.py")
    for key, value in state.items():
        page.session_state[key] = value
    if section:
        page.query_params["section"] = section
    if photo:
        page.query_params["photo"] = photo
    page.run()
    assert not page.exception, page.exception
    return page


def texts(page: AppTest) -> str:
    elements = [*page.markdown, *page.caption, *page.info, *page.success, *page.error]
    return "\n".join(str(element.value) for element in [*elements, *page.warning])


def figures(page: AppTest) -> list[str]:
    """Return the key figures below the title."""
    (line,) = [m.value for m in page.markdown if "** class" in m.value]
    return line.replace("**", "").split(" · ")


def test_a_part_of_a_first_page_is_still_of_it_though_the_cache_is_new(
    unscanned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[views.DatasetView] = []
    show = views.dataset_view
    monkeypatch.setattr(views, "dataset_view", lambda *of: shown.append(show(*of)) or shown[-1])
    open_page(unscanned)
    (first,) = shown
    assert views._is_current(first)
    scan_dataset(unscanned, workers=1)
    assert not views._is_current(first)


def test_photographs_can_be_browsed_where_nothing_can_be_remembered(
    unscanned: Path, tmp_path: Path
) -> None:
    (tmp_path / "cache").touch()  # no folder can be made there
    page = open_page(unscanned, "Photographs")
    assert not page.exception and not page.error
    assert any("Nothing can be remembered" in warning.value for warning in page.warning)
    assert "scan" not in [button.key for button in page.button]


@pytest.mark.parametrize("section", ["Review", "Findings", "Label suspects", "Map", "Leakage"])
def test_no_section_asks_for_a_scan_where_nothing_can_be_remembered(
    unscanned: Path, tmp_path: Path, section: str
) -> None:
    (tmp_path / "cache").touch()
    page = open_page(unscanned, section)
    said = texts(page)
    assert "Nothing can be remembered" in said and "Scan the photographs" not in said
    assert "analyse" not in [button.key for button in page.button]


def test_no_look_by_the_model_is_offered_where_it_could_not_be_remembered(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "why_nothing_is_remembered", lambda: "The disk is full.")
    page = open_page(dataset, "Map")
    assert "the model cannot look at all photographs: the disk is full" in texts(page)
    assert "analyse" not in [button.key for button in page.button]


def test_unscanned_dataset_shows_its_balance_and_offers_a_scan(
    unscanned: Path,
) -> None:
    page = open_page(unscanned)
    assert figures(page) == [
        "25 photographs",
        "3 classes",
        "0 MB",
        "none missing",
        "all listed",
    ]
    assert "Balanced" in texts(page)
    page.button(key="scan").click().run()
    (job,) = find_jobs(f"scan/{unscanned.resolve()}")
    assert job.wait(PATIENCE_S)
    assert job.state == "done", job.error
    page.run()
    assert "3 with findings" in figures(page)
    assert "Scan the photographs" not in [button.label for button in page.button]
    assert page.success[0].value == "25 photographs scanned, 3 with findings\\."
    page.button(key=f"open {job.key}").click().run()
    assert page.segmented_control(key="section").value == "Findings"
    assert not page.success


def test_after_photographs_are_added_only_these_are_said_to_be_left(dataset: Path) -> None:
    shutil.copy(next((dataset / "train").glob("*.jpg")), dataset / "train" / "added.jpg")
    (dataset / "train" / "running_2.jpg").unlink()
    page = open_page(dataset)
    assert figures(page)[3:] == [":orange[1 missing]", ":orange[1 not in the table]"]
    bars = json.loads(page.get("plotly_chart")[0].proto.spec)["data"]
    assert set(bars[-1]["y"]) == set(CLASS_NAMES) and len(bars) > 2  # that one has no label
    assert "1 photograph new, changed or not scanned yet" in texts(page)
    page.button(key="scan").click().run()
    (job,) = find_jobs(f"scan/{dataset.resolve()}")
    assert job.wait(PATIENCE_S)
    assert "not scanned yet" not in texts(page.run())
    assert "See the findings" in [button.label for button in page.button]
    shutil.copy(dataset / "train" / "added.jpg", dataset / "train" / "later.jpg")
    assert "not scanned yet" in texts(page.run())
    assert "See the findings" not in [button.label for button in page.button]  # there are none now


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_before_the_scan(shared_unscanned: Path, section: str) -> None:
    page = open_page(shared_unscanned, section)
    assert all(b.disabled for b in page.button if b.key == "analyse")
    assert "rescan" not in [b.key for b in page.button]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_section_opens_after_scan_and_analysis(shared: Path, section: str) -> None:
    page = open_page(shared, section)
    assert "first (above)" not in texts(page)
    small = "**all** have a side below the network's 224 pixels"  # they are 275 × 183
    assert (small in texts(page)) == (section == "Overview")
    assert ("rescan" in [b.key for b in page.button]) == (section == "Findings")


def test_findings_are_counted_and_named(shared: Path) -> None:
    page = open_page(shared, "Findings")
    assert page.pills(key="finding").options == ["Unreadable", "Exact duplicates"]
    bars = json.loads(page.get("plotly_chart")[0].proto.spec)["data"][0]
    assert dict(zip(bars["y"], bars["text"], strict=True)) == {
        "Unreadable": "1",
        "Exact duplicates": "2",
    }
    assert "**3** photographs (12" in texts(page)


def test_every_photograph_that_is_listed_under_two_labels_can_be_seen(
    unscanned: Path, tmp_path: Path
) -> None:
    folder = write_dataset(tmp_path / "twice", per_class=9)
    table = pd.read_csv(folder / "train.csv")
    again = table.assign(label=np.roll(table["label"], 9))
    pd.concat([table, again]).to_csv(folder / "train.csv", index=False)
    scan_dataset(folder, workers=1)
    page = open_page(folder, "Findings", finding="label_conflict")
    (pages,) = page.get("pagination")
    assert pages.proto.num_pages == 2


def test_browser_filters_by_name_class_and_finding(shared: Path) -> None:
    page = open_page(shared, "Photographs")
    assert "**25** photographs" in texts(page)
    page.session_state["page     Name any"] = 2
    assert [tile["id"] for tile in tiles_of(page.run(), "browser")] == ["sitting_7.jpg"]
    page.text_input(key="browse_search").set_value("RUNNING_").run()
    assert "**8** photographs" in texts(page)
    page.selectbox(key="browse_order").select("Largest file").run()
    sizes = [(shared / "train" / t["id"]).stat().st_size for t in tiles_of(page, "browser")]
    assert len(sizes) == 8 and sizes == sorted(sizes, reverse=True)
    page.selectbox(key="browse_order").select("Model least sure").run()
    assert tiles_of(page, "browser")[0]["note"].startswith("model: ")
    page.selectbox(key="browse_finding").select("exact_duplicates").run()
    assert "**1** photograph\n" in texts(page)
    page.selectbox(key="browse_class").select("sitting").run()
    assert "No photograph matches" in texts(page)
    page.button(key="clear_filters").click().run()
    assert "**25** photographs" in texts(page)
    page.selectbox(key="browse_split").select("test + train").run()
    assert "**2** photographs" in texts(page)


def test_a_link_keeps_the_browsers_filters(shared: Path) -> None:
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=PATIENCE_S)
    page.session_state["dataset"] = str(shared)
    page.switch_page("../pages/dataset.py")
    page.query_params["section"] = "Photographs"
    page.query_params["browse_search"] = "running"
    page.query_params["browse_finding"] = "Exact duplicates"
    page.query_params["browse_class"] = "flying"  # no class of this dataset: all classes
    page.query_params["browse_order"] = "Largest file"
    page.run()
    assert not page.exception
    assert "**1** photograph\n" in texts(page)
    assert page.selectbox(key="browse_class").value == ""
    assert page.selectbox(key="browse_order").value == "Largest file"


@pytest.mark.parametrize("name", ["using_laptop", "using laptop"])
def test_a_link_may_hold_a_classs_real_name_or_the_readable_one(unscanned: Path, name: str) -> None:
    table = unscanned / "train.csv"
    table.write_text(table.read_text().replace(",sitting", ",using_laptop"))
    page = AppTest.from_file(str(ROOT / "dashboard" / "navigation.py"), default_timeout=PATIENCE_S)
    page.session_state["dataset"] = str(unscanned)
    page.switch_page("../pages/dataset.py")
    page.query_params["section"] = "Photographs"
    page.query_params["browse_class"] = name
    page.run()
    assert not page.exception
    assert "**8** photographs" in texts(page)
    assert page.query_params["browse_class"] == "using laptop"
    page.selectbox(key="browse_class").select("").run()
    assert "**25** photographs" in texts(page)


def test_opened_photograph_can_be_excluded_and_the_decision_undone(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = open_page(dataset, "Photographs", photo="running_1.jpg")
    assert "The model says" in texts(page)
    page.button(key="opened running_1.jpg_exclude").click().run()
    assert not page.exception
    assert load_decisions(dataset).excluded == {"running_1.jpg"}
    decide(dataset, "confirm", ["sitting_7.jpg"])
    files = handed_out(monkeypatch)
    cleanup = open_page(dataset, "Clean up")
    assert "**24** of 25 rows are kept" in texts(cleanup)
    assert "running_1.jpg" not in files["Cleaned train.csv"]()
    assert files["Cleaned train.csv"]().count("\n") == 1 + 24
    assert "running_1.jpg,running," in files["Decisions CSV"]()
    assert files["Findings CSV"]().count("\n") == 1 + 25
    assert "Unreadable files" not in texts(cleanup)  # it is right as it is
    decided = cleanup.dataframe[0].value
    assert decided["Photograph"].tolist() == ["sitting_7.jpg", "running_1.jpg"]
    assert decided["Decision"].tolist() == ["right as it is", "excluded"]
    ticked = {"selection": {"rows": [1], "columns": [], "cells": []}}
    cleanup.session_state[cleanup.dataframe[0].key] = ticked
    assert "**1** ticked" in texts(cleanup.run())
    cleanup.button(key="decided_keep").click().run()
    assert list(load_decisions(dataset).current) == ["sitting_7.jpg"]
    assert "Last: took back what was decided about running" in texts(cleanup)
    cleanup.button(key="undo").click().run()
    assert load_decisions(dataset).excluded == {"running_1.jpg"}
    for _ in range(2):
        cleanup.button(key="undo").click().run()
    assert "**25** of 25 rows are kept" in texts(cleanup)
    assert load_decisions(dataset).current == {}


def test_a_label_that_stays_the_same_is_no_new_label(unscanned: Path) -> None:
    table = unscanned / "train.csv"
    table.write_text(table.read_text().replace("sitting_1.jpg,sitting", "sitting_1.jpg,"))
    decide(unscanned, "relabel", ["running_0.jpg", "sitting_0.jpg", "sitting_1.jpg"], "running")
    assert "**2** with a new label" in texts(open_page(unscanned, "Clean up"))


def test_decision_about_a_photograph_that_was_replaced_is_kept_but_not_applied(
    unscanned: Path,
) -> None:
    decide(unscanned, "exclude", ["running_1.jpg"])
    (unscanned / "train" / "new").write_bytes(photo_bytes("running", 500))
    (unscanned / "train" / "new").replace(unscanned / "train" / "running_1.jpg")
    cleanup = texts(open_page(unscanned, "Clean up"))
    assert "**25** of 25 rows are kept" in cleanup
    assert "1 photograph with a decision was replaced by another" in cleanup
    assert "running" in cleanup


def test_link_to_a_photograph_that_is_not_there_says_so(shared: Path) -> None:
    page = open_page(shared, "Photographs", photo="*lost*.jpg")
    assert r"There is no photograph \*lost\*" in texts(page)
    assert not [b for b in page.button if b.label == "Exclude"]


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("copy.jpg", "Exact duplicates"),
        ("sitting_7.jpg", "Unreadable"),
        ("running_1.jpg", None),
        ("running_2.jpg", None),
    ],
)
def test_opened_photograph_names_its_findings(shared: Path, name: str, finding: str | None) -> None:
    page = open_page(shared, "Photographs", photo=name)
    said = texts(page)
    assert ("No findings" in said) == (finding is None)
    assert finding is None or f":orange-badge[{finding}]" in said
    # The model has learned from the copy under another name.
    assert ("no second opinion" in said) == (name in ("copy.jpg", "running_1.jpg"))
    assert "next_photograph" not in [b.key for b in page.button]  # a link names no others


def test_file_that_is_no_picture_can_be_opened_before_the_scan(unscanned: Path) -> None:
    (unscanned / "train" / "running_1.jpg").write_bytes(b"<html>")
    page = open_page(unscanned, "Photographs", photo="running_1.jpg")
    assert "There is no picture to show: unreadable" in texts(page)


def test_job_of_a_folder_with_a_longer_name_is_not_this_ones(unscanned: Path) -> None:
    goes_on = threading.Event()
    job = start_job(
        f"scan/{unscanned.resolve()}2", "Scanning", lambda job: goes_on.wait(PATIENCE_S)
    )
    try:
        page = open_page(unscanned)
        assert "Scan the photographs" in [button.label for button in page.button]
        assert "Cancel" not in [button.label for button in page.button]
    finally:
        goes_on.set()
        job.wait(PATIENCE_S)
        dismiss_job(job)


def test_an_outlier_is_a_finding(shared: Path, template: Path) -> None:
    view = dataset_view(str(shared), template / "models" / "tiny")
    assert view.has_finding.sum() == 3
    outlier = view.photographs["filename"].eq("running_1.jpg")
    photographs = view.photographs.assign(is_outlier_issue=outlier)
    assert replace(view, photographs=photographs).has_finding.sum() == 4


def test_ranking_belongs_to_a_state_of_the_dataset_not_to_an_object(
    analysed: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranked: list[int] = []

    def count(labels: pd.Series, *others) -> LabelSuspects:
        ranked.append(len(labels))
        return find_label_suspects(labels, *others)

    monkeypatch.setattr(dataset_suspects, "find_label_suspects", count)
    view = dataset_view(str(analysed), template / "models" / "tiny")
    dataset_suspects._rank(view, "Whole set")
    dataset_suspects._rank(replace(view), "Whole set")
    assert len(ranked) == 1
    with (analysed / "train.csv").open("a") as table:
        table.write("\n")
    changed = dataset_view(str(analysed), template / "models" / "tiny")
    assert changed.identity != view.identity
    dataset_suspects._rank(changed, "Whole set")
    assert len(ranked) == 2


def test_suspects_say_which_classes_are_too_small_to_judge(shared: Path, template: Path) -> None:
    view = dataset_view(str(shared), template / "models" / "tiny")
    assert view.analysis is not None
    assert "not judged" not in dataset_suspects._sources(view)["Whole set"]
    rows = view.analysis.labelled
    two_classes = rows[view.photographs["label"].iloc[rows].ne("sitting")]
    fewer = replace(view.analysis, labelled=two_classes)
    partly = replace(view, analysis=fewer, identity=replace(view.identity, stamps=()))
    assert "fewer than 5 usable" in dataset_suspects._sources(partly)["Whole set"]
    none = replace(view.analysis, labelled=rows[:0])
    nobody = replace(view, analysis=none, identity=replace(view.identity, stamps=((0, 0),)))
    assert "Whole set" not in dataset_suspects._sources(nobody)


def test_a_record_that_cannot_judge_these_labels_leaves_them_to_the_analysis(
    analysed: Path, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = template / "models" / "tiny"
    view = dataset_view(str(analysed), source)
    assert view.analysis is not None
    judged = view.photographs[["sha256", "filename", "label"]].iloc[1:].copy()
    judged[list(CLASS_NAMES)] = 1 / 3
    monkeypatch.setattr(dataset_suspects, "recorded_cross_validation", lambda *_: judged)
    partly = dataset_suspects._sources(replace(view, identity="record lacks one"))
    assert "the model's image features" in partly["Whole set"]
    # Of other names for the classes it knows nothing, though it has seen each photograph.
    named = view.photographs.assign(label="indoors")
    other = replace(view, photographs=named, identity="other names")
    assert list(dataset_suspects._sources(other)) == ["Whole set"]
    csv = analysed / "train.csv"
    csv.write_text(re.sub(",(?!label)", ",my ", csv.read_text()))
    page = open_page(analysed, "Label suspects")
    assert "Let the model look at all photographs first" in texts(page)


def test_overview_compares_sizes_with_the_models_own_input(
    shared: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = template / "models" / "tiny"
    manifest = replace(read_manifest(source), input_size=160)
    files = {name: source / name for name in manifest.files}
    bundle.write_bundle(tmp_path / "models" / "tiny", manifest, files)
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    page = open_page(shared)
    assert "none has a side below the network's 160 pixels" in texts(page)
    bars = json.loads(page.get("plotly_chart")[0].proto.spec)["data"]
    assert [bar.get("name") for bar in bars[:-1]] == ["train", "validation", "test", "test + train"]
    view = dataset_view(str(shared), None)
    sizes = overview._property_figure(view, "File size").data[0]
    kilobytes = view.photographs.groupby("label")["size_bytes"].median() / 1000
    assert dict(zip(sizes.y, sizes.median, strict=True))["running"] == kilobytes["running"]
    assert dict(zip(bars[-1]["y"], bars[-1]["text"], strict=True)) == {
        "running": " 9",
        "sitting": " 8",
        "clapping": " 8",
    }
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "none"))
    page = open_page(shared)
    assert "pixels." in texts(page)
    assert "network" not in texts(page)


def test_recorded_confidence_is_what_the_model_answers_now(
    dataset: Path, template: Path, tmp_path: Path
) -> None:
    models = shutil.copytree(template / "models", tmp_path / "models")
    dataset_view(str(dataset), models / "tiny")
    bundle.update_manifest(models / "tiny", temperature=2.0)  # after the page was open
    view = dataset_view(str(dataset), models / "tiny")
    expected = apply_temperature(np.array([0.8, 0.1, 0.1]), 2.0).max()
    held_out = view.photographs["split"].isin(["validation", "test"])
    assert view.photographs.loc[held_out, "confidence"].to_numpy(float) == pytest.approx(expected)


def test_suggestions_exclude_the_surplus_in_one_click(dataset: Path) -> None:
    page = open_page(dataset, "Clean up")
    assert "Unreadable files: **1**" in texts(page)
    assert "all but the largest of each group: **1**" in texts(page)
    for button in [b for b in page.button if b.label == "Exclude"]:
        button.click()
    page.run()
    assert load_decisions(dataset).excluded >= {"sitting_7.jpg"}


def test_leak_between_splits_is_reported(shared: Path) -> None:
    page = open_page(shared, "Leakage")
    assert "Duplicates cross splits: 1 group, 2 photographs" in texts(page)


@pytest.mark.parametrize(
    ("n", "told"),
    [
        (0, "No leak: there are no duplicates."),
        (2, "No leak: 2 groups of duplicates, each within one split."),
    ],
)
def test_no_duplicates_are_no_groups_that_keep_to_a_split(n: int, told: str) -> None:
    assert dataset_leakage.no_leak(n) == told


def test_photograph_listed_in_two_splits_is_a_leak(unscanned: Path, tmp_path: Path) -> None:
    table = unscanned / "train.csv"
    first, *rows = table.read_text().splitlines()
    lines = [f"{first},split", *(f"{row},train" for row in rows), "running_1.jpg,running,test"]
    table.write_text("\n".join(lines))
    (unscanned / "train" / "0.jpg").write_bytes(photo_bytes("running", 700))  # not listed
    scan_dataset(unscanned, workers=1)
    page = open_page(unscanned, "Leakage", split_source="column “split” of the table")
    assert "Duplicates cross splits: 1 group, 1 photograph." in texts(page)
    assert any("running" in c.value and "· test + train" in c.value for c in page.caption)
    (tile,) = tiles_of(page, "leak")
    assert (tile["id"], tile["note"]) == ("running_1.jpg", "test + train")


def test_a_map_colours_its_photographs_and_shows_those_of_a_region(shared: Path) -> None:
    def drawn(page: AppTest) -> dict[str, list[int]]:
        traces = json.loads(page.get("plotly_chart")[0].proto.spec)["data"]
        return {trace["name"]: len(trace["text"]) for trace in traces}

    page = open_page(shared, "Map", map_colouring="Finding")
    assert drawn(page) == {"Exact duplicates": 2, "other": 22}
    page.session_state["map_colouring"] = "Split"
    assert drawn(page.run()) == {"train": 8, "validation": 8, "test": 6, "test + train": 2}
    region = {"selection": {"points": [{"customdata": [0]}, {"customdata": [9]}]}}
    page.session_state["photo_map_Split"] = region
    names = dataset_view(str(shared), None).photographs["filename"]
    assert [tile["id"] for tile in tiles_of(page.run(), "map")] == [names[0], names[9]]
    assert "**2 photographs in this region**" in texts(page)
    assert "not drawn" not in texts(page)


def test_second_click_on_a_suggestion_means_no_other(dataset: Path) -> None:
    page = open_page(dataset, "Clean up")
    first, other = (b for b in page.button if b.label == "Exclude")
    seen = {first.key, other.key}
    first.click().run()
    assert [b.key for b in page.button if b.key in seen] == [other.key]


def test_damaged_decisions_are_reported_instead_of_overwritten(dataset: Path) -> None:
    decide(dataset, "exclude", ["running_0.jpg"])
    path = load_decisions(dataset).path
    path.write_text("{")
    page = open_page(dataset)
    assert "Cannot read the decisions" in texts(page).replace("\\", "")
    assert path.read_text() == "{"


@pytest.mark.parametrize("mark", ["'", '"'])
def test_a_folder_may_be_pasted_in_quotation_marks(shared_unscanned: Path, mark: str) -> None:
    page = open_page(shared_unscanned, "Overview")
    page.sidebar.text_input(key="dataset").set_value(f"{mark}{shared_unscanned}{mark}").run()
    assert not page.exception
    assert page.sidebar.text_input(key="dataset").value == str(shared_unscanned)
    assert "There is no dataset folder" not in texts(page)


def test_vanished_folder_is_a_message(tmp_path: Path, tiny_models: Path) -> None:
    page = open_page(tmp_path / "gone")
    assert "There is no" in texts(page).replace("\\", "")


@pytest.mark.parametrize("name", ["~nobody-of-that-name/x", "/" + "a" * 300])
def test_impossible_folder_is_a_message(tiny_models: Path, name: str) -> None:
    page = open_page(Path(name))
    assert "There is no dataset folder" in texts(page)


def test_without_doubtful_labels_there_is_no_table_of_them(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def agree(labels: pd.Series, probabilities: np.ndarray, names, groups) -> LabelSuspects:
        sure = np.eye(len(names))[[*map(names.index, labels)]]
        return find_label_suspects(labels, sure, names, groups)

    monkeypatch.setattr(dataset_suspects, "find_label_suspects", agree)
    page = open_page(analysed, "Label suspects", suspect_source="Whole set")
    assert "None of 24 labels is doubtful." in texts(page)
    assert not page.dataframe
    assert "Accept the suggestions" not in " ".join(button.label for button in page.button)


def test_a_held_out_list_is_spoken_of_only_where_there_is_one(
    analysed: Path, template: Path
) -> None:
    view = dataset_view(str(analysed), template / "models" / "tiny")
    told = dataset_suspects._sources(view)["Whole set"]
    assert told.endswith("found less often; the held-out list is stricter.")
    learned = view.photographs.assign(split="train")
    alone = replace(view, photographs=learned, identity=replace(view.identity, stamps=()))
    assert dataset_suspects._sources(alone)["Whole set"].endswith("found less often.")


def test_model_outside_the_models_folder_shows_what_it_knows(
    shared: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = shutil.copytree(template / "models" / "tiny", tmp_path / "elsewhere" / "outer")
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "none"))
    monkeypatch.setenv("HAR_MODEL", str(outer))
    page = open_page(shared, "Label suspects")
    assert "needs a model" not in texts(page)
    assert "photographs that were held out" in texts(page)


def test_table_without_photographs_shows_its_balance(tmp_path: Path, tiny_models: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    (folder / "train.csv").write_text("filename,label\n1.jpg,running\n2.jpg,sitting\n")
    page = open_page(folder)
    assert figures(page) == ["2 photographs", "2 classes"]
    assert "Cannot list" in texts(page).replace("\\", "")
    assert "Class balance" in [heading.value for heading in page.header]


def test_without_a_dataset_the_model_tells_what_it_learned_from(shared_unscanned: Path) -> None:
    page = open_page()
    assert "No dataset folder yet" in texts(page)
    assert "**25** photographs, **3** classes" in texts(page)


def test_uploaded_table_is_checked_and_fixed(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = handed_out(monkeypatch)
    page = open_page()
    table = b"filename,label\n1.jpg,running\n2.jpg,Running \n3.jpg,running\n4.jpg,\n1.jpg,running\n"
    table += b"5.jpg,running\n5.jpg,sitting\n"
    page.file_uploader(key="table").upload("train.csv", table).run()
    assert not page.exception
    assert "7 rows, 1 label" in texts(page)
    assert "1 spelling variant" in texts(page)
    assert "1 row without a label" in texts(page)
    assert "2 filenames listed more than once" in texts(page)
    assert "one row of each, none where labels differ (1)." in texts(page)
    fixed = "filename,label\n1.jpg,running\n2.jpg,running\n3.jpg,running\n"
    assert files["Fixed train.csv"]() == fixed
    page.file_uploader(key="table").clear().run()
    page.file_uploader(key="table").upload("train.csv", b"\xff\xd8 no table").run()
    assert page.error


def test_uploaded_table_takes_the_place_of_the_models_class_balance(
    shared_unscanned: Path,
) -> None:
    page = open_page()
    table = b"filename,label\n1.jpg,running\n2.jpg,running\n3.jpg,Sitting\n"
    page.file_uploader(key="table").upload("train.csv", table).run()
    assert not page.exception
    assert [heading.value for heading in page.header].count("Class balance") == 1
    assert "3 rows, 2 labels" in texts(page)
    assert "**25** photographs" not in texts(page)


def test_damaged_predictions_do_not_hide_the_dataset(
    shared: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = shutil.copytree(template / "models", tmp_path / "models")
    (models / "tiny" / PREDICTIONS_FILE).write_bytes(b"no parquet")
    monkeypatch.setenv("HAR_MODELS_DIR", str(models))
    assert "25 photographs" in figures(open_page(shared))
    page = open_page(shared, "Label suspects")
    assert "Cannot read" in page.error[0].value
    assert "None of 24 labels is doubtful." in texts(page)


def test_cross_validation_kept_from_training_judges_the_whole_set_without_an_analysis(
    dataset: Path, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, models = template / "models" / "tiny", tmp_path / "models"
    manifest = read_manifest(source)
    judged = pd.read_parquet(source / SPLITS_FILE).drop(columns="split")
    for name in CLASS_NAMES:
        judged[name] = np.where(judged["label"] == name, 0.8, 0.1)
    disputed = judged["filename"] == "running_3.jpg"
    judged.loc[disputed, list(CLASS_NAMES)] = [0.98, 0.01, 0.01]
    files = {name: source / name for name in manifest.files}
    files[CROSS_VALIDATED_FILE] = as_parquet(judged)
    bundle.write_bundle(models / "tiny", manifest, files)
    monkeypatch.setenv("HAR_MODELS_DIR", str(models))
    page = open_page(dataset, "Label suspects", suspect_source="Whole set")
    assert "before it was fine-tuned" in texts(page)
    assert "**1** of 25 labels is doubtful" in texts(page)
    table = page.dataframe[0].value
    assert table["Photograph"].tolist() == ["running_3.jpg"]
    assert table["Suggested"].tolist() == ["clapping"]
    (doubted,) = table.loc[:, ["Given %", "Suggested %"]].to_numpy().tolist()
    assert doubted == pytest.approx([1, 98])
    accept = next(b for b in page.button if b.label.startswith("Accept the suggestions"))
    assert (accept.disabled, accept.help) == (True, "Tick photographs first.")
    (tile,) = tiles_of(page, "suspect")
    assert tile["note"].replace("\N{NO-BREAK SPACE}", " ") == "regression: clapping 98 %"
    page.selectbox(key="suspect_class").select("sitting").run()
    assert "None of them is labelled sitting." in texts(page)
    assert not page.dataframe
    page.selectbox(key="suspect_class").select("running").run()
    assert len(page.dataframe[0].value) == 1
    page.query_params["photo"] = "running_3.jpg"
    page.run()
    assert page.button(key="opened running_3.jpg_accept").label == "Accept “clapping” (disputed)"
    other = shutil.copytree(dataset, tmp_path / "other")
    page.session_state["dataset"] = str(other)
    page.session_state["section"] = "Photographs"
    page.query_params["photo"] = "running_3.jpg"
    page.run()
    assert not page.exception
    assert "The given label" in texts(page)
    assert not [b for b in page.button if b.label.startswith("Accept")]


def test_opened_photograph_says_why_the_model_answers_so_and_why_not_its_label(dataset):
    table = dataset / "train.csv"
    table.write_text(table.read_text().replace("running_3.jpg,running", "running_3.jpg,sitting"))
    page = open_page(dataset, "Photographs", photo="running_3.jpg")
    page.toggle(key="why").set_value(True).run()
    assert not page.exception
    assert "changes *running* most" in texts(page)
    assert page.button(key="opened running_3.jpg_keep").disabled  # nothing is decided yet
    why = page.get("button_group")[-1]
    assert {"Why running?", "Why sitting?"} <= set(why.options)
    page.session_state["why_action"] = "sitting"
    page.run()
    assert "changes *sitting* most" in texts(page)
    page.session_state["photographs_in_view"] = ["running_2.jpg", "running_3.jpg", "copy.jpg"]
    page.run().button(key="next_photograph").click().run()
    assert page.query_params["photo"] == "copy.jpg"
    page.button(key="next_photograph").click().run()
    assert page.query_params["photo"] == "running_2.jpg"


@pytest.fixture
def impostors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Draw 120 pictures named like photographs that a model was tested on, which they are not.

    The model records that it found every one of them to be the class after its label.
    """
    recorded = draw_table(120, CLASS_NAMES).assign(split="test")
    labels = pd.Index(CLASS_NAMES).get_indexer(recorded["label"])
    probabilities = 0.01 + 0.97 * np.eye(3)[(labels + 1) % 3]
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    write_evaluated_bundle(tmp_path / "models", recorded, CLASS_NAMES, probabilities=probabilities)
    folder = tmp_path / "impostors"
    (folder / "train").mkdir(parents=True)
    recorded[["filename", "label"]].to_csv(folder / "train.csv", index=False)
    for row in recorded.itertuples():
        picture = photo_bytes(row.label, row.Index, size=(48, 32))
        (folder / "train" / row.filename).write_bytes(picture)
    return folder


@pytest.mark.parametrize("scanned", [False, True])
def test_pictures_that_only_share_a_name_with_test_photographs_are_not_those(
    impostors: Path, tmp_path: Path, scanned: bool
) -> None:
    if scanned:
        scan_dataset(impostors, workers=1)
    view = dataset_view(str(impostors), tmp_path / "models" / "drawn")
    assert view.photographs["split"].eq("").all()
    assert view.photographs["prediction"].isna().all()
    page = open_page(impostors, "Label suspects")
    assert "Let the model look at all photographs first" in texts(page)
    assert "doubtful, the most doubtful first" not in texts(page)
    page = texts(open_page(impostors, "Photographs", photo="Image_1.jpg"))
    assert "In the test split" not in page


def test_renamed_photographs_keep_their_split_and_prediction(
    unscanned: Path, template: Path
) -> None:
    model = template / "models" / "tiny"
    before = dataset_view(str(unscanned), model).photographs
    for path in (unscanned / "train").iterdir():
        path.rename(path.with_name(f"renamed_{path.name}"))
    table = (unscanned / "train.csv").read_text()
    (unscanned / "train.csv").write_text(re.sub(r"(?m)^(?!filename)", "renamed_", table.rstrip()))
    after = dataset_view(str(unscanned), model).photographs
    assert after["split"].tolist() == before["split"].tolist()
    assert after["prediction"].tolist() == before["prediction"].tolist()
    assert after["split"].isin(["validation", "test"]).sum() > 10


def asked(page: AppTest) -> str:
    """Return what the review says, the photograph's heading and the progress included."""
    headings = [heading.value for heading in page.header]
    return "\n".join([texts(page), *headings, *(bar.proto.text for bar in page.get("progress"))])


def test_review_asks_one_photograph_after_another_and_never_again(
    analysed: Path, tmp_path: Path
) -> None:
    (analysed / "train" / "odd.jpg").write_bytes(
        (analysed / "train" / "running_1.jpg").read_bytes()
    )
    with (analysed / "train.csv").open("a") as table:
        table.write("odd.jpg,sitting\n")
    scan_dataset(analysed, workers=1)
    other_dataset = shutil.copytree(analysed, tmp_path / "other")
    scan_dataset(other_dataset, workers=1)
    page = open_page(analysed, "Review")
    total = load_queue(dataset_view(str(analysed), None)).items
    assert set(total["filename"]) == {"running_1.jpg", "odd.jpg", "sitting_7.jpg"}
    assert "**1** of 3 · 0 decided" in asked(page)
    assert "Is this running?" in asked(page)
    assert "Duplicates with different labels" in asked(page)
    pictures = [one for element in page.get("image") for one in element.proto.imgs]
    names = [one.alt.removeprefix("The photograph ") for one in pictures]
    assert (names, pictures[1].caption) == (["running_1.jpg", "odd.jpg"], "sitting")
    other_tab = open_page(analysed, "Review", photo="odd.jpg")
    accept = other_tab.button(key="opened odd.jpg_accept")
    assert accept.label == "Accept “running”"  # as its copy says, and nobody else anything
    del other_tab.query_params["photo"]
    other_tab.run()
    assert review_button(page, 2).label == "Relabel to sitting"
    review_button(page, 1).click().run()
    assert load_decisions(analysed).confirmed == {"running_1.jpg"}
    assert "**2** of 3 · 1 decided" in asked(page)
    assert place_of(page.main, review_button(page, 3).key) == 2
    review_button(other_tab, 3).click().run()
    assert load_decisions(analysed).confirmed == {"running_1.jpg"}
    assert "was already decided" in other_tab.toast[0].value
    assert "**2** of 3 · 1 decided" in asked(other_tab)
    review_button(page, 2).click().run()
    assert load_decisions(analysed).relabelled == {"odd.jpg": "running"}
    assert not [b for b in page.button if b.key.startswith("review_2")]
    assert place_of(page.main, review_button(page, 3).key) == 2  # a key would else meet it twice
    page.button(key="review_Left").click().run()  # the others are decided
    assert "**3** of 3 · 2 decided" in asked(page)
    review_button(page, 3).click().run()
    assert "All 3 are decided" in asked(page)
    page.button(key="review_undo").click().run()
    assert load_decisions(analysed).excluded == set()
    assert "**3** of 3 · 2 decided" in asked(page)
    page.button(key="review_undo").click().run()
    assert "**2** of 3 · 1 decided" in asked(page)
    assert r"Undone: relabelled odd\.jpg to running" in page.toast[0].value
    review_button(page, 2).click().run()
    assert "**3** of 3 · 2 decided" in asked(page)
    page.sidebar.text_input(key="dataset").set_value(str(other_dataset)).run()
    assert "**1** of 3 · 0 decided" in asked(page)
    page.button(key="review_Right").click().run()
    assert "**2** of 3 · 0 decided" in asked(page)
    page.selectbox(key="review_class").select("sitting").run()
    assert "**1** of 2 · 0 decided" in asked(page)
    again = open_page(analysed, "Review")
    assert "**3** of 3 · 2 decided" in asked(again)


def review_button(page: AppTest, number: int) -> Button:
    """Return the button of the photograph that is asked about."""
    return next(b for b in page.button if b.key.startswith(f"review_{number} "))


def place_of(block: Any, key: str) -> int | None:
    """Return where the button of a key stands among its siblings, somewhere in a block."""
    for place, child in block.children.items():
        if getattr(child, "key", None) == key:
            return place
        if hasattr(child, "children") and (found := place_of(child, key)) is not None:
            return found
    return None


def test_review_filters_by_kind_and_takes_another_class(analysed: Path) -> None:
    page = open_page(analysed, "Review", review_kind="quality")
    assert "**1** of 1" in asked(page)
    assert "Unreadable" in asked(page)
    other = next(box for box in page.selectbox if box.key.startswith("review_other"))
    assert "sitting" not in other.options  # which it is called already
    other.select("clapping").run()
    assert load_decisions(analysed).relabelled == {"sitting_7.jpg": "clapping"}
    page.session_state["review_place"] = 7
    say_again(other)
    assert not any("already" in toast.value for toast in page.toast)
    assert page.session_state["review_place"] == 7


@pytest.mark.parametrize(
    ("section", "box", "more"),
    [("Review", "review_other", {"review_kind": "quality"}), ("Photographs", "opened", {})],
)
def test_a_labelled_photograph_can_get_a_class_that_is_new(
    analysed: Path, section: str, box: str, more: dict
) -> None:
    page = open_page(analysed, section, photo="sitting_7.jpg", **more)
    for typed, decided in (
        ("confidence", {}),  # no table could hold it
        ("jumping", {"sitting_7.jpg": "jumping"}),
    ):
        other = next(b for b in page.selectbox if b.key.startswith(box))
        assert other.proto.accept_new_options
        other.options.append(typed)  # an AppTest sends nothing else
        other.select(typed).run()
        assert not page.exception
        assert load_decisions(analysed).relabelled == decided
        assert any("cannot be called" in toast.value for toast in page.toast) == (not decided)


def test_photographs_are_uploaded_opened_and_removed(
    template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_MODELS_DIR", str(template / "models"))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for label in CLASS_NAMES[:2]:
            for seed in range(2):
                archive.writestr(f"mine/{label}/{seed}.jpg", photo_bytes(label, seed))
    page = open_page()
    assert "Upload photographs here" in texts(page)
    page.file_uploader(key="upload_zip").upload("my & photos.zip", packed.getvalue())
    page.button(key="FormSubmitter:upload-Keep these").click().run()
    (job,) = find_jobs("keep/")
    assert job.wait(PATIENCE_S)
    page.run()
    page.button(key="open keep/my photos").click().run()
    assert not page.exception
    assert figures(page)[:2] == ["4 photographs", "2 classes"]
    assert "Uploaded here as **my photos**" in texts(page)
    packed.seek(0)
    keep_dataset(packed, "other")
    page.run().button(key="remove_kept other").click().run()
    assert figures(page)[:2] == ["4 photographs", "2 classes"]
    page.button(key="remove_open").click().run()
    assert not page.exception
    assert "No dataset folder yet" in texts(page)
    assert not kept_datasets()


def test_an_upload_under_a_name_that_another_one_is_getting_says_so(tiny_models: Path) -> None:
    go_on = threading.Event()
    job = start_job("keep/beach", "Keeping beach", lambda job: go_on.wait(PATIENCE_S))
    page = open_page()
    page.file_uploader(key="upload_zip").upload("sea.zip", b"other photographs")
    page.text_input(key="upload_name").set_value(" beach ")
    page.button(key="FormSubmitter:upload-Keep these").click().run()
    assert not page.exception
    assert "Keeping beach" in page.error[0].value
    go_on.set()
    assert job.wait(PATIENCE_S)
    dismiss_job(job)


def test_a_folder_is_packed_with_its_folders() -> None:
    files = []
    for name in ("mine/train.csv", "mine/train/a.jpg"):
        file = io.BytesIO(name.encode())
        file.name = name
        files.append(file)
    with zipfile.ZipFile(zip_of(files)) as archive:
        assert archive.namelist() == ["mine/train.csv", "mine/train/a.jpg"]
        assert archive.read("mine/train/a.jpg") == b"mine/train/a.jpg"


def test_unlabelled_photographs_are_labelled_with_the_same_keys(
    analysed: Path,
) -> None:
    for number in range(3):
        (analysed / "train" / f"new_{number}.jpg").write_bytes(photo_bytes("running", 90 + number))
    with (analysed / "train.csv").open("a") as table:
        table.write("new_0.jpg,\n")  # the others are only in the folder
    model = Path(bundle.models_dir()) / "tiny"
    analyse_photographs(model, scan_dataset(analysed, workers=1))
    page = open_page(analysed, "Review")
    page.button(key="review_unlabelled").click().run()
    assert not page.exception
    assert "What is this?" in asked(page)
    assert "**1** of 3 · 0 decided" in asked(page)
    assert not [b for b in page.button if b.key.startswith("review_1")]
    assert review_button(page, 2).label == "It is running"
    review_button(page, 2).click().run()
    other = next(box for box in page.selectbox if box.key.startswith("review_other"))
    other.select("clapping").run()
    assert "**3** of 3 · 2 decided" in asked(page)
    review_button(page, 3).click().run()
    assert "All 3 are decided" in asked(page)
    decided = load_decisions(analysed)
    assert sorted(decided.relabelled.values()) == ["clapping", "running"]
    assert len(decided.excluded) == 1
    undo(analysed)
    page = open_page(analysed, "Review", review_kind="unlabelled")
    assert "**1** of 1 · 0 decided" in asked(page)
    left = {f"new_{number}.jpg" for number in range(3)} - load_decisions(analysed).relabelled.keys()
    decide(analysed, "confirm", list(left))  # that is looked at, and left without a label
    page = open_page(analysed, "Review", review_kind="unlabelled")
    assert "0 decided" not in asked(page) and "Every photograph without" in asked(page)


def test_after_a_batch_of_unlabelled_photographs_the_next_one_is_asked_about(
    analysed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlabelled, "choose_to_label", partial(choose_to_label, n=2))
    for number in range(3):
        (analysed / "train" / f"new_{number}.jpg").write_bytes(photo_bytes("running", 90 + number))
    analyse_photographs(bundle.models_dir() / "tiny", scan_dataset(analysed, workers=1))
    page = open_page(analysed, "Review", review_kind="unlabelled")
    for _ in range(2):
        review_button(page, 2).click().run()
    assert "All 2 are decided" in asked(page)
    assert "1 photograph more without a label" in asked(page)
    run_its_part(page.button(key="review_next_batch").click())
    assert not page.exception
    assert "**1** of 1 · 0 decided" in asked(page)


def test_a_dataset_without_any_label_is_labelled_with_the_models_classes(analysed: Path) -> None:
    names = pd.read_csv(analysed / "train.csv")["filename"].drop_duplicates()
    names.to_csv(analysed / "train.csv", index=False)
    analyse_photographs(bundle.models_dir() / "tiny", scan_dataset(analysed, workers=1))
    page = open_page(analysed, "Review", review_kind="unlabelled")
    assert "What is this?" in asked(page)
    review_button(page, 2).click().run()
    assert len(load_decisions(analysed).relabelled) == 1
    other = next(box for box in page.selectbox if box.key.startswith("review_other"))
    assert other.options == list(CLASS_NAMES)


@pytest.mark.parametrize("section", ["Overview", "Photographs", "Leakage", "Clean up"])
def test_class_folders_are_a_dataset_and_said(unscanned: Path, section: str) -> None:
    table = pd.read_csv(unscanned / "train.csv").drop_duplicates("filename")
    for number, (name, label) in enumerate(zip(table["filename"], table["label"], strict=True)):
        folder = unscanned / ("test" if number % 4 == 0 else "training") / label
        folder.mkdir(parents=True, exist_ok=True)
        (unscanned / "train" / name).rename(folder / f"{number}.jpg")
    (unscanned / "train").rmdir()
    (unscanned / "train.csv").unlink()
    scan_dataset(unscanned)
    page = open_page(unscanned, section)
    assert not page.exception
    assert f"**{len(table)}** photographs" in texts(page)
    assert any(
        "the labels are the names of 3 folders, the splits too" in c.value for c in page.caption
    )


def test_a_table_of_kaggle_without_labels_is_shown(unscanned: Path) -> None:
    table = pd.read_csv(unscanned / "train.csv")[["filename"]]
    table.to_csv(unscanned / "Testing_set.csv", index=False)
    (unscanned / "train.csv").unlink()
    (unscanned / "train").rename(unscanned / "test")
    page = open_page(unscanned, "Photographs")
    assert not page.exception
    said = [caption.value for caption in [*page.caption, *page.sidebar.caption]]
    assert any("photographs without labels" in line for line in said)
    assert any("Using Testing_set.csv" in line.replace("\\", "") for line in said)


def test_the_table_and_its_columns_can_be_chosen_where_several_are_meant(unscanned: Path) -> None:
    table = pd.read_csv(unscanned / "train.csv")
    (unscanned / "train.csv").unlink()
    table.to_csv(unscanned / "first.csv", index=False)
    renamed = {"filename": "picture of", "label": "deed"}
    table.head(9).rename(columns=renamed).to_csv(unscanned / "second.csv", index=False)
    table.head(4).to_csv(unscanned / "third.csv", index=False)
    page = open_page(unscanned)
    assert "Several tables" in texts(page)
    choice = page.sidebar.selectbox[-1]
    assert (choice.label, choice.options, choice.value) == (
        "Table",
        ["first.csv", "third.csv"],
        None,
    )
    choice.select("third.csv").run()
    assert figures(page)[0] == "4 photographs"
    assert page.sidebar.selectbox[-1].value == "third.csv"
    page.sidebar.selectbox[-1].select("first.csv").run()
    assert figures(page)[0] == "25 photographs"
    (unscanned / "first.csv").unlink()
    page.run()
    assert "There is no" in texts(page)
    page.sidebar.selectbox[-1].select("third.csv").run()
    assert figures(page)[0] == "4 photographs"


def test_columns_with_unusual_headings_can_be_chosen(unscanned: Path) -> None:
    table = pd.read_csv(unscanned / "train.csv").head(9)
    table.columns = ["picture of", "deed"]
    table.to_csv(unscanned / "train.csv", index=False)
    page = open_page(unscanned)
    assert "lacks the columns filename and label" in texts(page)
    filename, label = page.sidebar.selectbox[-2:]
    assert filename.options == label.options == ["picture of", "deed"]
    filename.select("picture of").run()
    assert "9 photographs without labels" in [caption.value for caption in page.sidebar.caption]
    assert figures(page.run())[:2] == ["9 photographs", "0 classes"]  # by now it is remembered
    page.sidebar.selectbox[-1].select("deed").run()
    assert not page.exception
    assert figures(page)[:2] == ["9 photographs", "2 classes"]
    assert page.sidebar.selectbox[-1].value == "deed"
    token = page.session_state["tab_token"]  # and after a reload of the tab
    again = open_page(unscanned, tab_memory={"token": token})
    assert figures(again)[:2] == ["9 photographs", "2 classes"]
    assert [box.value for box in again.sidebar.selectbox[-2:]] == ["picture of", "deed"]
    page.button(key="scan").click().run()
    (job,) = find_jobs(f"scan/{unscanned.resolve()}")
    assert job.wait(PATIENCE_S)
    assert job.state == "done", job.error
    page.segmented_control(key="section").set_value("Clean up").run()
    (command,) = page.code
    assert " --columns 'filename=picture of,label=deed' --cleaned" in command.value


def test_decisions_are_read_once_until_they_change(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    parse = decisions._parse_step
    monkeypatch.setattr(
        decisions, "_parse_step", lambda step: read.append(step["action"]) or parse(step)
    )
    decide(dataset, "exclude", ["running_0.jpg"])
    page = open_page(dataset, "Findings")
    assert read == ["exclude"]
    decide(dataset, "confirm", ["copy.jpg"])
    read.clear()
    page.run()
    assert not page.exception
    assert read == ["exclude", "confirm"]
    page.segmented_control(key="section").set_value("Clean up").run()
    assert "confirmed copy" in texts(page)


def test_all_that_a_filter_holds_is_decided_and_undone_as_one(
    dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_bar, "PAGE_SIZE", 4)
    page = open_page(dataset, "Photographs")
    (box,) = [b for b in page.checkbox if b.label.startswith("Select all")]
    assert box.label == "Select all 25, on every page"
    box.check().run()
    assert "**25** selected" in texts(page)
    page.text_input(key="browse_search").set_value("running").run()
    assert "Select all 8, on every page" in [b.label for b in page.checkbox]
    assert "selected" not in texts(page)
    page.text_input(key="browse_search").set_value("").run()
    page.checkbox[0].check().run()
    page.button(key="browser_exclude").click().run()
    assert len(load_decisions(dataset).excluded) == 25
    undo(dataset)
    assert load_decisions(dataset).steps == ()


def test_what_is_excluded_in_bulk_can_be_looked_at_before(shared: Path) -> None:
    page = open_page(shared, "Clean up")
    next(t for t in page.toggle if t.label == "Look at them").set_value(True).run()
    assert not page.exception
    assert load_decisions(shared).steps == ()
