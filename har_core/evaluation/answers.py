"""Fitting and storing how a model answers: its confidence, its answer sets, when it abstains."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError
from har_core.evaluation.documents import updated_card
from har_core.evaluation.store import list_evaluations, read_evaluation
from har_core.model.answers import NO_RULES, AnswerRules
from har_core.model.bundle import update_bundle
from har_core.model.manifest import MODEL_CARD_FILE, BundleManifest, checked_manifest, read_manifest
from har_core.storage.locks import folder_to_oneself
from har_core.storage.paths import is_file
from har_core.threads import limited_threads

# An answer that is less sure than this is more likely wrong than right.
ABSTAIN_BELOW: Final = 0.5
SET_COVERAGE: Final = 0.9
FEW_PHOTOGRAPHS: Final = 100  # with fewer, a split says too little of a model's confidence
_FOLDS: Final = 10
_REPEATS: Final = 5
_POINTS: Final = 41

ConfidenceMap = Callable[[np.ndarray], np.ndarray]


def fit_rules(
    labels: np.ndarray, probabilities: np.ndarray, split: str, groups: np.ndarray | None = None
) -> AnswerRules:
    """Fit the rules of a model's answers on photographs that it has not learned from.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Index of the true class.
    probabilities : ndarray of float64, shape (N, C)
        At the model's temperature.
    split : str
        Which photographs these are, to be recorded.
    groups : ndarray of int, shape (N,), optional
        Near-duplicate group of each; default: every one is its own.

    Returns
    -------
    AnswerRules
        Without a map of confidence and answer sets where there are fewer than 100 photographs that
        are no near duplicates of each other.
    """
    n = len(labels)
    group_of = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    if len(np.unique(group_of)) < FEW_PHOTOGRAPHS:
        return NO_RULES
    largest = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    # A hundred fits so small that a second thread waits for the first longer than it helps.
    with limited_threads(1):
        mapped = AnswerRules(confidence=_choose_map(largest, correct, group_of))
    shown = mapped.shown(probabilities)
    return AnswerRules(
        abstain_below=ABSTAIN_BELOW,
        confidence=mapped.confidence,
        set_threshold=fit_set_threshold(labels, shown),
        set_coverage=SET_COVERAGE,
        fitted_on=split,
        n=n,
    )


def refit_rules(folder: Path, manifest: BundleManifest, temperature: float) -> AnswerRules:
    """Fit the rules of a bundle's answers on its recorded validation predictions.

    Without any it claims nothing. Below which confidence it abstains is a choice, which stays;
    the usual one where nobody has chosen yet.

    Parameters
    ----------
    folder : Path
        Of the bundle.
    manifest : BundleManifest
    temperature : float
        That the model answers with, or is to answer with.
    """
    rules = NO_RULES
    if "validation" in list_evaluations(folder, manifest):
        held_out = read_evaluation(folder, "validation").raw.calibrated(temperature)
        rules = fit_rules(held_out.labels, held_out.probabilities, "validation", held_out.groups)
    chosen = manifest.rules.abstain_below if manifest.answers else ABSTAIN_BELOW
    return dataclasses.replace(rules, abstain_below=chosen)


def fit_set_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the probability from which on a class belongs to an answer set.

    Split conformal prediction with the label's own probability as the score, which gives the
    smallest sets (Sadinle, Lei & Wasserman 2019, JASA 114): on further photographs of the same
    kind the sets hold the right class in at least `SET_COVERAGE` of cases.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
    probabilities : ndarray of float64, shape (N, C)
        As shown.
    """
    n = len(labels)
    of_label = np.sort(probabilities[np.arange(n), labels])
    # Not from 1 − SET_COVERAGE, which is less than a tenth in floating point.
    rank = n + 1 - math.ceil((n + 1) * SET_COVERAGE)
    return float(of_label[rank - 1]) if rank else 0.0


def _choose_map(
    confidence: np.ndarray, correct: np.ndarray, group_of: np.ndarray
) -> tuple[tuple[float, float], ...]:
    """Choose among no map, a beta and an isotonic one, by cross-validated Brier score.

    Near duplicates share a fold: else the map that follows each photograph closest would be judged
    by their copies, and win.
    """
    errors = {
        name: _cross_validated(fit, confidence, correct, group_of) for name, fit in _FITS.items()
    }
    best = min(errors, key=lambda name: errors[name])  # the first of equals, which is none
    if best == "none":
        return ()
    known = np.linspace(0.0, 1.0, _POINTS)
    mapped = np.maximum.accumulate(np.clip(_FITS[best](confidence, correct)(known), 0, 1))
    return tuple(zip(known.tolist(), mapped.tolist(), strict=True))


def _cross_validated(
    fit: Callable[[np.ndarray, np.ndarray], ConfidenceMap],
    confidence: np.ndarray,
    correct: np.ndarray,
    group_of: np.ndarray,
) -> float:
    errors = 0.0
    for seed in range(_REPEATS):
        fold = (np.random.default_rng(seed).permutation(group_of.max() + 1) % _FOLDS)[group_of]
        for held_out in range(_FOLDS):
            seen, unseen = fold != held_out, fold == held_out
            mapped = fit(confidence[seen], correct[seen])(confidence[unseen])
            errors += float(((mapped - correct[unseen]) ** 2).sum())
    return errors


def _no_map(confidence: np.ndarray, correct: np.ndarray) -> ConfidenceMap:
    return lambda values: values


def _beta_map(confidence: np.ndarray, correct: np.ndarray) -> ConfidenceMap:
    """Fit a beta calibration (Kull, Silva Filho & Flach 2017, AISTATS); it never falls."""
    from sklearn.linear_model import LogisticRegression

    def terms(values: np.ndarray) -> np.ndarray:
        clipped = np.clip(values, 1e-6, 1 - 1e-6)
        return np.stack([np.log(clipped), -np.log1p(-clipped)], axis=1)

    if correct.all() or not correct.any():
        return _no_map(confidence, correct)
    used = [0, 1]
    # As the authors: a term whose weight would be negative is left out.
    while used:
        regression = LogisticRegression(C=1e4, max_iter=1000)
        regression.fit(terms(confidence)[:, used], correct)
        weights = regression.coef_[0]
        if (weights >= 0).all():
            chosen = list(used)
            return lambda values: regression.predict_proba(terms(values)[:, chosen])[:, 1]
        used.pop(int(weights.argmin()))
    return _no_map(confidence, correct)


def _isotonic_map(confidence: np.ndarray, correct: np.ndarray) -> ConfidenceMap:
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression(out_of_bounds="clip").fit(confidence, correct).predict


_FITS: Final = {"none": _no_map, "beta": _beta_map, "isotonic": _isotonic_map}


def store_temperature(folder: str | Path, temperature: float) -> BundleManifest:
    """Let a model answer with another temperature; answers, metrics and README follow.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    temperature : float
        Positive divisor of the logits, fitted on photographs that are not test photographs.

    Returns
    -------
    BundleManifest
        As written.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read or written, or the temperature is not in (0, 1000).
    DatasetError
        If the recorded predictions are unusable.
    """
    folder = Path(folder)
    with folder_to_oneself(folder):
        before = read_manifest(folder)
        checked_manifest(folder, dataclasses.replace(before, temperature=temperature))
        # The map of confidence and the answer sets follow the temperature.
        rules = refit_rules(folder, before, temperature) if before.answers else before.rules
        metrics = dict(before.metrics)
        if metrics.get("split") == "test":
            metrics |= read_evaluation(folder, "test").raw.calibrated(temperature, rules).headline()
        changes: dict[str, Any] = {"temperature": temperature, "metrics": metrics}
        if before.answers:
            changes["answers"] = rules.to_dict()
        return _store(folder, before, changes)


def store_abstention(folder: str | Path, abstain_below: float) -> BundleManifest:
    """Let a model abstain below a confidence, wherever it answers from now on; its README says so.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    abstain_below : float
        In [0, 1]; 0: it always answers.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read or written, or the value is outside [0, 1].
    """
    folder = Path(folder)
    with folder_to_oneself(folder):
        before = read_manifest(folder)
        rules = dataclasses.replace(before.rules, abstain_below=abstain_below)
        return _store(folder, before, {"answers": rules.to_dict()})


def _store(folder: Path, before: BundleManifest, changes: dict[str, Any]) -> BundleManifest:
    """Change fields of a bundle's manifest, and what its README says of them."""
    after = checked_manifest(folder, dataclasses.replace(before, **changes))
    card = folder / MODEL_CARD_FILE
    files = {}
    if is_file(card):
        try:
            text = card.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelBundleError(f"Cannot read {card}: {error}.") from error
        files[MODEL_CARD_FILE] = updated_card(text, before, after).encode()
    return update_bundle(folder, files, **changes)
