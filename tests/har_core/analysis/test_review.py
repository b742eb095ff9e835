"""The review queue names its sources, suggests only what they agree on, and asks in order."""

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.analysis import opinions
from har_core.analysis.neighbours import (
    nearest_of_class,
    nearest_others,
    vote_of_neighbours,
)
from har_core.analysis.opinions import Opinions, collect_opinions, opinions_of_duplicates
from har_core.analysis.review import judge_labels, review_queue
from har_core.analysis.whole_set import analyse_photographs
from har_core.scan.scanning import scan_dataset
from tests.drawing import photo_bytes, write_dataset

CLASSES = ["run", "sit", "sleep"]


def opinion(source, rows, *, independent=True):
    """Make opinions from {row: (label, probability)}; the rest goes to the other classes."""
    table = pd.DataFrame(0.0, index=list(rows), columns=CLASSES)
    for row, (label, probability) in rows.items():
        table.loc[row] = (1 - probability) / 2
        table.loc[row, label] = probability
    return Opinions(source, table, pd.Series(independent, table.index))


def test_a_label_is_suggested_where_all_independent_opinions_name_it() -> None:
    labels = pd.Series(["run", "run", "run", "sit", ""])
    judged = judge_labels(
        labels,
        [
            opinion("model", {0: ("run", 0.9), 1: ("sit", 0.9), 2: ("sit", 0.9), 4: ("sit", 0.7)}),
            opinion("regression", {0: ("run", 0.6), 1: ("sit", 0.7), 2: ("sleep", 0.7)}),
            opinion("neighbours", {3: ("run", 0.9)}, independent=False),
        ],
    )
    assert judged["suggested"].tolist() == ["", "sit", "sit", "", "sit"]
    assert judged["agreed"].tolist() == [False, True, False, False, True]
    assert judged["confident_error"].tolist() == [False, True, True, False, False]
    assert judged["doubt"].tolist() == pytest.approx([0.25, 0.9, 0.9, 0.0, 1.0], abs=1e-3)


def test_many_labels_are_weighed_as_few_are_and_take_no_more_room_than_the_opinions() -> None:
    rng = np.random.default_rng(0)
    names = [f"{number:04d}" for number in range(300)]
    labels = pd.Series(rng.choice(["", *names], 20_000))
    said = pd.DataFrame(rng.dirichlet(np.full(300, 0.01), 20_000), columns=names)
    opinions = [Opinions("model", said, pd.Series(True, said.index))]
    tracemalloc.start()
    try:
        whole = judge_labels(labels, opinions)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < said.to_numpy().nbytes
    some = labels.index[5_000:5_100]
    pd.testing.assert_frame_equal(judge_labels(labels[some], opinions), whole.loc[some])
    assert judge_labels(labels[:0], opinions).empty


def test_a_disagreement_that_includes_the_given_label_is_disputed() -> None:
    judged = judge_labels(
        pd.Series(["run"]),
        [opinion("model", {0: ("sit", 0.6)}), opinion("regression", {0: ("run", 0.9)})],
    )
    assert judged.loc[0, "suggested"] == "sit"
    assert not judged.loc[0, "agreed"]


def test_a_source_that_lacks_the_class_of_a_label_has_no_opinion_on_it() -> None:
    judged = judge_labels(pd.Series(["juggling"]), [opinion("model", {0: ("sit", 0.99)})])
    assert judged.loc[0, "suggested"] == ""
    assert not judged.loc[0, "confident_error"]


def test_of_photographs_without_labels_nobody_may_name_a_class() -> None:
    photographs = pd.DataFrame({"label": ["", ""], "duplicate_group": [0, 0]})
    judged = judge_labels(photographs["label"], [opinions_of_duplicates(photographs)])
    assert judged["suggested"].tolist() == ["", ""]
    assert judged["doubt"].tolist() == [0, 0]


def test_conflicts_come_first_then_labels_by_doubt_then_findings() -> None:
    photographs = pd.DataFrame(
        {
            "filename": [f"{n}.jpg" for n in range(6)],
            "label": ["run", "run", "sit", "sit", "sit", ""],
            "listed": [True, True, True, True, False, True],
            "is_label_conflict_issue": [False, False, True, False, True, False],
        }
    )
    queue = review_queue(
        photographs,
        [opinion("model", {n: ("sit", p) for n, p in enumerate((0.85, 0.95, 0.9, 0.9, 0.9, 0.9))})],
        {"dark": pd.Series([False, False, False, True, True, False])},
    )
    assert queue["filename"].tolist() == ["2.jpg", "1.jpg", "0.jpg", "3.jpg"]
    assert queue["kind"].tolist()[0] == "conflict"
    assert "error" in queue.loc[1, "kinds"]
    assert queue.loc[3, "findings"] == ("dark",)
    assert queue.loc[3, "suggested"] == ""


def test_neighbours_vote_without_the_photograph_and_its_copies() -> None:
    components = np.array([[0.0], [0.1], [0.2], [0.3], [9.0], [9.1]], np.float32)
    labels = np.array(["sit", "sit", "run", "run", "sleep", ""])
    groups = np.array([1, 1, 2, 3, 4, 5])
    voters, rows = np.flatnonzero(labels != ""), np.arange(6)
    nearest = nearest_others(components, voters, groups, rows)
    shares, class_names = vote_of_neighbours(nearest, labels)
    assert class_names.tolist() == ["run", "sit", "sleep"]
    assert shares[0].tolist() == [2 / 3, 0.0, 1 / 3]  # its own copy has no vote
    assert shares[5].tolist() == [0.4, 0.4, 0.2]
    nearest = nearest_of_class(components, pd.Series(labels), groups, 0, "run", n=1)
    assert nearest.tolist() == [2]
    assert nearest_of_class(components, pd.Series(labels), groups, 0, "sit").tolist() == []


def test_duplicates_say_the_labels_of_the_others_where_they_differ() -> None:
    photographs = pd.DataFrame(
        {
            "label": ["run", "run", "sit", "run", "", "sit", "sit", "run"],
            "duplicate_group": pd.array([1, 1, 1, 2, 2, 3, 3, None], dtype="Int64"),
        }
    )
    said = opinions_of_duplicates(photographs)
    assert said.independent.all()
    assert said.probabilities.to_dict("index") == {
        0: {"run": 0.5, "sit": 0.5},
        1: {"run": 0.5, "sit": 0.5},
        2: {"run": 1.0, "sit": 0.0},
    }


def test_planted_labels_lead_the_queue_of_a_drawn_dataset(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    folder = write_dataset(tmp_path / "photos", per_class=10)
    csv = folder / "train.csv"
    csv.write_text(csv.read_text().replace("clapping_3.jpg,clapping", "clapping_3.jpg,running"))
    (folder / "train" / "copy.jpg").write_bytes(photo_bytes("sitting", 0))
    with csv.open("a") as table:
        table.write("copy.jpg,clapping\n")
    photographs = scan_dataset(folder, workers=1).assign(split="")
    model = tiny_models / "tiny"
    analysis = analyse_photographs(model, photographs)
    sources = collect_opinions(photographs, analysis, model)
    assert [s.source for s in sources] == ["model", "regression", "neighbours"]
    some = photographs.index[[7, 3]]
    again = collect_opinions(photographs, analysis, model, rows=some)[2]
    pd.testing.assert_frame_equal(again.probabilities, sources[2].probabilities.loc[some])
    clapping = photographs.index[photographs["label"].eq("clapping")]
    nobody = photographs["label"].eq("sitting") | photographs.index.isin(clapping[1:])
    few = photographs.assign(label=photographs["label"].mask(nobody, ""))
    votes = collect_opinions(few, analysis, model, rows=some)[2].probabilities
    assert votes["running"].ge(0.9).all()  # who has no label has no vote
    queue = review_queue(photographs, [*sources, opinions_of_duplicates(photographs)], {})
    assert set(queue["filename"][:2]) == {"copy.jpg", "sitting_0.jpg"}
    planted = queue[queue["filename"] == "clapping_3.jpg"].iloc[0]
    assert (planted["suggested"], planted["agreed"]) == ("clapping", True)
    assert queue["filename"].tolist().index("clapping_3.jpg") == 2


def test_what_a_model_has_learned_from_is_no_second_opinion(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    folder = write_dataset(tmp_path / "photos", per_class=10)
    photographs = scan_dataset(folder, workers=1).assign(split="train")
    photographs.loc[0, "split"] = "test"
    analysis = analyse_photographs(tiny_models / "tiny", photographs)
    model = collect_opinions(photographs, analysis, tiny_models / "tiny")[0]
    assert model.independent[model.independent].index.tolist() == [0]
    # A near duplicate of what it has learned from, which is new to the records.
    copies = photographs["duplicate_group"].astype("Int64")
    copies[[1, 2]] = 99
    photographs = photographs.assign(duplicate_group=copies)
    photographs.loc[2, "split"] = ""
    model = collect_opinions(photographs, analysis, tiny_models / "tiny")[0]
    assert model.independent[model.independent].index.tolist() == [0]


def test_recorded_opinions_count_only_if_they_judge_all(
    tmp_path: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two regressions, one may be surer: a mixture would make the other's look doubtful."""
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    folder = write_dataset(tmp_path / "photos", per_class=10)
    photographs, model = scan_dataset(folder, workers=1).assign(split=""), tiny_models / "tiny"
    analysis = analyse_photographs(model, photographs)
    record = photographs[["sha256", "label"]].assign(clapping=0.2, running=0.5, sitting=0.3)
    for rows, is_taken in ((record, True), (record.iloc[1:], False)):
        monkeypatch.setattr(
            opinions, "recorded_cross_validation", lambda folder, manifest, rows=rows: rows
        )
        said = collect_opinions(photographs, analysis, model)[1]
        assert said.source == "regression"
        assert said.probabilities["running"].eq(0.5).all() == is_taken
        assert len(said.probabilities) == len(photographs)
