"""An answer in words: what the model says, what it is not sure of, and what it does not know."""

from typing import Final

from dashboard.wording.names import certainty, hint, markdown_name, percent, threshold_percent
from har_core import Prediction

# What the batch table calls a verdict.
VERDICT_WORDS: Final = {"answered": "clear", "unsure": "unsure", "foreign": "none of these"}


def headline(prediction: Prediction) -> str:
    """Return the answer as one line of Markdown: foreign, unsure, or how certain of what."""
    if prediction.verdict == "foreign":
        n = len(prediction.probabilities)
        return f"This does not look like a photograph of someone doing one of the {n} actions"
    if prediction.verdict == "unsure":
        (first, _), (second, _) = prediction.top(2)
        return f"I cannot tell: perhaps {markdown_name(first)} or {markdown_name(second)}"
    return (
        f"{certainty(prediction.confidence)} {markdown_name(prediction.action)} — "
        f"{percent(prediction.confidence)}"
    )


def advice(prediction: Prediction) -> str | None:
    """Return what to make of an answer that is not to be taken at face value, as Markdown."""
    if prediction.verdict == "foreign":
        return (
            "It is unlike the photographs that the model learned from. The chart shows what it "
            f"would answer all the same ({markdown_name(prediction.action)}, "
            f"{percent(prediction.confidence)}), which means little here."
        )
    if prediction.verdict == "unsure":
        return (
            f"Its best guess is {markdown_name(prediction.action)}, at "
            f"{percent(prediction.confidence)}; it answers from "
            f"{threshold_percent(prediction.min_confidence)} on. One clearly visible person, doing "
            "one of the actions in the chart, works best."
        )
    return hint(prediction)


def set_sentence(prediction: Prediction) -> str | None:
    """Return an answer set of several actions as a sentence; None where there is none."""
    if prediction.verdict == "foreign" or not prediction.answer_set:
        return None
    if len(prediction.answer_set) == 1:
        return None
    *others, last = map(markdown_name, prediction.answer_set)
    return f"In 9 of 10 such photographs it is {', '.join(others)} or {last}."
