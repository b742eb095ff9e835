"""Confusion, curves, calibration, abstention and comparison against independent computations."""

import hashlib
import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    precision_recall_curve,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import percentile_interval, wilson_interval
from har_core.evaluation.calibration import reliability_bins
from har_core.evaluation.comparison import (
    PermutationTest,
    compare_models,
    disagreements,
    permutation_test,
)
from har_core.evaluation.confusion import confusion_shares, most_confused_pairs, similarity_order
from har_core.evaluation.curves import macro_areas, micro_curves, ranking_curves
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.selective import answer_above, coverage_curve
from tests.har_core.evaluation.test_result import CASES, evaluate, make_case


@pytest.fixture(params=CASES)
def result(request) -> EvaluationResult:
    return evaluate(*make_case(request.param))


def test_confusion_equals_scikit_learn(result):
    classes = range(len(result.class_names))
    for share, normalize in (("count", None), ("row", "true"), ("column", "pred")):
        expected = confusion_matrix(
            result.labels, result.predictions, labels=classes, normalize=normalize
        )
        assert confusion_shares(result.confusion, share) == pytest.approx(expected, abs=1e-12)


def test_per_class_metrics_equal_scikit_learn(result):
    table = result.per_class()
    classes = range(len(result.class_names))
    expected = precision_recall_fscore_support(
        result.labels, result.predictions, labels=classes, zero_division=0
    )
    for name, values in zip(("precision", "recall", "f1", "support"), expected, strict=True):
        assert table[name].to_numpy() == pytest.approx(values, abs=1e-9), name
    for name in ("precision", "recall", "f1"):
        whole = {"precision": "predicted", "recall": "support"}.get(name)
        defined = table[whole] > 0 if whole else table["predicted"] + table["support"] > 0
        assert (table[f"{name}_low"].notna() == defined).all()
        assert (table[f"{name}_high"].notna() == defined).all()
        assert (table[f"{name}_low"] <= table[name] + 1e-12)[defined].all()
        assert (table[f"{name}_high"] >= table[name] - 1e-12)[defined].all()


def test_resamples_that_lack_a_class_do_not_widen_its_interval():
    """Of three photographs, all right, many resamples of a hundred draw none."""
    labels = np.repeat([0, 1], [3, 97])
    samples = evaluate(labels, np.eye(2)[labels]).resampled_totals
    for metric in (samples.recall()[0], samples.f1()[0]):
        assert np.isnan(metric).any()
        assert set(metric[~np.isnan(metric)]) == {1}
        assert percentile_interval(1, metric) == (1, 1, 1)


@pytest.mark.filterwarnings("ignore:No positive class")
def test_average_precision_and_roc_area_equal_scikit_learn(result):
    truth = result.labels[:, np.newaxis] == np.arange(len(result.class_names))
    for index, curve in enumerate(result.curves):
        scores = result.probabilities[:, index]
        expected = average_precision_score(truth[:, index], scores)
        assert curve.average_precision == pytest.approx(expected, abs=1e-9)
        if 0 < truth[:, index].sum() < result.n:
            assert curve.roc_area == pytest.approx(roc_auc_score(truth[:, index], scores), abs=1e-9)
        else:
            assert np.isnan(curve.roc_area)
    micro = micro_curves(result.labels, result.probabilities)
    expected = average_precision_score(truth, result.probabilities, average="micro")
    assert micro.average_precision == pytest.approx(expected, abs=1e-9)
    expected = roc_auc_score(truth.ravel(), result.probabilities.ravel())
    assert micro.roc_area == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", ["random", "class_without_photographs"])
def test_macro_areas_equal_scikit_learn_for_the_classes_that_have_photographs(name):
    result = evaluate(*make_case(name))
    present = np.unique(result.labels)
    truth, scores = np.eye(len(result.class_names))[result.labels], result.probabilities
    truth, scores = truth[:, present], scores[:, present]
    precision, area = macro_areas(result.curves)
    expected = average_precision_score(truth, scores, average="macro")
    assert precision == pytest.approx(expected, abs=1e-9)
    assert area == pytest.approx(roc_auc_score(truth, scores, average="macro"), abs=1e-9)


def test_areas_that_no_class_has_are_not_averaged():
    everything, nothing = (ranking_curves(np.ones(2), np.full(2, of)) for of in (True, False))
    assert macro_areas([everything, nothing]) == pytest.approx((1, np.nan), nan_ok=True)
    assert np.isnan(macro_areas([nothing])).all()


@pytest.mark.parametrize("n_points", [10**6, 40])
def test_drawn_points_lie_on_the_exact_curves(n_points):
    rng = np.random.default_rng(1)
    scores = rng.random(3000).round(3)
    positive = rng.random(3000) < scores
    drawn = ranking_curves(scores, positive, n_points)
    precision, recall, _ = precision_recall_curve(positive, scores)
    exact = set(zip(recall.round(9), precision.round(9), strict=True))
    points = list(zip(drawn.recall.round(9), drawn.precision.round(9), strict=True))
    assert set(points) <= exact
    assert len(points) <= n_points
    fpr, tpr, _ = roc_curve(positive, scores, drop_intermediate=False)
    exact = set(zip(fpr.round(9), tpr.round(9), strict=True))
    points = list(
        zip(drawn.false_positive_rate.round(9), drawn.true_positive_rate.round(9), strict=True)
    )
    assert set(points) <= exact
    assert points[0] == (0, 0)
    assert points[-1] == (1, 1)
    assert drawn.average_precision == pytest.approx(average_precision_score(positive, scores))


def test_every_step_of_a_rare_class_is_drawn():
    scores = np.random.default_rng(2).random(2000)
    drawn = ranking_curves(scores, np.arange(2000) < 5, n_points=40)
    assert set(drawn.recall) >= {0.2, 0.4, 0.6, 0.8, 1.0}


def test_reliability_bins_hold_every_photograph_once(result):
    bins = reliability_bins(result.confidence, result.correct)
    assert bins.counts.sum() == result.n
    assert (np.diff(bins.confidence) > 0).all()
    assert bins.counts @ bins.accuracy == pytest.approx(result.correct.sum())
    ece = result.headline()["ece"]["value"]
    assert bins.calibration_error == pytest.approx(ece, abs=1e-12)
    if result.n >= 15 and len(np.unique(result.confidence)) == result.n:
        assert np.ptp(bins.counts) <= 1


def test_coverage_curve_equals_counting(result):
    curve = coverage_curve(result.confidence, result.correct)
    assert curve.thresholds.tolist() == sorted(set(result.confidence), reverse=True)
    assert curve.coverage[-1] == 1
    assert curve.accuracy[-1] == pytest.approx(result.correct.mean())
    for threshold, coverage, accuracy in zip(
        curve.thresholds, curve.coverage, curve.accuracy, strict=True
    ):
        answered = result.confidence >= threshold
        assert coverage == pytest.approx(answered.mean(), abs=1e-12)
        assert accuracy == pytest.approx(result.correct[answered].mean(), abs=1e-12)
        assert answer_above(result.confidence, result.correct, threshold) == pytest.approx(
            (coverage, accuracy)
        )


def test_what_looks_foreign_is_never_answered():
    confidence, correct = np.array([0.9, 0.8, 0.7, 0.6]), np.array([False, True, True, False])
    in_scope = np.array([False, True, True, True])
    curve = coverage_curve(confidence, correct, in_scope)
    assert curve.thresholds.tolist() == [0.8, 0.7, 0.6]
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75]
    assert curve.accuracy == pytest.approx([1, 1, 2 / 3])
    assert answer_above(confidence, correct, 0.7, in_scope) == (0.5, 1.0)


def test_few_points_of_the_coverage_curve_reach_from_end_to_end():
    curve = coverage_curve(np.linspace(0, 1, 100), np.arange(100) % 3 > 0, n_points=4)
    assert curve.coverage.tolist() == [0.01, 0.34, 0.67, 1.0]


def test_no_answer_has_no_accuracy():
    coverage, accuracy = answer_above(np.array([0.4]), np.array([True]), 0.9)
    assert coverage == 0
    assert np.isnan(accuracy)


def test_most_confused_pairs_are_ranked_by_count():
    matrix = np.array([[50, 3, 0], [7, 52, 1], [3, 0, 9]])
    pairs = most_confused_pairs(matrix, ["a", "b", "c"], limit=3)
    assert pairs[["label", "prediction", "count"]].to_numpy().tolist() == [
        ["b", "a", 7],
        ["c", "a", 3],
        ["a", "b", 3],
    ]
    assert pairs["share"].tolist() == pytest.approx([7 / 60, 3 / 12, 3 / 53])
    assert most_confused_pairs(np.diag([3, 2]), ["a", "b"]).empty


def test_similar_classes_become_neighbours():
    """Classes 0 and 3 are taken for each other, and so are 1 and 4, and 2 and 5."""
    matrix = np.eye(6, dtype=int) * 50
    for a, b in ((0, 3), (1, 4), (2, 5)):
        matrix[a, b] = matrix[b, a] = 20
    order = similarity_order(matrix).tolist()
    assert sorted(order) == list(range(6))
    for a, b in ((0, 3), (1, 4), (2, 5)):
        assert abs(order.index(a) - order.index(b)) == 1
    assert sorted(similarity_order(np.zeros((2, 2), int)).tolist()) == [0, 1]


def test_a_rare_class_stands_between_those_that_it_is_taken_for():
    """Most of its 10 photographs go to the first and the last class; of 100, 8 go to it."""
    matrix = np.array([[990, 0, 0, 0], [0, 92, 8, 0], [6, 0, 1, 3], [0, 0, 0, 100]])
    order = similarity_order(matrix).tolist()
    place = order.index(2)
    assert {0, 3} == set(order[max(place - 1, 0) : place + 2]) - {2}


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 0), (5, 5), (4, 15), (30, 14), (40, 40)])
def test_without_copies_the_permutation_test_is_mcnemars_mid_p_test(b, c):
    first = np.array([True] * b + [False] * c + [True] * 7 + [False] * 5)
    second = np.array([False] * b + [True] * c + [True] * 7 + [False] * 5)
    n, test = b + c, permutation_test(first, second, np.arange(len(first)))
    assert (test.only_first, test.only_second, test.n_groups) == (b, c, n)
    less, k = min(b, c), np.arange(n + 1)
    expected = binom.pmf(k, n, 0.5)[np.abs(2 * k - n) > n - 2 * less].sum()
    expected += binom.pmf(k, n, 0.5)[np.abs(2 * k - n) == n - 2 * less].sum() / 2
    assert test.p_value == pytest.approx(expected if n else 1, abs=1e-9)


def test_the_permutation_test_counts_every_change_of_signs():
    rng = np.random.default_rng(4)
    groups = rng.integers(11, size=60)
    first, second = rng.random(60) < 0.6, rng.random(60) < 0.8
    by_group = np.bincount(groups, weights=second.astype(int) - first, minlength=11)
    signs = np.array(list(itertools.product((-1, 1), repeat=11)))
    totals = np.abs((signs * by_group).sum(axis=1))
    found = abs(by_group.sum())
    expected = (totals > found).mean() + (totals == found).mean() / 2
    assert permutation_test(first, second, groups).p_value == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("n_groups", "size", "share"), [(100, 5, 0.8), (30, 3, 0.8), (300, 3, 0.7), (500, 1, 0.8)]
)
def test_equally_good_models_differ_significantly_in_about_5_percent(n_groups, size, share):
    """Copies of a photograph nearly always share their answer: they are no further evidence."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(n_groups), size)
    shape, trials, significant = (2, n_groups * size), 1_000, 0
    for _ in range(trials):
        of_group = np.repeat(rng.random((2, n_groups)) < share, size, axis=1)
        right = np.where(rng.random(shape) < 0.95, of_group, rng.random(shape) < share)
        significant += permutation_test(*right, groups).p_value < 0.05
    assert 0.03 <= significant / trials <= 0.07


def test_the_permutation_test_finds_a_better_model():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(200), 5)
    worse = np.repeat(rng.random(200) < 0.7, 5)
    better = worse | np.repeat(rng.random(200) < 0.3, 5)
    test = permutation_test(worse, better, groups)
    assert test.p_value < 0.001
    assert f"a permutation test over {test.n_groups} groups gives" in test.describe("a", "b")
    assert "p < 0.001" in test.describe("a", "b")


def test_the_permutation_test_is_told_in_a_sentence():
    assert PermutationTest(1200, 4, 1, 0.0046).describe("old", "new") == (
        "Only old is right on 1,200 photographs, only new on 4: keeping near duplicates together, "
        "a permutation test over 1 group gives p = 0.005."
    )


def digests(names) -> list[str]:
    return [hashlib.sha256(str(name).encode()).hexdigest() for name in names]


def test_comparison_pairs_the_photographs_by_content():
    labels, probabilities = make_case("random")
    names = [f"class {i}" for i in range(probabilities.shape[1])]
    files = np.array([f"{i:03}.jpg" for i in range(len(labels))])
    truth = np.asarray(names)[labels]
    better = 0.7 * probabilities + 0.3 * np.eye(len(names))[labels]
    known = np.array(digests(files))
    a = EvaluationResult.from_predictions(truth, probabilities, names, files, sha256=known)
    turned = slice(None, 20, -1)
    renamed = np.char.add("renamed_", files[turned])
    b = EvaluationResult.from_predictions(
        truth[turned], better[turned], names, renamed, sha256=known[turned]
    )
    comparison = compare_models({"a": a, "b": b})
    first, second = comparison.results["a"], comparison.results["b"]
    assert first.sha256.tolist() == second.sha256.tolist() == known[21:].tolist()
    assert comparison.n_left_out == {"a": 21, "b": 0}
    difference = comparison.differences["b"]["top1"]
    assert difference.value == pytest.approx(second.correct.mean() - first.correct.mean())
    assert 0 < difference.low < difference.value < difference.high
    own_width = np.ptp(first.headline_intervals["top1"][1:])
    assert difference.high - difference.low < own_width


def test_photographs_that_one_of_two_models_gets_right_are_listed_the_surest_first():
    labels = np.array([0, 0, 1])  # of the first photograph both are wrong, each in its own way
    first = evaluate(labels, np.array([[0.1, 0.7, 0.2], [0.8, 0.1, 0.1], [0.1, 0.3, 0.6]]))
    second = evaluate(labels, np.array([[0.1, 0.2, 0.7], [0.2, 0.7, 0.1], [0.0, 0.9, 0.1]]))
    assert disagreements(first, second).to_numpy().tolist() == [
        ["2", "class 1", "class 2", 0.6, "class 1", 0.9, 2],
        ["1", "class 0", "class 0", 0.8, "class 1", 0.7, 1],
    ]


def test_copies_are_paired_by_their_labels():
    """One photograph three times, once mislabelled; listed in another order, or not each time."""

    def listed(*labels):
        n = len(labels)
        table, names = np.tile([0.8, 0.2], (n, 1)), ["run", "sit"]
        return EvaluationResult.from_predictions(
            labels, table, names, list("abc")[:n], sha256=digests("a" * n)
        )

    first = listed("run", "sit", "run")
    comparison = compare_models({"first": first, "second": listed("sit", "run", "run")})
    assert comparison.results["first"].n == 3
    assert comparison.tests["second"].p_value == 1
    comparison = compare_models({"first": first, "second": listed("sit")})
    assert comparison.results["first"].label_names.tolist() == ["sit"]
    assert comparison.n_left_out == {"first": 2, "second": 0}
    with pytest.raises(DatasetError, match=r"1 photograph has different labels .*'run' and 'sit'"):
        compare_models({"first": first, "second": listed("sit", "sit")})


def test_near_duplicates_that_one_evaluation_knows_are_together_in_both():
    """Five copies of each photograph; the first model's evaluation is of before that was known."""
    labels, probabilities = (np.repeat(part[:60], 5, axis=0) for part in make_case("random"))
    groups = np.arange(len(labels)) // 5
    alone = evaluate(labels, probabilities)
    alone = replace(alone, sha256=np.array(digests(alone.filenames)))
    said = np.where(groups % 4 == 0, labels, alone.predictions)
    known = replace(alone.regrouped(groups), probabilities=np.eye(6)[said] * 0.94 + 0.01)
    both = known.regrouped(alone.groups // 10)
    expected = compare_models({"a": alone.regrouped(groups), "b": known})
    there = compare_models({"a": alone, "b": known})
    back = compare_models({"b": known, "a": alone})
    assert there.tests["b"] == expected.tests["b"]
    assert there.differences["b"] == expected.differences["b"]
    assert back.tests["a"].p_value == there.tests["b"].p_value
    tens = compare_models({"a": alone, "b": known, "c": both}).results["a"].groups
    assert len(np.unique(tens)) == 30


def test_models_the_other_way_round_differ_as_much_the_other_way():
    """The second is surer, and right on more; every photograph has a copy."""
    labels, probabilities = (np.repeat(part[:150], 2, axis=0) for part in make_case("random"))
    first = evaluate(labels, probabilities, np.arange(len(labels)) // 2)
    first = replace(first, sha256=np.array(digests(first.filenames)))
    said = np.where(np.arange(len(labels)) % 6 < 2, labels, first.predictions)
    second = replace(first, probabilities=np.eye(probabilities.shape[1])[said] * 0.94 + 0.01)
    there = compare_models({"a": first, "b": second})
    back = compare_models({"b": second, "a": first})
    for name, (value, low, high) in there.differences["b"].items():
        assert back.differences["a"][name] == pytest.approx((-value, -high, -low), abs=1e-9), name
        assert (low + high) / 2 == pytest.approx(value, abs=0.1 * (high - low)), name
    test = there.tests["b"]
    assert test.n_groups == (test.only_first + test.only_second) / 2
    assert back.tests["a"].p_value == pytest.approx(test.p_value)


def test_identical_models_do_not_differ():
    result = evaluate(*make_case("random"))
    result = replace(result, sha256=np.array(digests(result.filenames)))
    comparison = compare_models({"a": result, "b": result})
    for interval in comparison.differences["b"].values():
        assert interval == (0, 0, 0)
    assert comparison.tests["b"].p_value == 1


def test_models_that_are_right_on_the_same_photographs_may_differ_all_the_same():
    labels = np.arange(40) % 4
    sure = evaluate(labels, np.eye(4)[labels] * 0.6 + 0.1, np.arange(40) // 2)
    sure = replace(sure, sha256=np.array(digests(sure.filenames)))
    unsure = replace(sure, probabilities=np.eye(4)[labels] * 0.2 + 0.2)
    differences = compare_models({"a": sure, "b": unsure}).differences["b"]
    reach = wilson_interval(0, 20).high  # pairs of copies are one observation each
    assert differences["top1"] == pytest.approx((0, -reach, reach))
    assert differences["top3"] == pytest.approx((0, -reach, reach))
    wrong = replace(sure, probabilities=np.eye(4)[(labels + 1) % 4] * 0.6 + 0.1)
    differences = compare_models({"a": sure, "b": wrong}).differences["b"]
    assert differences["top1"] == pytest.approx((-1, -1, reach - 1))


def test_top_three_of_three_classes_is_certain():
    labels = np.arange(9) % 3
    first = evaluate(labels, np.eye(3)[labels] * 0.7 + 0.1)
    assert first.headline_intervals["top3"] == (1, 1, 1)
    assert first.headline_intervals["top1"].low < 0.8
    first = replace(first, sha256=np.array(digests(first.filenames)))
    second = replace(first, probabilities=np.eye(3)[(labels + 1) % 3] * 0.7 + 0.1)
    assert compare_models({"a": first, "b": second}).differences["b"]["top3"] == (0, 0, 0)


def test_incomparable_evaluations_are_refused():
    table = {"probabilities": np.eye(2), "class_names": ["run", "sit"], "filenames": ["a", "b"]}
    known, others = digests("ab"), digests("cd")
    a = EvaluationResult.from_predictions(["run", "sit"], sha256=known, **table)
    b = EvaluationResult.from_predictions(["run", "sit"], sha256=others, **table)
    c = EvaluationResult.from_predictions(["run", "run"], sha256=known, **table)
    d = EvaluationResult.from_predictions(["run", "sit"], sha256=[known[0], ""], **table)
    e = EvaluationResult.from_predictions(
        ["walk", "lie"], sha256=known, **{**table, "class_names": ["walk", "lie"]}
    )
    with pytest.raises(DatasetError, match="first and second have no class in common"):
        compare_models({"first": a, "second": e})
    with pytest.raises(DatasetError, match="different photographs"):
        compare_models({"first": a, "second": b})
    with pytest.raises(DatasetError, match="b: 'sit' and 'run'"):
        compare_models({"first": a, "second": c})
    with pytest.raises(DatasetError, match=r"second .* 2 photographs, of which 1 cannot"):
        compare_models({"first": a, "second": d})


def test_metrics_file_holds_the_promised_fields():
    result = evaluate(*make_case("class_never_predicted"))
    metrics = result.metrics()
    assert list(metrics) == ["n", "top1", "top3", "macro_f1", "log_loss", "ece", "per_class"]
    assert metrics["n"] == 400
    assert set(metrics["top1"]) == {"value", "low", "high"}
    never = metrics["per_class"]["class 4"]
    assert never["predicted"] == 0
    assert never["precision"] == {"value": 0, "low": None, "high": None}
    assert never["average_precision"] == result.curves[4].average_precision > 0
    json.dumps(metrics, allow_nan=False)
    table = result.predictions_table()
    assert list(table) == ["filename", "label", "prediction", "confidence", *result.class_names]


def test_curve_has_no_points_where_every_photograph_looks_foreign():
    curve = coverage_curve(np.array([0.9, 0.4]), np.array([True, False]), np.array([False, False]))
    assert len(curve.thresholds) == len(curve.coverage) == len(curve.accuracy) == 0
