"""What follows a network so that it gives probabilities, and whether it is told or guessed."""

import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.outputs import apply_rule, rule_for_outputs

LOGITS = np.array([[3.0, -1.0], [0.5, 0.2]])
SHARES = np.array([[0.9, 0.4], [0.5, 0.2]])


@pytest.mark.parametrize(
    ("outputs", "ending", "addition"),
    [
        (LOGITS, "linear", "softmax"),
        (LOGITS, "unknown", "softmax"),
        (SHARES, "linear", "softmax"),  # logits that happen to be small
        (SHARES / SHARES.sum(axis=1, keepdims=True), "unknown", "none"),
        (LOGITS[:, :1], "linear", "sigmoid_and_two_classes"),
        (LOGITS[:, :1], "unknown", "sigmoid_and_two_classes"),
        (SHARES[:, :1], "unknown", "two_classes"),
        (SHARES[:, :1], "sigmoid", "two_classes"),
    ],
)
def test_what_is_added_follows_from_outputs_and_ending(outputs, ending, addition):
    assert rule_for_outputs(outputs, ending, "it").addition == addition


@pytest.mark.parametrize(
    ("outputs", "ending", "says"),
    [
        (SHARES, "unknown", "look like independent probabilities"),
        (SHARES, "sigmoid", "look like independent probabilities"),
        (SHARES, "softmax", "they are rounded"),
        (LOGITS, "softmax", "must end in a softmax"),
        (LOGITS[:, :1], "other", "no sigmoid"),
        (LOGITS * np.inf, "linear", "NaN or infinite"),
    ],
)
def test_what_is_no_probability_is_refused(outputs, ending, says):
    with pytest.raises(ModelBundleError, match=says):
        rule_for_outputs(outputs, ending, "it")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("columns", [1, 2])
def test_logits_of_pixels_that_were_scaled_wrongly_are_probabilities_too(columns):
    huge = np.array([[-9e4, 9e4], [9e4, 0.0], [0.0, 0.0]])[:, :columns]
    rule = rule_for_outputs(huge, "linear", "it")
    assert apply_rule(rule, huge)[:, 0] == pytest.approx(
        [0, 1, 0.5] if columns == 2 else [1, 0, 0.5]
    )
