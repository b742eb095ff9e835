import numpy as np
import pytest

from har_core.model.answers import AnswerRules
from har_core.model.prediction import Prediction


def draw_rows(n=300, classes=6, seed=0):
    logits = np.random.default_rng(seed).normal(size=(n, classes)) * 2
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


LESS_SURE = AnswerRules(confidence=((0.0, 0.0), (0.5, 0.4), (0.6, 0.4), (1.0, 0.9)))


def test_shown_confidence_is_what_the_map_says_and_the_order_stays():
    rows = draw_rows()
    shown = LESS_SURE.shown(rows)
    assert np.allclose(shown.sum(axis=1), 1)
    assert np.array_equal(np.argsort(shown, axis=1), np.argsort(rows, axis=1))
    wanted = np.interp(rows.max(axis=1), [0, 0.5, 0.6, 1], [0, 0.4, 0.4, 0.9])
    assert np.allclose(shown.max(axis=1), np.maximum(wanted, 1 / 6), atol=1e-6)


def test_without_a_map_probabilities_are_shown_as_they_are():
    rows = draw_rows()
    assert AnswerRules().shown(rows) is rows


def test_certain_and_impossible_classes_survive_the_map():
    shown = LESS_SURE.shown(np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]]))
    assert np.isfinite(shown).all()
    assert np.allclose(shown.sum(axis=1), 1)
    assert np.allclose(shown[1], 1 / 3, atol=1e-6)


def test_answer_set_holds_the_probable_classes_best_first_and_never_nothing():
    rules = AnswerRules(set_threshold=0.3)
    assert rules.answer_set(np.array([0.1, 0.4, 0.5])).tolist() == [2, 1]
    assert rules.answer_set(np.array([0.26, 0.25, 0.25, 0.24])).tolist() == [0]
    assert AnswerRules().answer_set(np.array([0.4, 0.6])) is None


def test_rules_survive_their_file():
    assert AnswerRules.from_dict(LESS_SURE.to_dict()) == LESS_SURE
    assert AnswerRules.from_dict({}) == AnswerRules()


@pytest.mark.parametrize(
    "body",
    [
        {"abstain_below": 2},
        {"abstain_below": "high"},
        {"abstain_below": "0.5"},
        {"confidence": [[0, 0.5], [1, 0.4]]},
        {"confidence": [[0.5, 0.5]]},
        {"confidence": [[0, 0], [0, 1]]},
        {"confidence": [[0, 0], [1, 1.2]]},
        {"confidence": 3},
        {"set_threshold": -0.1},
        {"set_threshold": "0.1"},
        {"unheard_of": 1},
    ],
)
def test_unusable_rules_are_refused(body):
    with pytest.raises(ValueError):
        AnswerRules.from_dict(body)


def predict(confidence=0.6, **fields):
    return Prediction("run", confidence, {"run": confidence, "sit": 1 - confidence}, **fields)


def test_model_abstains_from_a_foreign_picture_and_below_its_confidence():
    assert predict().answer == "run"
    assert predict(in_scope=True, min_confidence=0.6).answer == "run"
    assert (predict(in_scope=False).answer, predict(in_scope=False).verdict) == (None, "foreign")
    unsure = predict(min_confidence=0.7)
    assert (unsure.answer, unsure.verdict, unsure.action) == (None, "unsure", "run")
    assert unsure.abstaining_below(0.5).answer == "run"
    assert unsure.abstaining_below(None) is unsure
