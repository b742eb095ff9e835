"""Which of two models is better, on photographs that neither has learned from, nor from copies."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.errors import DatasetError
from har_core.model import bundle
from har_core.model.manifest import INHERITED_FILE, SPLITS_FILE
from har_core.model.records import read_splits
from har_core.training.verdict import Verdict, judge_models
from tests.drawing import CLASS_NAMES
from tests.evaluated import write_evaluated_bundle

N = 40
LABELS = np.arange(N) % 3


def write(
    models: Path,
    name: str,
    n_wrong: int,
    learned: tuple[int, ...] = (),
    copies: bool = False,
    n_relabelled: int = 0,
) -> Path:
    """Write a model that was tested on all but what it learned from, and erred on the first ones.

    Of what it learned from, every other one was to choose an epoch by. Where it knows of `copies`,
    each photograph is one of the tenth after it. The first ones that are relabelled are of the next
    class, which is what is answered by mistake.
    """
    split = np.full(N, "test", dtype=object)
    split[list(learned)] = np.where(np.arange(len(learned)) % 2, "validation", "train")
    groups = np.arange(N) % 10 if copies else np.arange(N)
    table = pd.DataFrame(
        {
            "filename": [f"{n}.jpg" for n in range(N)],
            "label": [CLASS_NAMES[code] for code in (LABELS + (np.arange(N) < n_relabelled)) % 3],
            "split": split,
            "duplicate_group": groups,
        }
    )
    said = np.where(np.arange(N) < n_wrong, LABELS + 1, LABELS) % 3
    probabilities = np.eye(3)[said[split != "train"]]
    write_evaluated_bundle(models, table, CLASS_NAMES, name=name, probabilities=probabilities)
    return models / name


def judge(models: Path, before: int, after: int) -> Verdict:
    return judge_models(write(models, "old", before), write(models, "new", after))


@pytest.mark.parametrize(
    ("before", "after", "outcome"),
    [
        (5, 0, "better"),
        (20, 0, "better"),
        (0, 5, "worse"),
        (4, 0, "not distinguishable"),
        (7, 7, "not distinguishable"),
    ],
)
def test_a_model_is_better_or_worse_only_where_chance_hardly_explains_it(
    tmp_path: Path, before: int, after: int, outcome: str
) -> None:
    verdict = judge(tmp_path, before, after)
    assert verdict.outcome == outcome and outcome in verdict.sentence
    assert verdict.difference.value == pytest.approx((before - after) / N)
    points = f"({100 * (before - after) / N:+.1f} points".replace("-", "−")
    assert points in verdict.sentence
    assert re.search(r"right on \d+\.\d % instead of \d+\.\d % of", verdict.sentence)
    assert f"of {N} photographs" in verdict.sentence and verdict.n_left_out == 0
    assert ("p < 0.001" in verdict.sentence) == (before == 20)
    assert "p = 0.000" not in verdict.sentence


def test_what_a_model_s_ancestors_may_have_learned_is_said(tmp_path: Path) -> None:
    old, new = write(tmp_path, "old", 5), write(tmp_path, "new", 0)
    assert "photographs that neither has learned from" in judge_models(old, new).sentence
    bundle.update_manifest(new, training={"base": "imported"})
    verdict = judge_models(old, new)
    assert verdict.unrecorded == ("imported",)
    assert "photographs that neither is known to have learned from" in verdict.sentence
    tested = read_splits(new)
    assert tested is not None
    met = tested.assign(split=["train", "validation", *["test"] * (N - 2)])
    bundle.update_bundle(new, {INHERITED_FILE: met.iloc[:3].to_parquet()}, training={})
    assert judge_models(old, new).n_left_out == 2


def test_classes_are_listed_by_how_much_they_changed(tmp_path: Path) -> None:
    table = judge(tmp_path, 5, 0).classes()
    assert table.index.tolist() == [CLASS_NAMES[code] for code in (1, 0, 2)]
    assert table["change"].tolist() == pytest.approx([2 / 13, 2 / 14, 1 / 13])
    learned = tuple(np.flatnonzero(LABELS == 2))
    fewer = judge_models(tmp_path / "old", write(tmp_path, "fewer", 0, learned)).classes()
    assert fewer.index.tolist() == [CLASS_NAMES[code] for code in (1, 0)]


def test_photographs_count_under_the_labels_that_were_chosen(tmp_path: Path) -> None:
    old, new = write(tmp_path, "old", 0), write(tmp_path, "new", 2, n_relabelled=2)
    corrected, original = judge_models(old, new), judge_models(old, new, labels="old")
    assert corrected.n_relabelled == original.n_relabelled == 2
    assert corrected.difference.value == pytest.approx(2 / N)
    assert original.difference.value == pytest.approx(-2 / N)
    assert "2 photographs have another label for new than for old" in corrected.whose_labels
    bundle.update_manifest(new, created="2999-01-01T00:00:00+00:00")
    turned = judge_models(new, old)  # a review came before the later one, whatever the order
    assert turned.labels == corrected.labels == "new"
    assert turned.difference.value == pytest.approx(-2 / N)


def test_a_photograph_of_a_class_that_one_model_lacks_is_left_out_not_relabelled(
    tmp_path: Path,
) -> None:
    old = write(tmp_path, "old", 0)
    table = pd.DataFrame(
        {
            "filename": [f"{n}.jpg" for n in range(N)],
            "label": ["new class", *[CLASS_NAMES[code] for code in LABELS[1:]]],
            "split": "test",
        }
    )
    write_evaluated_bundle(tmp_path, table, (*CLASS_NAMES, "new class"), name="new")
    verdict = judge_models(old, tmp_path / "new")
    assert (verdict.n_relabelled, verdict.n_left_out) == (0, 1)
    assert not verdict.whose_labels


def test_copies_of_what_either_has_learned_from_do_not_judge(tmp_path: Path) -> None:
    old = write(tmp_path, "old", 20, learned=(0, 1))
    new = write(tmp_path, "new", 0, copies=True)
    verdict = judge_models(old, new)
    judged = set(verdict.comparison.results["new"].filenames)
    assert judged == {f"{n}.jpg" for n in range(N) if n % 10 > 1}
    assert verdict.n_left_out == N - len(judged)
    everything = write(tmp_path, "everything", 0, learned=tuple(range(9)), copies=True)
    with pytest.raises(DatasetError, match="neither has learned from"):
        judge_models(write(tmp_path, "nine", 0, learned=(9,)), everything)


def test_a_photograph_that_lies_there_twice_judges_once(tmp_path: Path) -> None:
    files = []
    for number in range(N):
        files.append(tmp_path / f"{number % (N - 4)}.bin")
        files[-1].write_bytes(bytes([number % (N - 4)]))
    table = pd.DataFrame(
        {
            "filename": [f"{n}.jpg" for n in range(N)],
            "label": [CLASS_NAMES[code] for code in LABELS[np.arange(N) % (N - 4)]],
            "split": "test",
            "path": files,
        }
    )
    for name in ("old", "new"):
        write_evaluated_bundle(tmp_path, table, CLASS_NAMES, name=name)
    comparison = judge_models(tmp_path / "old", tmp_path / "new").comparison
    assert {result.n for result in comparison.results.values()} == {N - 4}
    for name in ("old", "new"):
        (tmp_path / name / SPLITS_FILE).unlink()  # nothing tells which photographs they are
    with pytest.raises(DatasetError, match="neither has learned from"):
        judge_models(tmp_path / "old", tmp_path / "new")
