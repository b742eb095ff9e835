"""What is shown of a RESULTS folder is what its parts say."""

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import time

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from har_core.errors import DatasetError, HarError
from har_core.evaluation.result import EvaluationResult
from har_core.scale.labels import NONE, LabelTable, read_label_table
from har_core.scale.opened import sample
from har_core.scale.opened.finding import find_jobs
from har_core.scale.opened.labels import count_among, join_labels
from har_core.scale.opened.metrics import evaluate_results
from har_core.scale.opened.sample import arrange_sample, map_sample
from har_core.scale.opened.scans import count_scan, scan_stamp
from har_core.scale.opened.table import VERDICTS, ResultsTable, open_results
from har_core.scale.results import INFO_FILE, Results
from har_core.scale.scanned.folder import FINDINGS_FILE, ScanFolder
from har_core.scale.status import JOB_FILE
from har_core.scan.issues import ISSUE_KINDS, issue_column
from tests.made_results import write_results

ROWS = 3_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("results") / "made"
    labels = write_results(path, ROWS, n_features=8, part_rows=700)
    labels = labels[~labels.index.duplicated()].rename_axis("sha256").rename("label")
    labels.reset_index().to_csv(path.parent / "labels.csv", index=False)
    return path


@pytest.fixture(scope="module")
def table(folder: Path) -> ResultsTable:
    return open_results(str(folder))


@pytest.fixture(scope="module")
def rows(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(sorted(folder.glob("*.parquet")))


def test_columns_that_are_held_are_those_of_the_parts(
    table: ResultsTable, rows: pd.DataFrame
) -> None:
    assert table.n == ROWS
    names = np.array([*table.class_names, None], dtype=object)
    assert pd.Series(names[table.action]).fillna("").tolist() == rows["action"].fillna("").tolist()
    np.testing.assert_array_equal(table.confidence, rows["confidence"].to_numpy(np.float32))
    assert (table.verdict == VERDICTS.index("foreign")).sum() == (
        rows["verdict"] == "foreign"
    ).sum()
    assert (table.in_scope == 0).sum() == (rows["in_scope"] == False).sum()  # noqa: E712
    assert (table.in_scope == NONE).sum() == rows["in_scope"].isna().sum() > 0
    for number, reason in enumerate(table.reasons):
        assert (table.reason == number).sum() == (rows["reason"] == reason).sum() > 0
    assert table.warned.tolist() == rows["warning"].notna().tolist()
    assert table.parts_written["rows"].sum() == ROWS


def test_rows_are_read_in_the_order_asked_for(table: ResultsTable, rows: pd.DataFrame) -> None:
    wanted = [2_999, 0, 701, 700, 5]
    found = table.read(wanted, ("uri", "running"))
    assert found["uri"].tolist() == rows["uri"].iloc[wanted].tolist()
    assert len(table.read([], ("uri",))) == 0
    hits = np.flatnonzero(table.containing("PHOTO_0000012"))
    assert hits.tolist() == list(range(120, 130))


def test_only_parts_that_are_new_or_replaced_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "grows"
    write_results(place, 30, part_rows=10)
    first = open_results(str(place))
    assert open_results(str(place), first) is first
    results = Results(str(place))
    replaced, *_ = results.parts()
    results.replace_part(replaced, results.read_part(replaced).slice(0, 4))
    results.write_part("ffffffff000000", 0, 7, results.read_part(results.parts()[1]).slice(0, 7))
    read: list[str] = []
    original = Results.read_part
    monkeypatch.setattr(
        Results,
        "read_part",
        lambda self, part, *a: read.append(part.name) or original(self, part, *a),
    )
    second = open_results(str(place), first)
    assert second.n == 31 and second.identity != first.identity
    assert len(read) == 2 and replaced.name in read
    replaced, *_ = results.parts()
    results.replace_part(replaced, results.read_part(replaced).take([3, 2, 1, 0]))
    third = open_results(str(place), second)
    assert third.n == 31 and third.identity != second.identity
    copy = shutil.copytree(place, tmp_path / "copy")  # also of the times of change
    assert open_results(str(copy), third).results.location == str(copy)
    info = place / INFO_FILE
    info.write_text(info.read_text().replace('"made_up"', '"renamed"'))
    assert open_results(str(place), third).info.model == "renamed"


def test_rows_keep_their_numbers_while_a_job_adds_parts(tmp_path: Path) -> None:
    write_results(tmp_path, 30, part_rows=10)
    first = open_results(str(tmp_path))
    drawn = map_sample(first, 20)
    assert drawn.is_of(first)
    before = first.read(range(30), ("uri",))
    results = first.results
    # A name that comes before the others': jobs' numbers are random.
    results.write_part("00000000", 0, 10, results.read_part(results.parts()[0]))
    second = open_results(str(tmp_path), first)
    assert second.n == 40 and drawn.is_of(second)
    pd.testing.assert_frame_equal(second.read(range(30), ("uri",)), before)
    pd.testing.assert_frame_equal(open_results(str(tmp_path)).read(range(30), ("uri",)), before)


def test_reasons_are_those_of_their_rows_in_whatever_order_parts_are_named(tmp_path: Path) -> None:
    write_results(tmp_path, 300, part_rows=150)
    results = open_results(str(tmp_path)).results
    results.write_part("00000000", 0, 150, results.read_part(results.parts()[1]))
    table = open_results(str(tmp_path))
    names = np.array([*table.reasons, ""], dtype=object)
    written = table.read(range(table.n), ("reason",))["reason"].fillna("")
    assert names[table.reason].tolist() == written.tolist()
    np.testing.assert_array_equal(table.reason == NONE, table.answered)


def test_rows_that_a_job_has_replaced_are_not_taken_for_others(tmp_path: Path) -> None:
    write_results(tmp_path, 30, part_rows=10)
    table = open_results(str(tmp_path))
    drawn = map_sample(table, 20)
    first, second, _ = table.parts
    table.results.replace_part(first, table.results.read_part(first).slice(1))
    with pytest.raises(DatasetError, match="is gone: a job has replaced its rows; try again"):
        table.read([3], ("uri",))
    table.results.replace_part(second, table.results.read_part(second).slice(0, 0))
    with pytest.raises(DatasetError, match="is gone: a job has replaced its rows; try again"):
        table.read([13], ("uri",))
    after = open_results(str(tmp_path), table)
    assert after.n == 19 and not drawn.is_of(after)


def test_file_is_no_folder_of_results(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DatasetError, match="holds no results"):
        open_results(str(tmp_path / "file"))
    with pytest.raises(DatasetError, match="Not a directory"):
        find_jobs(str(tmp_path / "file"))
    for address in ("http://there/results", "HTTPS://there/results"):
        with pytest.raises(DatasetError, match="is on a web server; name a folder or a bucket"):
            open_results(address)


def test_what_is_no_results_or_damaged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no results"):
        open_results(str(tmp_path))
    write_results(tmp_path / "damaged", 20, part_rows=10)
    info = tmp_path / "damaged" / INFO_FILE
    told = info.read_text()
    info.write_text(told.replace('"format": 1', '"format": 2'))
    with pytest.raises(DatasetError, match=r"has format 2; this version reads 1\."):
        open_results(str(tmp_path / "damaged"))
    info.write_text(told)
    next((tmp_path / "damaged").glob("*.parquet")).write_bytes(b"no parquet")
    with pytest.raises(DatasetError, match="score again"):
        open_results(str(tmp_path / "damaged"))


def test_metrics_are_those_of_the_whole_evaluation(
    folder: Path, table: ResultsTable, rows: pd.DataFrame
) -> None:
    joined = join_labels(table, read_label_table(folder.parent / "labels.csv"))
    result = evaluate_results(table, joined)
    labels = pd.read_csv(folder.parent / "labels.csv")
    whole = rows[rows["action"].notna()].drop_duplicates("sha256").merge(labels, on="sha256")
    names = table.class_names
    probabilities = whole[list(names)].to_numpy(np.float64)
    expected = EvaluationResult.from_predictions(whole["label"], probabilities, names)
    assert result.n == expected.n < ROWS
    assert joined.copies == (rows["action"].notna() & rows["sha256"].duplicated()).sum()
    assert joined.unanswered == rows["action"].isna().sum() > 0
    np.testing.assert_array_equal(result.confusion, expected.confusion)
    for name, interval in expected.headline_intervals.items():
        mine = result.headline_intervals[name]
        assert mine.value == pytest.approx(interval.value, abs=1e-6), name
        width = interval.high - interval.low
        assert mine.low == pytest.approx(interval.low, abs=0.15 * width), name
        assert mine.high == pytest.approx(interval.high, abs=0.15 * width), name
    theirs, mine_by_class = expected.per_class(), result.per_class
    for column in ("support", "predicted", "precision", "recall", "f1"):
        np.testing.assert_allclose(mine_by_class[column], theirs[column])
    for column in ("precision_low", "recall_high", "f1_low"):
        np.testing.assert_allclose(mine_by_class[column], theirs[column], atol=0.02)


def test_a_name_that_two_rows_share_gives_neither_a_label(
    table: ResultsTable, rows: pd.DataFrame
) -> None:
    uris = rows["uri"]
    twice = LabelTable.of(pd.DataFrame({"uri": uris[:5], "label": "running"}))
    assert join_labels(table, twice).label.tolist() == [10] * 5 + [NONE] * (ROWS - 5)
    by_name = LabelTable.of(
        pd.DataFrame({"filename": ["photo_00000001.jpg", "photo_00000002.jpg"], "label": "eating"})
    )
    assert np.flatnonzero(join_labels(table, by_name).label != NONE).tolist() == [1, 2]


def test_a_filename_of_two_folders_is_nobodys(tmp_path: Path) -> None:
    import pyarrow as pa

    write_results(tmp_path, 20, part_rows=10)
    results = Results(str(tmp_path))
    part = results.parts()[0]
    table = results.read_part(part)
    uris = table["uri"].to_pylist()
    uris[0] = "/elsewhere/photo_00000001.jpg"
    results.write_part("ffffffff000000", 0, 10, table.set_column(0, table.field(0), pa.array(uris)))
    (tmp_path / part.name).unlink()
    names = [f"photo_{i:08d}.jpg" for i in range(20)]
    joined = join_labels(
        open_results(str(tmp_path)),
        LabelTable.of(pd.DataFrame({"filename": names, "label": "running"})),
    )
    assert (joined.label != NONE).sum() == 18
    assert joined.ambiguous == 2


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"who": ["a"], "label": ["b"]}, "lacks the column filename"),
        ({"sha256": ["a"], "kind": ["b"]}, "has no labels, only the columns sha256, kind"),
        ({"sha256": ["a", "b"], "label": ["", None]}, "no row with a label"),
        ({"sha256": ["abc"], "label": ["running"]}, "64 hexadecimal digits"),
        ({"sha256": ["z" * 64], "label": ["running"]}, "64 hexadecimal digits"),
        ({"sha256": ["f" * 64], "label": ["running"]}, r"None of the labels \(1\)"),
        ({"filename": ["other.jpg"], "label": ["running"]}, "no filename is the same"),
    ],
)
def test_labels_that_cannot_be_joined_say_why(
    table: ResultsTable, labels: dict[str, list[str]], says: str
) -> None:
    with pytest.raises(DatasetError, match=says):
        join_labels(table, LabelTable.of(pd.DataFrame(labels)))


def test_contradictions_and_unknown_labels_are_left_out_and_told(
    table: ResultsTable, rows: pd.DataFrame
) -> None:
    uris = rows["uri"].tolist()
    given = [(uris[0], "running"), (uris[0], "eating"), (uris[1], "flying"), (uris[2], "eating")]
    labels = LabelTable.of(pd.DataFrame([*given, ("/no", "eating")], columns=["uri", "label"]))
    joined = join_labels(table, labels)
    assert joined.contradicted == 1 and joined.unknown_labels == ("flying",)
    assert joined.unmatched == 1 and np.flatnonzero(joined.label != NONE).tolist() == [2]
    nothing = join_labels(table, LabelTable.of(pd.DataFrame({"uri": uris[1:2], "label": ["fly"]})))
    with pytest.raises(DatasetError, match="nothing to measure"):
        evaluate_results(table, nothing)


def test_photographs_that_were_learned_from_are_counted_by_their_content(
    table: ResultsTable, rows: pd.DataFrame
) -> None:
    learned = rows["sha256"].iloc[[2, 40, 41]]
    chosen = np.ones(ROWS, bool)
    chosen[40] = False
    assert count_among(table, chosen, learned) == 2
    assert count_among(table, chosen, learned.iloc[:0]) == 0


def test_a_map_is_of_answered_rows_by_features_where_there_are_any(folder: Path) -> None:
    table = open_results(str(folder))
    found = arrange_sample(str(folder), 60)
    assert found.by_features and len(found.rows) == 60 and len(found.of_parts) == 5
    assert table.answered[found.rows].all() and np.isfinite(found.coordinates).all()
    # Alike photographs, which here are those of one class, lie together.
    apart = np.linalg.norm(found.coordinates[:, None] - found.coordinates[None], axis=2)
    same = table.action[found.rows][:, None] == table.action[found.rows][None]
    np.fill_diagonal(same, False)
    assert apart[same].mean() < apart[~same].mean()


def test_a_map_at_once_is_of_the_two_widest_directions(
    table: ResultsTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = map_sample(table, ROWS)
    assert every.rows.tolist() == np.flatnonzero(table.answered).tolist()
    vectors = np.sqrt(table.read(every.rows, table.class_names).to_numpy())
    widths = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(np.linalg.norm(every.coordinates, axis=0), widths[:2], rtol=1e-3)
    monkeypatch.setattr(sample, "MAX_PARTS", 2)
    few = map_sample(table, 60)
    assert few.coordinates.shape == (60, 2) and few.n_parts == 2


def test_a_map_needs_some_answers(tmp_path: Path) -> None:
    for n in (4, 5):
        write_results(tmp_path / str(n), n)
    with pytest.raises(DatasetError, match="needs 5 photographs with an answer, not 4"):
        map_sample(open_results(str(tmp_path / "4")), 100)
    assert len(map_sample(open_results(str(tmp_path / "5")), 100).rows) == 5


def test_jobs_of_a_place_are_found_with_what_became_of_them(tmp_path: Path) -> None:
    with pytest.raises(HarError, match="holds no results"):
        find_jobs(str(tmp_path))
    for name, state in (("a", "done"), ("b", "running"), ("c", "running"), ("d", "done")):
        write_results(tmp_path / name, 10, state=state)
    for name in ("other", "half written"):
        (tmp_path / name).mkdir()
    (tmp_path / "half written" / INFO_FILE).write_text("{")
    for name, minutes in (("c", 4), ("d", 3)):
        silent = tmp_path / name / JOB_FILE
        body = json.loads(silent.read_text())
        body["updated"] = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
        silent.write_text(json.dumps(body))
    (tmp_path / "a" / JOB_FILE).unlink()
    states = [(job.location.rpartition("/")[2], job.state) for job in find_jobs(str(tmp_path))]
    assert states == [("b", "running"), ("d", "done"), ("c", "lost"), ("a", "unknown")]
    assert [job.state for job in find_jobs(str(tmp_path / "b"))] == ["running"]


def test_of_many_jobs_the_latest_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("har_core.scale.opened.finding.MOST_FOLDERS", 2)
    for age, name in enumerate("zab"):
        write_results(tmp_path / name, 10)
        os.utime(tmp_path / name, (time() - 100 * age,) * 2)
    assert {job.location[-1] for job in find_jobs(str(tmp_path))} == {"z", "a"}


def test_findings_of_a_scan_count_until_more_is_measured(tmp_path: Path) -> None:
    place, folder = str(tmp_path), ScanFolder(tmp_path)
    folder.create()

    def add(name: str, second: int) -> None:
        os.utime(tmp_path / name, (second, second))
        stamps.append(scan_stamp(place))

    stamps = [scan_stamp(place)]
    rows = pa.table({"reason": ["empty", None, "truncated", "truncated"]})
    add(folder.write_part("a", 0, 4, rows).name, 1)
    counts = count_scan(place)
    assert list(counts.reasons.items()) == [("truncated", 2), ("empty", 1)]
    assert counts.parts_written["rows"].tolist() == [4] and counts.issues is None
    flags = [True, False, False, True]
    folder.write_table(FINDINGS_FILE, pa.table({issue_column(kind): flags for kind in ISSUE_KINDS}))
    add(FINDINGS_FILE, 2)
    assert count_scan(place).issues == dict.fromkeys(ISSUE_KINDS, 2)
    add(folder.write_part("b", 0, 4, rows).name, 3)
    assert count_scan(place).issues is None
    assert len(set(stamps)) == len(stamps)
