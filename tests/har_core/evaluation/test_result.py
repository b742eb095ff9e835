import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, f1_score, log_loss, top_k_accuracy_score

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import (
    percentile_interval,
    resampled_totals,
    share_interval,
    wilson_interval,
)
from har_core.evaluation.calibration import (
    brier_scores,
    calibration_error_by_chance,
    fit_temperature,
    negative_log_likelihood,
    reliability_bins,
)
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import HEADLINE_METRICS
from har_core.model.answers import AnswerRules
from har_core.model.prediction import Prediction
from har_core.model.temperature import apply_temperature


def make_case(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return true class indices and probabilities of a random or degenerate evaluation."""
    rng = np.random.default_rng(7)
    n, c = 400, 6
    labels = rng.integers(c, size=n)
    logits = rng.normal(size=(n, c))
    logits[np.arange(n), labels] += 1.5
    probabilities = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    if name == "class_without_photographs":
        labels = np.where(labels == 2, 3, labels)
    elif name == "class_never_predicted":
        probabilities[:, 4] *= 1e-6
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    elif name == "class_absent_from_labels_and_predictions":
        labels = np.where(labels == 5, 0, labels)
        probabilities[:, 5] = 0
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    elif name == "one_photograph":
        labels, probabilities = labels[:1], probabilities[:1]
    elif name == "all_wrong":
        labels = (probabilities.argmax(axis=1) + 1) % c
    elif name == "ties":
        probabilities = rng.integers(1, 4, size=(n, c)).astype(float)
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    elif name == "all_equal":
        probabilities = np.full((n, c), 1 / c)
    elif name == "zeros_and_ones":
        probabilities = np.eye(c)[rng.integers(c, size=n)]
    return labels, probabilities


CASES = (
    "random",
    "class_without_photographs",
    "class_never_predicted",
    "class_absent_from_labels_and_predictions",
    "one_photograph",
    "all_wrong",
    "ties",
    "all_equal",
    "zeros_and_ones",
)


@pytest.fixture(params=CASES)
def case(request) -> tuple[np.ndarray, np.ndarray, EvaluationResult]:
    labels, probabilities = make_case(request.param)
    return labels, probabilities, evaluate(labels, probabilities)


def evaluate(labels: np.ndarray, probabilities: np.ndarray, groups=None) -> EvaluationResult:
    names = [f"class {i}" for i in range(probabilities.shape[1])]
    return EvaluationResult.from_predictions(
        [names[i] for i in labels], probabilities, names, groups=groups
    )


def ece_by_hand(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Sort, cut into 15 parts, keep equal confidences together; then the formula, in a loop."""
    ranked = sorted(confidence)
    starts = [part[0] for part in np.array_split(ranked, 15) if len(part)]
    bins: dict[float, list[tuple[float, bool]]] = {}
    for value, hit in zip(confidence, correct, strict=True):
        bins.setdefault(max(s for s in starts if s <= value), []).append((value, hit))
    return sum(
        len(b) / len(confidence) * abs(np.mean([h for _, h in b]) - np.mean([v for v, _ in b]))
        for b in bins.values()
    )


def test_headline_equals_scikit_learn_and_the_formula(case):
    labels, probabilities, result = case
    predictions = probabilities.argmax(axis=1)
    classes = range(probabilities.shape[1])
    expected = {
        "top1": np.mean(predictions == labels),
        # Of equal ones scikit-learn takes the last; that would put the answer itself behind others.
        "top3": top_k_accuracy_score(
            probabilities.shape[1] - 1 - labels, probabilities[:, ::-1], k=3, labels=classes
        ),
        "macro_f1": f1_score(labels, predictions, average="macro", zero_division=0),
        "log_loss": log_loss(labels, probabilities, labels=classes),
        "ece": ece_by_hand(probabilities.max(axis=1), predictions == labels),
    }
    headline = result.headline()
    assert list(headline) == list(HEADLINE_METRICS)
    for name, value in expected.items():
        assert headline[name]["value"] == pytest.approx(value, abs=1e-9), name


def test_a_right_answer_is_among_the_first_three(case):
    labels, probabilities, result = case
    assert result.in_top3[result.correct].all()
    names = result.class_names
    for row, label, is_in in zip(probabilities, labels, result.in_top3, strict=True):
        first = Prediction.from_probabilities(names, row).top(3)
        assert is_in == (names[label] in dict(first))


def test_intervals_are_finite_and_hold_the_value(case):
    for name, interval in case[2].headline_intervals.items():
        assert np.isfinite(interval).all(), name
        assert interval.low <= interval.value + 1e-12, name
        assert interval.high >= interval.value - 1e-12, name
        assert interval.low >= 0, name


def test_intervals_are_reproducible_and_ignore_the_order_of_photographs_in_value():
    labels, probabilities = make_case("random")
    first, second = evaluate(labels, probabilities), evaluate(labels, probabilities)
    assert first.headline() == second.headline()
    turned = evaluate(labels[::-1], probabilities[::-1])
    for name, metric in first.headline().items():
        assert turned.headline()[name]["value"] == pytest.approx(metric["value"], abs=1e-12)


def interval_of_accuracy(correct: np.ndarray, copies: int = 1):
    labels, groups = np.repeat(correct, copies).astype(int), np.arange(len(correct)).repeat(copies)
    result = evaluate(labels, np.tile([0.4, 0.6], (len(labels), 1)), groups)
    return result.headline_intervals["top1"]


def test_accuracy_interval_covers_the_truth_for_95_percent_of_models():
    rng = np.random.default_rng(3)
    truths = rng.uniform(0.5, 0.9, 500)
    correct = rng.random((400, 500)) < truths  # a column for each model
    shares = resampled_totals(csr_array(correct.astype(float)), np.arange(400)) / 400
    intervals = [
        share_interval(accuracy, of_resamples, 400)
        for accuracy, of_resamples in zip(correct.mean(axis=0), shares, strict=True)
    ]
    assert intervals[0] == pytest.approx(interval_of_accuracy(correct[:, 0]))
    covered = sum(i.low <= truth <= i.high for i, truth in zip(intervals, truths, strict=True))
    assert 0.93 <= covered / 500 <= 0.97


def test_copies_of_every_photograph_leave_the_interval_as_it_is():
    correct = np.random.default_rng(3).random(400) < 0.7
    assert interval_of_accuracy(correct, copies=3) == pytest.approx(interval_of_accuracy(correct))


def test_only_which_photographs_share_a_group_counts_not_its_number():
    labels, probabilities = make_case("random")
    groups = np.random.default_rng(2).integers(60, size=len(labels))
    result = evaluate(labels, probabilities, groups)
    other = result.regrouped(groups * -7 + 100)
    assert other.headline() == result.headline()
    assert other.calibration_error_by_chance == result.calibration_error_by_chance
    assert (
        result.calibration_error_by_chance
        > evaluate(labels, probabilities).calibration_error_by_chance
    )


def test_intervals_respect_near_duplicates():
    """Fifty photographs, each ten times: as uncertain as fifty, not as five hundred."""
    rng = np.random.default_rng(4)
    correct = np.repeat(rng.random(50) < 0.7, 10)
    probabilities = np.tile([0.2, 0.8], (500, 1))
    labels = correct.astype(int)
    grouped = evaluate(labels, probabilities, groups=np.repeat(np.arange(50), 10))
    alone = evaluate(labels, probabilities)
    widths = [
        r.headline_intervals["top1"].high - r.headline_intervals["top1"].low
        for r in (grouped, alone)
    ]
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.15)


@pytest.mark.parametrize("right", [1, 0])
def test_ten_of_ten_is_no_certainty(right):
    """Wilson's interval of 10 of 10 is from 10 / (10 + 1.96²) to 1, of 0 of 10 its mirror."""
    labels = np.repeat([0, 1], 20)
    groups = np.arange(40) // 2
    probabilities = np.eye(2)[labels if right else 1 - labels] * 0.8 + 0.1
    result = evaluate(labels, probabilities, groups)
    table = result.per_class().iloc[0]
    intervals = {
        (table[f"{name}_low"], table[f"{name}_high"], 20 if name == "f1" and not right else 10)
        for name in ("precision", "recall", "f1")
    }
    for metric in ("top1", "macro_f1"):
        intervals.add((*result.headline_intervals[metric][1:], 20))
    for low, high, n_groups in intervals:
        open_end = n_groups / (n_groups + 1.959964**2)
        expected = (open_end, 1) if right else (0, 1 - open_end)
        assert (low, high) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n_groups", [1, 2])
def test_groups_that_are_all_right_alike_are_no_certainty(n_groups):
    """Half of each burst is right: so it is in every resample, which says nothing of others."""
    labels = np.zeros(4 * n_groups, int)
    probabilities = np.tile([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8]], (n_groups, 1))
    result = evaluate(labels, probabilities, np.arange(len(labels)) // 4)
    recall = result.per_class().iloc[0]
    expected = binomtest(n_groups, 2 * n_groups).proportion_ci(method="wilson")
    wider = wilson_interval(0.5, n_groups)
    assert wider.low < expected.low < 0.5 < expected.high < wider.high
    assert result.headline_intervals["top1"] == wider
    assert (recall["recall_low"], recall["recall_high"]) == wider[1:]


@pytest.mark.parametrize(("found", "n"), [(0, 20), (4, 40), (7, 7), (1, 1)])
def test_interval_of_a_share_is_wilsons(found, n):
    ends = binomtest(found, n).proportion_ci(method="wilson")
    interval = wilson_interval(found / n, n)
    assert interval == pytest.approx((found / n, ends.low, ends.high), abs=1e-12)
    assert interval.low <= interval.value <= interval.high


def test_calibration_error_interval_is_centred_although_resampling_inflates_it():
    rng = np.random.default_rng(5)
    confidence = rng.uniform(0.5, 1, 900)
    labels = (rng.random(900) > confidence).astype(int)
    result = evaluate(labels, np.column_stack([confidence, 1 - confidence]))
    interval = result.headline_intervals["ece"]
    plain = percentile_interval(interval.value, result.resampled_totals.headline()["ece"])
    assert interval.low < interval.value < interval.high
    assert np.median(result.resampled_totals.headline()["ece"]) > interval.value
    assert plain.low > interval.low and plain.high > interval.high


def test_calibrated_models_exceed_the_calibration_error_of_chance_once_in_twenty():
    rng = np.random.default_rng(8)
    measured = []
    confidence = rng.uniform(0.5, 1, 600)
    mean, upper = calibration_error_by_chance(confidence, n_samples=1000)
    for _ in range(400):
        correct = rng.random(600) < confidence
        measured.append(reliability_bins(confidence, correct).calibration_error)
    assert np.mean(measured) == pytest.approx(mean, rel=0.03)
    assert 0.035 < np.mean(np.array(measured) > upper) < 0.09
    assert calibration_error_by_chance(np.ones(10)) == (0, 0)


def test_copies_are_no_further_evidence_against_a_calibrated_model():
    """The answers to a photograph and to its copies are right or wrong together."""
    rng = np.random.default_rng(5)
    beyond = 0
    for _ in range(200):
        confidence, groups = np.repeat(rng.uniform(0.3, 1, 100), 5), np.repeat(np.arange(100), 5)
        right = np.repeat(rng.random(100), 5) < confidence
        _, upper = calibration_error_by_chance(confidence, groups)
        beyond += reliability_bins(confidence, right).calibration_error > upper
    assert 0.01 <= beyond / 200 <= 0.10


def good_table() -> dict:
    return {
        "labels": ["run", "sit", "run"],
        "probabilities": np.array([[0.9, 0.1], [0.3, 0.7], [0.6, 0.4]]),
        "class_names": ["run", "sit"],
        "filenames": ["a.jpg", "b.jpg", "c.jpg"],
    }


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda t: t["probabilities"].__setitem__((1, 0), np.nan), "NaN.*b.jpg"),
        (lambda t: t["probabilities"].__setitem__((1, 0), np.inf), "infinite.*b.jpg"),
        (lambda t: t["probabilities"].__setitem__((2, 0), 0.7), "do not sum to 1: c.jpg"),
        (lambda t: t["probabilities"].__setitem__((2, 0), 0.5), "do not sum to 1: c.jpg"),
        (lambda t: t["probabilities"].__setitem__(2, [-0.1, 1.1]), "outside.*c.jpg"),
        (lambda t: t["labels"].__setitem__(1, "flying"), "flying.*b.jpg.*run, sit"),
        (lambda t: t["labels"].__setitem__(1, None), "None.*b.jpg"),
        (lambda t: t["filenames"].__setitem__(2, "a.jpg"), "1 filename is repeated: a.jpg"),
        (lambda t: t["filenames"].pop(), "as many filenames"),
        (lambda t: t["class_names"].__setitem__(1, "run"), "run repeats"),
        (lambda t: t["class_names"].append("fly"), r"shape \(3, 3\)"),
        (lambda t: t.update(labels=[], probabilities=np.empty((0, 2))), "no rows"),
    ],
)
def test_unusable_predictions_are_named(damage, named):
    table = good_table()
    damage(table)
    with pytest.raises(DatasetError, match=named):
        EvaluationResult.from_predictions(**table)


def test_some_photographs_keep_all_that_is_known_of_them():
    table = good_table() | {"groups": [4, 5, 6], "sha256": ["a1", "b2", "c3"]}
    result = EvaluationResult.from_predictions(**table, in_scope=[True, False, True])
    taken = result.take(np.array([2, 1]))
    assert taken.filenames.tolist() == ["c.jpg", "b.jpg"]
    assert taken.labels.tolist() == [0, 1] and taken.in_scope.tolist() == [True, False]
    assert taken.probabilities.tolist() == [[0.6, 0.4], [0.3, 0.7]]
    assert (taken.groups.tolist(), taken.sha256.tolist()) == ([6, 5], ["c3", "b2"])
    assert EvaluationResult.from_predictions(**table).take(np.array([0])).in_scope is None


def test_who_changes_a_table_of_classes_changes_no_metric():
    result = EvaluationResult.from_predictions(**good_table())
    table = result.per_class()
    table["recall"] = 0.5
    assert result.per_class()["recall"].tolist() == [1, 1]


def test_float32_rows_are_accepted():
    table = good_table()
    table["probabilities"] = table["probabilities"].astype(np.float32)
    assert EvaluationResult.from_predictions(**table).headline()["top1"]["value"] == 1


@pytest.mark.parametrize("score", [brier_scores, negative_log_likelihood])
def test_temperature_undoes_overconfidence(score):
    rng = np.random.default_rng(6)
    true = rng.dirichlet(np.full(5, 0.6), 20_000)
    labels = (true.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    overconfident = apply_temperature(true, 1 / 2.5)
    temperature = fit_temperature(labels, overconfident, score)
    assert temperature == pytest.approx(2.5, rel=0.05)
    around = [
        score(labels, apply_temperature(overconfident, t)).mean()
        for t in (temperature * 0.98, temperature, temperature * 1.02)
    ]
    assert around[1] == min(around)


def test_temperature_of_a_few_photographs_is_no_worse_than_none():
    rng = np.random.default_rng(3)
    probabilities = rng.dirichlet(np.full(5, 0.3), 2_000)
    labels = (probabilities.cumsum(axis=1) > rng.random((2_000, 1))).argmax(axis=1)
    losses = []
    for begin in range(0, 500, 10):
        few = slice(begin, begin + 10)
        found = fit_temperature(labels[few], probabilities[few])
        softened = apply_temperature(probabilities, found)
        losses.append(negative_log_likelihood(labels, softened).mean())
    perfect = negative_log_likelihood(labels, probabilities).mean()
    assert np.mean(losses) < 1.1 * perfect
    assert max(losses) < 1.5 * perfect


def test_brier_score_agrees_with_scikit_learn():
    labels, probabilities = make_case("random")
    expected = brier_score_loss(labels, probabilities, labels=range(probabilities.shape[1]))
    assert brier_scores(labels, probabilities).mean() == pytest.approx(expected)


def test_lifted_small_probabilities_do_not_raise_the_confidence():
    """A network that says 80 % and is right on 80 %, but was taught that nothing is impossible."""
    rng = np.random.default_rng(9)
    labels = np.where(rng.random(20_000) < 0.8, 0, 1)
    probabilities = np.array([0.76, 0.16, *[0.08 / 18] * 18])[np.newaxis].repeat(20_000, axis=0)
    usual, by_log_loss = (
        apply_temperature(probabilities[:1], temperature).max()
        for temperature in (
            fit_temperature(labels, probabilities),
            fit_temperature(labels, probabilities, negative_log_likelihood),
        )
    )
    assert abs(usual - 0.8) < abs(by_log_loss - 0.8)


def test_temperature_of_certain_or_perfect_predictions_stays_in_range():
    assert 0.05 <= fit_temperature(np.array([0, 1]), np.array([[0.9, 0.1], [0.2, 0.8]])) <= 1
    assert fit_temperature(np.array([0, 1]), np.eye(2)) == 1
    always, never = np.zeros(1000, int), np.arange(1000) % 2
    assert 0.05 <= fit_temperature(always, np.tile([0.51, 0.49], (1000, 1))) < 0.1
    assert 10 < fit_temperature(never, np.tile([0.99, 0.01], (1000, 1))) <= 20


def test_a_map_of_confidence_applies_at_a_temperature_of_one_too():
    result = evaluate(*make_case("random"))
    rules = AnswerRules(confidence=((0.0, 0.0), (1.0, 0.5)))
    shown = result.calibrated(1.0, rules).probabilities
    assert shown == pytest.approx(rules.shown(result.probabilities))
    assert not np.allclose(shown, result.probabilities)
