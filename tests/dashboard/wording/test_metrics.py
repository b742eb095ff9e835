import numpy as np
import pytest

from dashboard.wording import metrics as wording
from har_core.evaluation.bootstrap import Interval
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.totals import METRIC_TITLES


@pytest.mark.parametrize(
    ("coverage", "accuracy", "sentence"),
    [
        (0.78, 0.91, "answers 78 % of the photographs and is right on 91 % of those."),
        (1.0, 0.9, "answers all of the photographs and is right on 90 % of those."),
        (0.3, 0.999, "answers 30 % of the photographs and is right on > 99 % of those."),
        (0.3, 1.0, "answers 30 % of the photographs and is right on all of those."),
        (0.3, 0.0, "answers 30 % of the photographs and is right on none of those."),
        (0.0, float("nan"), "answers no photograph at all."),
    ],
)
def test_a_threshold_in_words(coverage, accuracy, sentence):
    told = wording.abstention_sentence(0.62, coverage, accuracy).replace("\N{NO-BREAK SPACE}", " ")
    assert told.startswith("From 62 % on the model ")
    assert told.endswith(sentence)


@pytest.mark.parametrize(
    ("confidence", "accuracy", "error", "verdict"),
    [
        (0.82, 0.80, 0.041, "surer than it should be"),
        (0.78, 0.80, 0.041, "more modest than it should be"),
        (0.82, 0.80, 0.039, "at its word"),
        (0.80, 0.80, 0.05, "right on average, but"),
    ],
)
def test_one_rule_says_whether_confidence_can_be_believed(confidence, accuracy, error, verdict):
    sentence = wording.calibration_sentence(confidence, accuracy, error, (0.029, 0.04))
    sentence = sentence.replace("\N{NO-BREAK SPACE}", " ")
    verdicts = (
        "at its word",
        "surer than it should be",
        "more modest than it should be",
        "right on average, but",
    )
    assert [v for v in verdicts if v in sentence] == [verdict]
    assert f"calibration error is {error:.1%}".replace("%", " %") in sentence
    assert "chance alone gives 2.9 %, at most 4.0 % in 19 of 20" in sentence


def test_metrics_in_words():
    interval = Interval(0.1234, 0.1, 0.15)
    assert wording.metric_value("top1", 0.8764) == "87.6\N{NO-BREAK SPACE}%"
    assert wording.metric_value("log_loss", 0.8764) == "0.876"
    assert wording.metric_interval("ece", interval) == "10.0 – 15.0\N{NO-BREAK SPACE}%"
    assert wording.signed_difference("top1", Interval(0.02, -0.01, 0.05)) == (
        "+2.0 (−1.0 … +5.0) points"
    )
    assert list(METRIC_TITLES) == list(wording.METRIC_MEANINGS)


def test_a_cell_in_words():
    assert wording.cell_title("using_laptop", "texting") == "using laptop taken for texting"
    assert wording.cell_title("texting", "texting") == "texting, recognised"
    assert wording.cell_title("texting", None) == "every texting"
    assert wording.cell_title(None, "texting") == "everything taken for texting"


def test_undefined_numbers_of_a_class_are_dashes():
    result = EvaluationResult.from_predictions(["a"] * 3, [[0.9, 0.1]] * 3, ["a", "b"])
    table = result.per_class()
    assert wording.class_metric(table, "recall").map(wording.class_share).tolist() == [
        "100.0%",
        "–",
    ]
    ends = zip(table["recall_low"], table["recall_high"], strict=True)
    assert [wording.class_interval(*interval) for interval in ends] == [
        "44 – 100\N{NO-BREAK SPACE}%",
        "–",
    ]


def test_both_reasons_not_to_answer_are_counted_once_each():
    confidence, in_scope = np.array([0.9, 0.9, 0.3, 0.2]), np.array([True, False, True, False])
    told = wording.scope_sentence(confidence, in_scope, 0.5, can_tell=True)
    told = told.replace("\N{NO-BREAK SPACE}", " ")
    assert "50 % because they look foreign, 25 % more" in told
    sure = wording.scope_sentence(confidence, np.ones(4, bool), 0.1, can_tell=True)
    assert "none because they look foreign, none more" in sure
    assert "did not record it" in wording.scope_sentence(confidence, None, 0.5, can_tell=True)
    assert "cannot tell" in wording.scope_sentence(confidence, None, 0.5, can_tell=False)
