import numpy as np
import pytest

from dashboard.wording.answers import advice, headline, set_sentence
from har_core import Prediction


def predict(first=0.9, second=0.08, **fields):
    names = ["running", "using_laptop", "sitting"]
    row = np.array([first, second, 1 - first - second])
    return Prediction.from_probabilities(names, row, **fields)


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (predict(), "Very likely running — 90 %"),
        (predict(in_scope=True, min_confidence=0.5), "Very likely running — 90 %"),
        (
            predict(in_scope=False, min_confidence=0.5),
            "This does not look like a photograph of someone doing one of the 3 actions",
        ),
        (
            predict(0.45, 0.4, min_confidence=0.5),
            "I cannot tell: perhaps running or using laptop",
        ),
        (predict(0.45, 0.4), "Perhaps running — 45 %"),
    ],
)
def test_answer_is_foreign_unsure_or_on_the_ladder(prediction, words):
    assert plain(headline(prediction)) == words


def test_foreign_advice_says_what_it_would_have_answered_and_never_that_nobody_is_there():
    text = plain(advice(predict(in_scope=False)))
    assert "running, 90 %" in text and "means little" in text
    assert "person" not in text


def test_unsure_advice_names_the_threshold():
    text = plain(advice(predict(0.45, 0.4, min_confidence=0.5)))
    assert "45 %" in text and "from 50 % on" in text
    assert "from 100 % on" in plain(advice(predict(0.45, 0.4, min_confidence=1.0)))


def test_clear_answer_needs_no_advice():
    assert advice(predict(in_scope=True, min_confidence=0.5)) is None


def test_set_of_several_actions_is_a_sentence():
    several = predict(0.5, 0.4, answer_set=np.array([0, 1, 2]))
    assert set_sentence(several) == (
        "In 9 of 10 such photographs it is running, using laptop or sitting."
    )
    assert set_sentence(predict(answer_set=np.array([0]))) is None
    assert set_sentence(predict()) is None
    assert set_sentence(predict(0.5, 0.4, in_scope=False, answer_set=np.array([0, 1]))) is None
