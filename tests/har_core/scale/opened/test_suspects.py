"""Labels that features contradict are found without the photographs, also by a sample."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.errors import DatasetError
from har_core.scale.labels import LabelTable
from har_core.scale.opened import suspects
from har_core.scale.opened.suspects import ResultsSuspects, find_suspects
from har_core.scale.results import Results
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
    monkeypatch.setattr(suspects, "MOST_NEIGHBOURS", 5)
    found = find_suspects(Results(str(folder)), LabelTable.of(labels[["sha256", "label"]]))
    assert (found.judged, found.fitted) == (whole.judged, 400)
    assert found.suspects["nearest"].notna().sum() == 5
    same = set(found.suspects["uri"]) & set(whole.suspects["uri"])
    assert len(same) > 0.7 * len(whole.suspects)


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


def test_command_writes_the_suspects(scored: tuple[Path, pd.DataFrame], tmp_path: Path) -> None:
    folder, labels = scored
    labels[["sha256", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    ended = har("suspects", folder, "--table", tmp_path / "labels.csv", "--csv", tmp_path / "s.csv")
    assert ended.returncode == 1, ended.stderr
    table = pd.read_csv(tmp_path / "s.csv")
    assert f"{len(table):,} of them doubtful" in ended.stdout
    assert {"uri", "label", "suggested", "neighbours", "nearest"} <= set(table)
