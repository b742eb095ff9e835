"""Results of `har score` on the Dataset, Evaluation and Jobs pages."""

import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.jobs.registry import dismiss_job, find_jobs
from dashboard.results import map as map_section
from dashboard.results import opening
from har_core.errors import DatasetError
from har_core.model.manifest import SPLITS_FILE
from har_core.scale import jobs
from har_core.scale.analyses import followed
from har_core.scale.engines.ray_state import ClusterState
from har_core.scale.opened.table import ResultsTable
from har_core.scale.results import INFO_FILE, Results
from har_core.scale.scanned.measuring import measure_sources
from har_core.scale.scanned.scanning import scan_sources
from har_core.scale.scoring import score
from har_core.scale.status import JOB_FILE
from har_core.storage.files import sha256_of_file
from tests.drawing import photo_bytes
from tests.har_core.scale.conftest import InlinePool, write_photographs
from tests.made_results import write_results
from tests.patience import PATIENCE_S
from tests.shown import tiles_of

SCRIPT = Path(__file__).parents[2] / "dashboard" / "navigation.py"
ROWS = 2_000


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    labels = write_results(folder / "made", ROWS, part_rows=500)
    labels = labels[~labels.index.duplicated()].rename_axis("sha256").rename("label")
    labels.reset_index().to_csv(folder / "labels.csv", index=False)
    return folder


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("CACHE", "DATA"):
        monkeypatch.setenv(f"HAR_{kind}_DIR", str(tmp_path / kind.lower()))
    for name in ("DATASET", "RESULTS"):
        monkeypatch.delenv(f"HAR_{name}", raising=False)


@pytest.fixture(autouse=True)
def forget_jobs() -> Iterator[None]:
    yield
    for job in find_jobs("results map/"):
        job.cancel()
        job.wait(PATIENCE_S)
        dismiss_job(job)


def open_page(name: str, **address: str) -> AppTest:
    app = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S).switch_page(
        f"../pages/{name}.py"
    )
    app.query_params.update(address)
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    kinds = (*app.markdown, *app.info, *app.caption, *app.error, *app.warning, *app.header)
    return "\n".join(element.value for element in kinds)


def values(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def test_an_address_opens_results_and_a_click_closes_them(place: Path) -> None:
    app = open_page("dataset", results=str(place / "made"))
    assert "**2,000** photographs scored by **made\\_up**" in texts(app)
    assert ":orange[**20** without an answer]" in texts(app)
    figures = {name: int(value.replace(",", "")) for name, value in values(app).items()}
    assert figures["Clear answers"] + figures["Unsure"] + figures["None of these"] == 1980
    assert figures["Clear answers"] > figures["None of these"] > 0
    app.button(key="close_results").click().run()
    assert not app.exception
    assert "No dataset folder yet" in texts(app)


@pytest.mark.parametrize("mark", ["'", '"'])
def test_results_and_labels_may_be_pasted_in_quotation_marks(place: Path, mark: str) -> None:
    results, labels = (f"{mark}{place / name}{mark}" for name in ("made", "labels.csv"))
    app = open_page("evaluation", results=results, labels=labels)
    assert "joined by sha256" in texts(app)
    app.text_input(key="labels").set_value(f"{labels} ").run()
    assert app.text_input(key="labels").value == str(place / "labels.csv")
    app = open_page("jobs")
    app.text_input(key="jobs_in").set_value(results).run()
    assert not app.error and not app.exception and "made" in texts(app)
    assert app.text_input(key="jobs_in").value == str(place / "made")


def test_overview_names_the_filter_that_there_is_and_counts_what_is_tried_again(
    place: Path,
) -> None:
    said = texts(open_page("dataset", results=str(place / "made")))
    (told,) = re.findall(r"\*Photographs\*, filtered by \*(\w+)\*.* tries (\d+) photographs", said)
    app = open_page("dataset", results=str(place / "made"), results_section="Photographs")
    (kind,) = (box for box in app.selectbox if box.label == told[0])
    kind.select("reason:unreadable").run()
    assert f"**{told[1]} photographs**" in texts(app)


@pytest.mark.parametrize(
    ("address", "n"),
    [
        ({"results_kind": "No answer"}, 20),
        ({"results_kind": "No answer: broken"}, 7),
        ({"results_kind": "No answer: web page"}, 7),
        ({"results_search": "photo_0000001"}, 10),
        ({"results_search": "PHOTO_0000001", "results_kind": "No answer"}, 0),
        ({}, ROWS),
    ],
)
def test_filters_of_the_browser(place: Path, address: dict[str, str], n: int) -> None:
    app = open_page(
        "dataset", results=str(place / "made"), results_section="Photographs", **address
    )
    assert (f"**{n:,} photographs**" if n else "No photograph matches") in texts(app)


def test_a_map_of_a_sample_is_arranged_on_demand(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_section, "MAX_POINTS", {"pca": 200, "tsne": 100})
    # Without a process of its own, which takes seconds to start.
    monkeypatch.setattr(
        map_section, "run_apart", lambda work, *a, progress: work(*a, progress=progress)
    )
    app = open_page("dataset", results=str(place / "made"), results_section="Map")
    assert "first two principal components of the class probabilities" in texts(app)
    assert "A random sample: 200 of 1,980 photographs." in texts(app)
    app.button(key="arrange_map").click().run()
    (job,) = find_jobs("results map/")
    assert job.wait(PATIENCE_S) and job.state == "done", job.error
    app.run()
    assert not app.exception
    assert "arranged by t-SNE" in texts(app)
    assert "A random sample: 100 of 1,980 photographs." in texts(app)


def test_without_labels_the_evaluation_shows_what_was_said(place: Path) -> None:
    app = open_page("evaluation", results=str(place / "made"))
    assert "Without labels" in texts(app) and "Clear answers" in values(app)


def test_with_labels_the_evaluation_measures_each_photograph_once(place: Path) -> None:
    address = {"results": str(place / "made"), "labels": str(place / "labels.csv")}
    app = open_page("evaluation", **address)
    assert "joined by sha256" in texts(app) and "with the content of another one" in texts(app)
    assert "It is not known which photographs the model was trained on" in texts(app)
    assert set(values(app)) == {"Top-1 accuracy", "Top-3 accuracy", "Macro F1", "Log loss", "ECE"}
    app = open_page("evaluation", **address, results_view="Confusions")
    app.button(key="pair_0").click().run()
    assert not app.exception
    cell, _, n = app.button(key="clear_cell").label.rpartition(" · ")
    label, answer = cell.split(" taken for ")
    tiles = tiles_of(app, "gallery cell")
    assert {tile["title"] for tile in tiles} == {f"{label}, taken for {answer}"}
    assert len(tiles) == min(int(n), 12)
    sure = [int(re.sub(r"\D.*", "", tile["note"])) for tile in tiles]
    assert sure == sorted(sure, reverse=True)
    assert open_page("evaluation", **address, results_view="Confidence").get("plotly_chart")


@pytest.mark.parametrize(
    ("page", "address"),
    [
        ("dataset", {"results_section": "Photographs"}),
        ("dataset", {"results_section": "Map"}),
        ("evaluation", {"results_view": "Confusions", "true": "dancing", "predicted": "any"}),
    ],
)
def test_a_part_that_cannot_be_read_any_more_is_said_in_its_place(
    place: Path, monkeypatch: pytest.MonkeyPatch, page: str, address: dict[str, str]
) -> None:
    def read(*_: object) -> None:
        raise DatasetError("A job has replaced some rows; try again.")

    monkeypatch.setattr(ResultsTable, "read", read)
    map_section._components.clear()
    where = {"results": str(place / "made"), "labels": str(place / "labels.csv")}
    assert "has replaced some rows" in texts(open_page(page, **where, **address))


def test_labels_of_a_dataset_folder_are_joined_and_a_name_is_said_to_be_weak(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"photo_{i:08d}.jpg" for i in range(ROWS)]
    table = pd.DataFrame({"filename": names, "label": ["running"] * (ROWS - 1) + ["flying"]})
    table.to_csv(tmp_path / "train.csv", index=False)
    monkeypatch.setenv("HAR_DATASET", str(tmp_path))
    app = open_page("evaluation", results=str(place / "made"))
    assert "joined by filename" in texts(app) and "**By filename**" in texts(app)
    assert "no class of the model are left out: flying" in texts(app)


@pytest.mark.parametrize("scored", ["disk", "link"])
def test_photographs_too_many_to_read_are_joined_by_path_also_below_a_link(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, scored: str
) -> None:
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    monkeypatch.setattr(opening, "_MOST_TO_READ", 1)
    for label in ("running", "sitting"):
        (tmp_path / "disk" / label).mkdir(parents=True)
        (tmp_path / "disk" / label / "1.jpg").write_bytes(photo_bytes(label))
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    score([str(tmp_path / scored)], str(tmp_path / "results"))
    files = sorted((tmp_path / "disk").rglob("*.jpg"))
    met = pd.DataFrame({"filename": map(str, files), "label": "running", "duplicate_group": [0, 1]})
    met["sha256"], met["split"] = list(map(sha256_of_file, files)), ["validation", "test"]
    met.to_parquet(tiny_models / "tiny" / SPLITS_FILE)
    monkeypatch.setenv("HAR_DATASET", str(tmp_path / "link"))
    app = open_page("evaluation", results=str(tmp_path / "results"))
    assert "2 labelled photographs · joined by filename" in texts(app)
    said = "1 of these photographs is among those that the model was trained or tuned on"
    assert said in texts(app)


@pytest.mark.parametrize("page", ["dataset", "evaluation"])
@pytest.mark.parametrize(
    ("results", "says"), [("/nowhere", "holds no results"), ("https://a/b", "on a web server")]
)
def test_what_are_no_results_is_said(page: str, results: str, says: str) -> None:
    app = open_page(page, results=results)
    assert says in texts(app)


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_labels_that_a_uri_names_are_read_again_when_they_change(
    place: Path, tmp_path: Path, scheme: str
) -> None:
    if scheme == "memory":  # a storage of fsspec's, for which the extra `scale` is wanted
        pytest.importorskip("aiohttp", reason="the extra scale (requirements-scale.txt)")
    table = f"{scheme}://{tmp_path}/labels.csv"
    lines = (place / "labels.csv").read_text().splitlines(keepends=True)
    address = {"results": str(place / "made"), "labels": table}
    found = []
    for n in (500, 900):
        with pytest.importorskip("fsspec").open(table, "w") as file:
            file.write("".join(lines[:n]))
        said = texts(open_page("evaluation", **address))
        found += re.findall(r"(\d+) labelled photographs", said)
    assert len(set(found)) == 2


@pytest.mark.parametrize("labels", ["/no/labels.csv", "/no/\0.csv"])
def test_wrong_labels_are_said_and_the_answers_stay(place: Path, labels: str) -> None:
    app = open_page("evaluation", results=str(place / "made"), labels=labels)
    assert "Cannot read the table /no/" in app.error[0].value
    assert "Clear answers" in values(app)


def test_a_path_with_a_nul_character_is_said_in_plain_words(place: Path) -> None:
    said = "no path can hold a NUL character."
    for page, key in (("jobs", "jobs_in"), ("dataset", "results"), ("evaluation", "results")):
        (error,) = open_page(page, **{key: "/no/\0made"}).error
        assert error.value.replace("\\", "") == f"Cannot open /no/%00made: {said}"
    app = open_page("evaluation", results=str(place / "made"), labels="/no/\0.csv")
    assert app.error[0].value.replace("\\", "").endswith(said)


def test_the_jobs_page_explains_itself_before_there_are_any(tmp_path: Path) -> None:
    assert "`har score SOURCE… --to RESULTS`" in texts(open_page("jobs"))
    assert "holds no results" in texts(open_page("jobs", jobs_in=str(tmp_path)))


def test_jobs_that_ended_say_how_and_lead_to_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_results(tmp_path / "broken_off", 50, state="failed")
    edit(tmp_path / "broken_off", message="The disk is full.")
    write_results(tmp_path / "killed", 50, state="running")
    edit(tmp_path / "killed", updated=(datetime.now(UTC) - timedelta(hours=1)).isoformat())
    info = tmp_path / "killed" / INFO_FILE
    info.write_text(json.dumps(json.loads(info.read_text()) | {"precision": "int8"}))
    monkeypatch.setenv("HAR_RESULTS", str(tmp_path))
    app = open_page("jobs")
    assert "The disk is full\\. The same `har score` command goes on" in texts(app)
    assert "Nothing was heard of it" in texts(app)
    assert texts(app).count(" · made\\_up with 8 bits · ") == 1
    app.toggle(key=f"details {tmp_path / 'killed'}").set_value(True).run()
    assert "1 broken" in texts(app)
    app.button(key=f"open dataset {tmp_path / 'killed'}").click().run()
    assert not app.exception
    assert "**50** photographs scored by **made\\_up with 8 bits**" in texts(app)


def test_a_running_job_shows_its_rate_and_its_end(tmp_path: Path) -> None:
    write_results(tmp_path / "now", 400, state="running", part_rows=100)
    app = open_page("jobs", jobs_in=str(tmp_path / "now"))
    (bar,) = app.get("progress")
    assert "400 of 800 · 80.0 a second · about 5 s left" in bar.proto.text
    assert "4 parts" in texts(app)
    state = ClusterState(3, 1, 16.0, 2.0, 4e9, 8e9, 6.5e9)
    edit(
        tmp_path / "now",
        engine="ray",
        address="10.0.0.1:6379",
        cluster=dataclasses.asdict(state),
        troubles=["Cannot read the tar file a.tar: it is cut off."],
    )
    app.run()
    assert app.warning[0].value == r"Cannot read the tar file a\.tar\: it is cut off\."
    assert "2 workers on Ray at 10\\.0\\.0\\.1\\:6379" in texts(app)
    assert "Ray: 3 machines (1 has left), 14 of 16 cores in use" in texts(app)
    edit(tmp_path / "now", state="listing", total=0)
    app.run()
    assert "Listing" in app.get("progress")[0].proto.text


def test_what_is_without_answer_is_counted_in_all_rows(tmp_path: Path) -> None:
    write_results(tmp_path / "again", 400)
    edit(tmp_path / "again", answered=300, failed_before=3, done=100, errors=1)
    app = open_page("jobs", jobs_in=str(tmp_path / "again"))
    (shown,) = [metric for metric in app.metric if metric.label == "No answer"]
    assert (shown.value, shown.delta) == ("4", "1.00\N{NO-BREAK SPACE}%")
    edit(tmp_path / "again", elapsed_s=40.0)
    assert values(app.run())["On average"] == "2.5"


def test_scans_are_listed_with_what_they_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    write_photographs(tmp_path / "photographs", 15)
    write_results(tmp_path / "to" / "scored", 50)
    measure_sources([str(tmp_path / "photographs")], str(tmp_path / "to" / "scanned"))
    app = open_page("jobs", jobs_in=str(tmp_path / "to" / "scanned"))
    assert "15 rows in 1 part in" in texts(app) and "**Findings:**" not in texts(app)
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Newly measured"], shown["Unusable files"]) == ("15", "1")
    scan_sources([str(tmp_path / "photographs")], str(tmp_path / "to" / "scanned"))
    app = open_page("jobs", jobs_in=str(tmp_path / "to"))
    assert [header.value for header in app.header] == ["scanned", "scored"]
    app.toggle(key=f"details {tmp_path / 'to' / 'scanned'}").set_value(True).run()
    assert not app.exception
    assert "**Why files cannot be used:** 1 truncated" in texts(app)
    assert "**Findings:** 1\N{NO-BREAK SPACE}× " in texts(app)
    assert "15 rows in 1 part in" in texts(app)
    assert not any(button.key.endswith("scanned") for button in app.button)
    many = {"listed": 1_234_567, "done": 99_999, "answered": 120_400}
    edit(tmp_path / "to" / "scanned", state="failed", message="The disk is full.", **many)
    app.run()
    assert [metric.value for metric in app.metric][:2] == ["1.23\N{NO-BREAK SPACE}M", "99,999"]
    assert app.metric[0].delta == "120\N{NO-BREAK SPACE}k before"
    assert "The disk is full\\. The same `har scan` command goes on" in texts(app)


def test_what_is_computed_from_results_is_shown_with_them(tmp_path: Path) -> None:
    write_results(tmp_path / "made", 50)
    results = Results(str(tmp_path / "made"))
    with pytest.raises(DatasetError), followed(results, "evaluate"):
        raise DatasetError("No row has a label.")
    with followed(results, "suspects", tmp_path / "labels.csv") as analysis:
        analysis.report("Judging labels", 20, 50)
        app = open_page("jobs", jobs_in=str(tmp_path))
        assert "**Doubtful labels**" in texts(app) and "labels\\.csv on " in texts(app)
        (bar,) = app.get("progress")
        assert (bar.proto.text, bar.proto.value) == ("Judging labels · 20 of 50", 40)
        assert "No row has a label\\. Start the same command again" in texts(app)
        analysis.status.found = "49 labels judged, 3 of them doubtful."
    app.run()
    assert not app.exception and not app.get("progress")
    assert "49 labels judged, 3 of them doubtful" in texts(app)


def edit(folder: Path, **changes: object) -> None:
    body = json.loads((folder / JOB_FILE).read_text())
    (folder / JOB_FILE).write_text(json.dumps(body | changes))
