import numpy as np
import pytest

from har_core.evaluation.answers import (
    ABSTAIN_BELOW,
    _beta_map,
    fit_rules,
    fit_set_threshold,
)
from har_core.evaluation.calibration import reliability_bins
from har_core.model.answers import AnswerRules


def draw(n, seed, sharpness=1.0, classes=5):
    """Draw labels from their true probabilities, and show these sharper than they are."""
    rng = np.random.default_rng(seed)
    odds = np.exp(1.5 * rng.normal(size=(n, classes)))
    true = odds / odds.sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in true])
    shown = true**sharpness
    return labels, shown / shown.sum(axis=1, keepdims=True)


def calibration_error(labels, probabilities):
    correct = probabilities.argmax(axis=1) == labels
    return reliability_bins(probabilities.max(axis=1), correct).calibration_error


def test_overconfidence_is_taken_back_on_other_photographs():
    rules = fit_rules(*draw(1500, 0, sharpness=2.0), "validation")
    labels, probabilities = draw(4000, 1, sharpness=2.0)
    assert calibration_error(labels, probabilities) > 0.1
    shown = rules.shown(probabilities)
    assert calibration_error(labels, shown) < 0.03
    assert 0.88 < (shown[np.arange(4000), labels] >= rules.set_threshold).mean() < 0.93
    assert (rules.fitted_on, rules.n, rules.abstain_below) == ("validation", 1500, ABSTAIN_BELOW)


def test_a_confidence_that_jumps_from_unlikely_to_likely_is_followed():
    """No beta map does; what is beyond all that was seen is like its nearest."""
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.4, 0.9, 400)
    right = rng.random(400) < np.where(confidence < 0.65, 0.45, 0.95)
    rules = fit_rules(
        np.where(right, 0, 1), np.column_stack([confidence, *[(1 - confidence) / 4] * 4]), "v"
    )
    found = np.interp([0.5, 0.6, 0.7, 1.0], *np.transpose(rules.confidence))
    assert found == pytest.approx([0.45, 0.45, 0.95, 0.95], abs=0.1)


def test_the_term_that_falls_is_the_one_that_a_beta_map_leaves_out():
    rng = np.random.default_rng(0)
    confidence, sure = rng.uniform(0.2, 0.99, 4000), np.linspace(0.4, 0.98, 30)

    def share(values):  # falls with the logarithm of the confidence, rises with that of the rest
        return 1 / (1 + np.exp(0.8 * np.log(values) + np.log1p(-values) + 1.5))

    mapped = _beta_map(confidence, rng.random(4000) < share(confidence))(sure)
    assert (np.diff(mapped) >= 0).all()
    assert np.abs(mapped - share(sure)).max() < 0.1  # with the other term alone 0.3


def test_a_calibrated_model_is_hardly_changed():
    rules = fit_rules(*draw(1500, 2), "validation")
    labels, probabilities = draw(4000, 3)
    assert calibration_error(labels, rules.shown(probabilities)) < 0.03


def test_no_confidence_leaves_the_other_classes_nothing():
    """A map may end at 1, or fall below what the largest of so many classes has at least."""
    rules = AnswerRules(confidence=((0.0, 0.0), (0.5, 0.1), (0.6, 1.0), (1.0, 1.0)))
    shown = rules.shown(np.array([[0.7, 0.2, 0.1], [0.36, 0.33, 0.31]]))
    assert shown[0, 1:].sum() == pytest.approx(1e-9, rel=0.01)
    assert (shown > 0).all()
    assert (np.diff(shown, axis=1) < 0).all()


def test_copies_do_not_choose_the_map_that_follows_them_closest():
    """Of a calibrated model five copies of each photograph, which are right or wrong together."""
    rng = np.random.default_rng(1)
    confidence = np.repeat(rng.uniform(0.3, 1, 120), 5) - rng.uniform(0, 0.01, 600)
    right = np.repeat(rng.random(120), 5) < confidence
    probabilities = np.column_stack([confidence, *[(1 - confidence) / 9] * 9])
    labels = np.where(right, 0, 1)

    def far_off(groups):
        points = fit_rules(labels, probabilities, "v", groups).confidence or [(0, 0), (1, 1)]
        sure = np.linspace(0.35, 0.95, 50)
        return np.abs(np.interp(sure, *np.transpose(points)) - sure).mean()

    groups = np.repeat(np.arange(120) * 7, 5)[::-1]
    assert far_off(groups) < far_off(None) / 2
    assert fit_rules(labels, probabilities, "v", groups % 99).set_threshold is None


def test_answer_sets_hold_the_right_class_as_often_as_promised():
    coverages = []
    for seed in range(10):
        labels, probabilities = draw(400, 10 + seed)
        rules = AnswerRules(set_threshold=fit_set_threshold(labels, probabilities))
        labels, probabilities = draw(400, 100 + seed)
        sets = [rules.answer_set(row) for row in probabilities]
        coverages.append(np.mean([y in s for y, s in zip(labels, sets, strict=True)]))
    # Ten repetitions of 400 and 400: the mean's deviation is 0.7 points.
    assert 0.88 < np.mean(coverages) < 0.94


@pytest.mark.parametrize(("n", "rank"), [(8, 0), (9, 1), (98, 9), (99, 10), (108, 10), (199, 20)])
def test_answer_sets_are_the_smallest_that_keep_their_promise(n, rank):
    """Of n probabilities of labels and a further one, no more than a tenth lie below."""
    of_label = np.random.default_rng(0).permutation(n + 1)[:n] + 1.0
    of_label /= of_label.max()
    found = fit_set_threshold(np.ones(n, int), np.column_stack([1 - of_label, of_label]))
    assert found == np.sort([0, *of_label])[rank]


def test_few_photographs_fit_nothing():
    assert fit_rules(*draw(99, 0), "validation") == AnswerRules()


@pytest.mark.parametrize("right", [True, False])
def test_a_model_that_is_always_right_or_wrong_has_rules(right):
    _, probabilities = draw(100, 0)
    best = probabilities.argmax(axis=1)
    rules = fit_rules(best if right else (best + 1) % 5, probabilities, "validation")
    assert rules.n == 100
    assert np.isfinite(rules.shown(probabilities)).all()
