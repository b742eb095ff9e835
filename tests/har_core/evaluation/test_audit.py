"""A random audit tells how many labels are wrong, and corrects the accuracy without bias."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from har_core.errors import DatasetError
from har_core.evaluation.audit import answers
from har_core.evaluation.audit.answers import answer, answers_path, read_answers
from har_core.evaluation.audit.estimate import UNCLEAR, audit_sample, estimate
from har_core.evaluation.result import EvaluationResult

CLASSES = ("run", "sit", "sleep")


def drawn(seed: int, n: int = 600) -> tuple[EvaluationResult, dict[str, str], float]:
    """Return an evaluation under labels of which 12 % are wrong, the truth, and the real score."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    given = np.where(rng.random(n) < 0.12, (truth + rng.integers(1, 3, n)) % 3, truth)
    said = np.where(rng.random(n) < 0.2, (truth + 1) % 3, truth)
    probabilities = np.full((n, 3), 0.1)
    probabilities[np.arange(n), said] = 0.8
    sha256 = [f"{seed}-{i}" for i in range(n)]
    result = EvaluationResult.from_predictions(
        [CLASSES[i] for i in given],
        probabilities,
        CLASSES,
        [f"{i}.jpg" for i in range(n)],
        np.arange(n),
        sha256,
    )
    answers = {s: CLASSES[i] for s, i in zip(sha256, truth, strict=True)}
    return result, answers, float((said == truth).mean())


def test_the_estimate_is_unbiased_and_its_interval_holds_the_truth() -> None:
    errors, covered, counted = [], 0, 0
    for seed in range(20):
        result, answers, real = drawn(seed)
        audit = estimate(result, answers)
        assert audit is not None
        assert audit.n_judged == 100
        errors.append((audit.top1.value - real, audit.corrected_top1.value - real))
        covered += audit.corrected_top1.low <= real <= audit.corrected_top1.high
        counted += audit.label_errors.low <= 0.12 <= audit.label_errors.high
    as_labelled, corrected = np.mean(errors, axis=0)
    assert as_labelled < -0.05  # wrong labels make a model look worse
    assert abs(corrected) < 0.02
    assert covered >= 18
    assert counted >= 18


def test_nothing_wrong_in_the_sample_still_leaves_room() -> None:
    result, _, _ = drawn(0)
    said = dict(zip(result.sha256, result.label_names, strict=True))
    audit = estimate(result, said)
    assert audit is not None
    assert not len(audit.wrong)
    assert audit.corrected_top1.value == pytest.approx(audit.top1.value)
    width = audit.corrected_top1.high - audit.corrected_top1.low
    assert width > audit.top1.high - audit.top1.low


@pytest.mark.parametrize("real", [1, 0])
def test_a_corrected_accuracy_is_a_share(real) -> None:
    """All labels of the sample are wrong and no others: the model says the truth, or the labels."""
    result, _, _ = drawn(0)
    sampled = np.isin(result.sha256, audit_sample(result.sha256.tolist()))
    truth = (result.labels + sampled) % 3
    said = np.eye(3)[truth if real else result.labels] * 0.7 + 0.1
    seen = dict(zip(result.sha256, np.array(CLASSES)[truth], strict=True))
    audit = estimate(replace(result, probabilities=said), seen)
    assert audit is not None
    assert audit.corrected_top1.value == real
    assert 0 <= audit.corrected_top1.low <= real <= audit.corrected_top1.high <= 1
    assert audit.corrected_top1.high - audit.corrected_top1.low < 0.1


def test_what_nobody_can_tell_counts_nowhere() -> None:
    result, answers, _ = drawn(0)
    first, second, third = audit_sample(result.sha256.tolist())[:3]
    assert estimate(result, {first: UNCLEAR}) is None
    audit = estimate(result, {first: UNCLEAR, second: answers[second], third: "juggling"})
    assert audit is not None
    assert (audit.n_judged, audit.n_unclear, audit.n_unknown) == (1, 1, 1)


def test_the_sample_is_the_same_for_everybody_and_knows_no_copies() -> None:
    names = [f"{i}" for i in range(50)]
    assert audit_sample(["", *names[::-1], "7"], 10) == audit_sample(names, 10)
    longer = audit_sample([*names, "more"], 51)
    assert [name for name in longer if name != "more"] == audit_sample(names, 50)


def test_answers_are_kept_taken_back_and_never_overwritten_if_damaged() -> None:
    assert read_answers() == {}
    answer("a", "run")
    answer("b", UNCLEAR)
    answer("a", "sit")
    assert list(read_answers().items()) == [("b", ""), ("a", "sit")]
    answer("a", None)
    assert read_answers() == {"b": ""}
    answers_path().write_text("{")
    with pytest.raises(DatasetError, match="Repair"):
        answer("a", "run")
    assert answers_path().read_text() == "{"


@pytest.mark.parametrize(
    ("absent", "instead"),
    [("_lock", contextlib.nullcontext()), ("folder_to_oneself", contextlib.nullcontext)],
    ids=["processes", "threads where files know no locks"],
)
def test_those_who_answer_at_once_lose_nothing(tmp_path, monkeypatch, absent, instead):
    def slow():
        found = read_answers()
        time.sleep(0.01)
        return found

    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(answers, absent, instead)
    monkeypatch.setattr(answers, "read_answers", slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(answer, "abcd", ["run"] * 4))
    assert read_answers() == dict.fromkeys("abcd", "run")
