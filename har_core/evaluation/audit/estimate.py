"""How good a model is under labels that a blind look at a random sample has corrected."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from har_core.evaluation.bootstrap import SEED, Interval, wilson_interval
from har_core.evaluation.result import EvaluationResult
from har_core.intervals import LEVEL

SAMPLE_SIZE: Final = 100
# Jeffreys' prior on the three outcomes: a sample without a wrong label does not prove that there
# is none.
_PRIOR: Final = 0.5
UNCLEAR: Final = ""


@dataclass(frozen=True, eq=False)
class Audit:
    """What a random audit says of the labels of an evaluation, and of the model under it.

    Parameters
    ----------
    n_judged : int
        Photographs of the sample with an answer that names a class.
    n_unclear : int
        Looked at, but nobody can tell; they count nowhere.
    n_unknown : int
        Answered while another model was audited, by a class that this one lacks. They count
        nowhere either: it may be one that this model has by another name, so that neither the label
        nor the model's answer is known to be wrong.
    wrong : ndarray of int64
        Rows of the evaluation whose label the audit contradicts.
    label_errors : Interval
        Share of wrong labels (Wilson 1927).
    top1 : Interval
        Accuracy of the model under the labels as they are.
    corrected_top1 : Interval
        Accuracy under true labels: the first plus the mean correction of the sample (difference
        estimator; Särndal, Swensson and Wretman, "Model Assisted Survey Sampling", 1992, ch. 6;
        prediction-powered inference, Angelopoulos et al., Science 382, 2023), its interval from the
        bootstrap of the one and a Bayesian bootstrap (Rubin, Ann. Stat. 9, 1981) of the other.
    """

    n_judged: int
    n_unclear: int
    n_unknown: int
    wrong: np.ndarray
    label_errors: Interval
    top1: Interval
    corrected_top1: Interval


def audit_sample(sha256: Iterable[str], n: int = SAMPLE_SIZE) -> list[str]:
    """Return a random sample of photographs, in random order.

    The order is that of a hash of the content: nothing of the label, the file's name or the model
    is in it, and it stays when photographs are added. Any beginning of it is a random sample, too.

    Parameters
    ----------
    sha256 : iterable of str
        Of all photographs; ``""`` and copies are left out.
    n : int, default 100
    """
    return sorted(set(sha256) - {""}, key=_place)[:n]


def _place(sha256: str) -> bytes:
    return hashlib.sha256(f"audit {sha256}".encode()).digest()


def estimate(result: EvaluationResult, answers: Mapping[str, str]) -> Audit | None:
    """Correct an evaluation by what a blind look at its random sample found.

    Parameters
    ----------
    result : EvaluationResult
        As the model answers.
    answers : mapping of str to str
        sha256 to the class that somebody saw, `UNCLEAR` where it cannot be told; those of other
        photographs do not count.

    Returns
    -------
    Audit or None
        None if nothing of the sample was judged yet.
    """
    sample = [name for name in audit_sample(result.sha256.tolist()) if name in answers]
    known = set(result.class_names)
    judged = [name for name in sample if answers[name] in known]
    if not judged:
        return None
    row_of = {sha256: row for row, sha256 in reversed(list(enumerate(result.sha256)))}
    rows = np.array([row_of[name] for name in judged])
    truth = np.array([answers[name] for name in judged])
    wrong = truth != result.label_names[rows]
    right = truth == result.prediction_names[rows]
    correction = right.astype(int) - result.correct[rows].astype(int)
    counts = np.array([(correction == value).sum() for value in (-1, 0, 1)])
    shares = np.random.default_rng(SEED).dirichlet(
        counts + _PRIOR, len(result.resampled_totals.headline()["top1"])
    )
    draws = result.resampled_totals.headline()["top1"] + shares[:, 2] - shares[:, 0]
    tail = 50 * (1 - LEVEL)
    low, high = np.clip(np.percentile(draws, [tail, 100 - tail]), 0, 1)
    top1 = result.headline_intervals["top1"]
    value = float(np.clip(top1.value + correction.mean(), 0, 1))
    return Audit(
        n_judged=len(judged),
        n_unclear=sum(answers[name] == UNCLEAR for name in sample),
        n_unknown=sum(answers[name] not in known | {UNCLEAR} for name in sample),
        wrong=rows[wrong],
        label_errors=wilson_interval(float(wrong.mean()), len(judged)),
        top1=top1,
        corrected_top1=Interval(value, min(float(low), value), max(float(high), value)),
    )
