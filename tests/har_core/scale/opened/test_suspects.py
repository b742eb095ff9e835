"""Labels that features contradict are found without the photographs, also by a sample."""

import io
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from har_core.dataset.duplicates import groups_of
from har_core.errors import DatasetError
from har_core.scale.labels import LabelTable
from har_core.scale.opened import alike, suspects
from har_core.scale.opened.suspects import ResultsSuspects, find_suspects
from har_core.scale.parts import Part
from har_core.scale.results import Results, ResultsInfo, results_schema
from har_core.scale.scanned.folder import FINDINGS_FILE, ScanFolder
from har_core.storage.checksums import digests_of
from tests.command_line import har
from tests.made_results import write_results

CLASSES = ("cycling", "running", "sitting")
ROWS = 1_200


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Write answers with features; return them and labels, one in twenty of which is wrong."""
    folder = tmp_path_factory.mktemp("scored") / "results"
    true = write_results(folder, ROWS, n_features=8, part_rows=250, class_names=CLASSES)
    true = true[~true.index.duplicated()]
    wrong = np.random.default_rng(3).random(len(true)) < 0.05
    shifted = true.map(dict(zip(CLASSES, (*CLASSES[1:], CLASSES[0]), strict=True)))
    given = true.mask(wrong, shifted)
    return folder, pd.DataFrame(
        {"sha256": true.index, "label": given.to_numpy(), "true": true.to_numpy(), "wrong": wrong}
    )


def check(found: ResultsSuspects, labels: pd.DataFrame) -> None:
    known = labels.set_index("sha256")
    suspect = found.suspects.drop_duplicates("sha256").set_index("sha256")
    planted = set(known.index[known["wrong"]])
    hits = planted & set(suspect.index)
    assert len(hits) > 0.6 * len(planted) and len(hits) > 0.4 * len(suspect)
    of_hits = suspect.loc[sorted(hits)]
    truth = known.loc[of_hits.index, "true"]
    assert (of_hits["suggested"] == truth).mean() > 0.9
    assert (of_hits["neighbours"] == truth).mean() > 0.8
    assert (suspect["nearest"] != suspect["uri"]).all()
    assert suspect["label_score"].is_monotonic_increasing


def test_wrong_labels_are_found(scored: tuple[Path, pd.DataFrame]) -> None:
    folder, labels = scored
    found = find_suspects(Results(str(folder)), LabelTable.of(labels[["sha256", "label"]]))
    answered = ROWS - ROWS // 100
    assert found.judged == found.fitted and found.judged <= answered
    check(found, labels)


def test_of_many_a_sample_is_learned_from_and_all_are_judged(
    scored: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, labels = scored
    whole = find_suspects(Results(str(folder)), LabelTable.of(labels[["sha256", "label"]]))
    monkeypatch.setattr(suspects, "MOST_FITTED", 400)
    table = LabelTable.of(labels[["sha256", "label"]])
    found = find_suspects(Results(str(folder)), table, neighbours=5)
    assert (found.judged, found.fitted) == (whole.judged, 400)
    assert found.suspects["nearest"].notna().sum() == 5
    same = set(found.suspects["uri"]) & set(whole.suspects["uri"])
    assert len(same) > 0.7 * len(whole.suspects)


@pytest.fixture(scope="module")
def with_near_duplicates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Write answers to 200 photographs of no class's look, and near duplicates of half of them.

    Labels are by chance, but for a near duplicate's, which is that of its original.
    """
    folder = tmp_path_factory.mktemp("near") / "results"
    rng = np.random.default_rng(1)
    n, width = 200, 32
    vectors = rng.normal(size=(n, width))
    vectors = np.concatenate([vectors, vectors[::2] + 0.02 * rng.normal(size=(n // 2, width))])
    labels = rng.choice(CLASSES, n)
    labels = np.concatenate([labels, labels[::2]])
    results = Results(str(folder))
    results.create(ResultsInfo("made_up", "0" * 64, CLASSES, width, "2026-01-01T00:00:00+00:00"))
    schema = results_schema(CLASSES, width)
    numbers = range(len(vectors))
    sha256 = [f"{(i + 1) * 0x9E3779B97F4A7C15 % 2**64:016x}" * 4 for i in numbers]
    columns = {"uri": [f"/p/{i}.jpg" for i in numbers], "sha256": sha256}
    columns["features"] = list(vectors.astype(np.float16))
    arrays = [pa.array(columns.get(f.name, [None] * len(vectors)), f.type) for f in schema]
    results.write_part("0000000000000000", 0, len(vectors), pa.table(arrays, schema=schema))
    table = pd.DataFrame({"sha256": sha256, "label": labels})
    return folder, table


@pytest.mark.parametrize("most_fitted", [1_000, 250])
def test_near_duplicates_do_not_judge_one_another(
    with_near_duplicates: tuple[Path, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    most_fitted: int,
) -> None:
    folder, table = with_near_duplicates
    monkeypatch.setattr(suspects, "MOST_FITTED", most_fitted)
    found = find_suspects(Results(str(folder)), LabelTable.of(table))
    assert found.alike == 200
    ranking = found.found.ranking
    twins = ranking.index.isin([*range(0, 200, 2), *range(200, 300)])
    # A regression that had seen its twin would give a photograph that label nearly always.
    believed = ranking["suggested"].eq(ranking["label"])
    assert believed[twins].mean() < 0.6
    number = found.suspects["uri"].str.extract(r"(\d+)")[0].astype(int)
    nearest = found.suspects["nearest"].str.extract(r"(\d+)")[0].astype(int)
    original = number.where(number < 200, (number - 200) * 2)
    assert (nearest.where(nearest < 200, (nearest - 200) * 2) != original).all()


@pytest.mark.parametrize("most_fitted", [1_000, 250])
def test_class_that_is_one_scene_is_not_judged(
    with_near_duplicates: tuple[Path, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    most_fitted: int,
) -> None:
    folder, table = with_near_duplicates
    monkeypatch.setattr(suspects, "MOST_FITTED", most_fitted)
    table = table.assign(label=table["label"].mask(table.index.isin(range(1, 21, 2)), "scene"))
    scan = ScanFolder(str(tmp_path / "scan"))
    scan.create()
    group = pd.array([1 if i % 2 and i < 21 else None for i in range(300)], "Int64")
    findings = pa.table({"sha256": table["sha256"], "duplicate_group": pa.array(group)})
    scan.write_table(FINDINGS_FILE, findings)
    found = find_suspects(Results(str(folder)), LabelTable.of(table), scan=scan)
    assert found.left_out == ("scene",) and found.judged == 290
    assert "scene" not in set(found.found.ranking["label"])
    assert not set(found.found.ranking.index) & set(range(1, 21, 2))


def test_class_of_one_scene_and_few_others_is_known_to_every_regression(
    with_near_duplicates: tuple[Path, pd.DataFrame],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, table = with_near_duplicates
    monkeypatch.setattr(suspects, "MOST_FITTED", 40)
    monkeypatch.setattr(suspects, "LEAST_FITTED", 5)
    scene = table.index.isin(range(1, 101, 2))
    few = table.index.isin([109, 123, 137, 145, 149, 159, 161, 195])  # which are not drawn
    table = table.assign(label=table["label"].mask(scene | few, "scene"))
    scan = ScanFolder(str(tmp_path / "scan"))
    scan.create()
    group = pd.array(pd.Series(1, range(300), "Int64").where(scene))
    findings = pa.table({"sha256": table["sha256"], "duplicate_group": pa.array(group)})
    scan.write_table(FINDINGS_FILE, findings)
    ranking = find_suspects(Results(str(folder)), LabelTable.of(table), scan=scan).found.ranking
    assert (ranking.loc[ranking["label"] == "scene", "label_score"] > 0).all()


def test_class_of_few_lies_in_several_folds_whatever_the_checksums(
    with_near_duplicates: tuple[Path, pd.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, table = with_near_duplicates
    monkeypatch.setattr(suspects, "MOST_FITTED", 250)
    same = digests_of(pa.array(table["sha256"])) % suspects.N_FOLDS == 0
    few = table.index.isin([row for row in range(1, 200, 2) if same[row]][:5])
    table = table.assign(label=table["label"].mask(few, "few"))
    ranking = find_suspects(Results(str(folder)), LabelTable.of(table)).found.ranking
    scores = ranking.loc[ranking["label"] == "few", "label_score"]
    assert len(scores) == 5 and (scores > 0).all()


def test_near_duplicates_of_a_scan_count_and_more_neighbours_can_be_asked_for(
    with_near_duplicates: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, table = with_near_duplicates
    # What it calls near duplicates is no business of the features.
    group = pd.array([None, 1, None, 2, None, 1, None, 2, *[None] * 292], "Int64")
    scan = ScanFolder(str(tmp_path / "scan"))
    scan.create()
    with pytest.raises(DatasetError, match="has no findings yet"):
        find_suspects(Results(str(folder)), LabelTable.of(table), scan=scan)
    findings = pa.table({"sha256": table["sha256"], "duplicate_group": pa.array(group)})
    scan.write_table(FINDINGS_FILE, findings)
    found = find_suspects(Results(str(folder)), LabelTable.of(table), scan=scan)
    assert found.alike == 204
    scan.write_table(FINDINGS_FILE, findings.set_column(0, "sha256", pa.array(["f" * 64] * 300)))
    with pytest.raises(DatasetError, match="is a scan of other photographs"):
        find_suspects(Results(str(folder)), LabelTable.of(table), scan=scan)
    none = find_suspects(Results(str(folder)), LabelTable.of(table), neighbours=0)
    assert len(none.suspects) > 100 and none.suspects["nearest"].isna().all()


def test_pairs_at_a_small_distance_are_found_in_cells_too(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(600, 8)).astype(np.float32)
    rows[300:] = rows[:300] + 0.02 * rng.normal(size=(300, 8))
    exact = alike.possible_pairs(rows, 0.05)
    assert set(map(tuple, exact.tolist())) >= {(i, i + 300) for i in range(300)}
    monkeypatch.setattr(alike, "_ELEMENTS", 600 * 50)  # fifty rows at a time
    np.testing.assert_array_equal(alike.possible_pairs(rows, 0.05), exact)
    monkeypatch.setattr(alike, "_CELL", 40)
    found = alike.possible_pairs(rows, 0.05)
    assert set(map(tuple, found.tolist())) <= set(map(tuple, exact.tolist()))
    assert len(found) > 0.98 * len(exact)
    assert alike.possible_pairs(rows[:1], 0.05).shape == (0, 2)
    between = np.array([[0, 0], [0.2, 0], [-0.2, 0]], np.float32)
    assert alike.possible_pairs(between, 0.05).tolist() == [[0, 1], [0, 2]]


def test_photographs_of_one_scene_are_linked_by_few_pairs() -> None:
    rows = np.full((3_000, 4), 0.5, np.float32)
    pairs = alike.possible_pairs(rows, 0.05)
    assert len(pairs) < 100 * len(rows)
    assert (groups_of(np.arange(len(rows), dtype=np.uint64), pairs) == 0).all()


@pytest.mark.parametrize(
    ("fitted", "compared", "times"), [(2_000, 2_000, 1), (400, 1_000, 2), (400, 2_000, 3)]
)
def test_features_are_read_no_more_often_than_needed(
    scored: tuple[Path, pd.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
    fitted: int,
    compared: int,
    times: int,
) -> None:
    folder, labels = scored
    read, reads = Results.read_part, []

    def count(self: Results, part: Part, columns: tuple[str, ...]) -> object:
        reads.append((part.name, "features" in columns))
        return read(self, part, columns)

    monkeypatch.setattr(Results, "read_part", count)
    monkeypatch.setattr(suspects, "MOST_FITTED", fitted)
    monkeypatch.setattr(suspects, "MOST_COMPARED", compared)
    monkeypatch.setattr(suspects, "possible_pairs", lambda *_: np.empty((0, 2), np.int64))
    found = find_suspects(Results(str(folder)), LabelTable.of(labels[["sha256", "label"]]))
    assert found.compared == (compared == 2_000) and found.fitted in (400, found.judged)
    counts = Counter(name for name, features in reads if features)
    assert len(counts) == 5 and set(counts.values()) == {times}


def test_confirming_pairs_holds_two_bytes_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, width = 3_000, 512
    labels = write_results(tmp_path, rows, n_features=width, part_rows=250, class_names=CLASSES)
    table = LabelTable.of(labels.rename_axis("sha256").rename("label").reset_index())
    judged = suspects._Rows.of(Results(str(tmp_path)), table)
    monkeypatch.setattr(suspects, "_PAIRS_AT_ONCE", 100)
    pairs = np.stack([np.arange(2_000), np.arange(2_000) + 1], axis=1)
    tracemalloc.start()
    try:
        found = judged.confirmed(pairs, lambda *_: None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) < 100 and peak < 2 * 2_000 * width * 2


def test_photograph_with_several_labels_is_not_judged(
    with_near_duplicates: tuple[Path, pd.DataFrame],
) -> None:
    folder, table = with_near_duplicates
    other = "running" if table["label"][1] == "sitting" else "sitting"
    table = pd.concat([table, table.iloc[[1]].assign(label=other)])
    found = find_suspects(Results(str(folder)), LabelTable.of(table), neighbours=0)
    assert found.judged == 299 and 1 not in found.found.ranking.index


def test_what_cannot_be_judged_is_one_line(
    scored: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, labels = scored
    few = LabelTable.of(labels[["sha256", "label"]].iloc[:4])
    with pytest.raises(DatasetError, match="5 different photographs each of at least two classes"):
        find_suspects(Results(str(folder)), few)
    write_results(tmp_path, 20)
    with pytest.raises(DatasetError, match="has no features; score into another folder"):
        find_suspects(Results(str(tmp_path)), few)


def test_command_writes_the_suspects(
    scored: tuple[Path, pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, labels = scored
    labels[["sha256", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    ended = har("suspects", folder, "--table", tmp_path / "labels.csv", "--csv", tmp_path / "s.csv")
    assert ended.returncode == 1, ended.stderr
    table = pd.read_csv(tmp_path / "s.csv")
    assert f"{len(table):,} of them doubtful" in ended.stdout
    assert {"uri", "label", "suggested", "neighbours", "nearest"} <= set(table)
    assert "Near duplicates" not in ended.stderr
    monkeypatch.setattr(suspects, "MOST_COMPARED", 1_000)
    options = ("--neighbours", 5, "--csv")
    ended = har("suspects", folder, "--table", tmp_path / "labels.csv", *options)
    assert pd.read_csv(io.StringIO(ended.stdout))["nearest"].notna().sum() == 5
    assert "labels judged" not in ended.stdout
    assert "Near duplicates are not looked for among so many; --scan brings" in ended.stderr
