"""Predictions in words that need no training in statistics."""

import re
from collections.abc import Sequence
from html import escape
from itertools import accumulate, chain, takewhile
from typing import Final
from unicodedata import bidirectional, east_asian_width

from har_core import Prediction
from har_core.model.manifest import BundleManifest
from har_core.wording import counted

# The actions are gerunds: running, texting, using a laptop.
PRODUCT: Final = "Gerund"
_CERTAINTY: Final = (
    (0.95, "Almost certainly"),
    (0.80, "Very likely"),
    (0.60, "Probably"),
    (0.40, "Perhaps"),
)
_LOW_CONFIDENCE: Final = 0.40
_CLOSE_CALL: Final = 0.15
MOST_LETTERS: Final = 32
_MARKDOWN_SPECIALS: Final = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]()<>#+-.!|$~:^&"})


def human_name(class_name: str) -> str:
    """Return a class name as people write it: ``using_laptop`` → ``using laptop``."""
    return class_name.replace("_", " ").strip()


def markdown_name(class_name: str) -> str:
    """Return a class name as people write it, for text that is Markdown."""
    return escape_markdown(name_in_text(class_name))


def name_in_text(class_name: str) -> str:
    """Return a class name as people write it, for text that goes on after it.

    A number after Arabic or Hebrew would go to its other side, away from its percent sign.
    """
    name = human_name(class_name)
    if any(bidirectional(letter) in ("R", "AL") for letter in name):
        return f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}"
    return name


def reason_in_words(reason: str) -> str:
    """Return why a file is no photograph, see `har_core.errors.InvalidImageError`, for people."""
    return "web page" if reason == "html" else reason.replace("_", " ")


def chart_text(text: str) -> str:
    """Return text from outside for a chart, which would take ``<a href=…>`` for a link."""
    return escape(text, quote=False)


def chart_name(class_name: str) -> str:
    """Return a class name as people write it, for a chart."""
    return chart_text(human_name(class_name))


def chart_names(class_names: Sequence[str]) -> list[str]:
    """Return names for an axis; two classes may not become one category of it."""
    return [chart_text(name) for name in _told_apart(class_names)]


def tick_names(class_names: Sequence[str], n_letters: int = MOST_LETTERS) -> list[str]:
    """Return names for the ticks of an axis, no two the same, of at most so many letters.

    Of long ones beginning and end, which fit a phone; of those that are the same there, the
    beginning and where they differ; where that is not enough, their number on the axis.
    """
    names = _told_apart(class_names)
    short = [_shortened(name, n_letters) for name in names]
    for alike in _same(short):
        first, last = (choose(names[i] for i in alike) for choose in (min, max))
        same = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
        at = len(list(same))
        for i in alike:
            short[i] = _shortened_around(names[i], at, n_letters)
    for i in chain.from_iterable(_same(short)):
        short[i] = f"{_beginning(short[i], n_letters - 6)}… {i + 1}"
    return [chart_text(name) for name in short]


def _same(texts: Sequence[str]) -> list[list[int]]:
    """Return the positions of each text that there is more than once."""
    found: dict[str, list[int]] = {}
    for position, text in enumerate(texts):
        found.setdefault(text, []).append(position)
    return [positions for positions in found.values() if len(positions) > 1]


def _shortened_around(name: str, at: int, n_letters: int) -> str:
    """Shorten a name to its beginning and what follows `at`, from the word's beginning on."""
    word = name.rfind(" ", 0, at) + 1
    rest = name[word if at - word < 8 else at :]
    begin = n_letters // 3
    shown = _beginning(rest, n_letters - begin - 2)
    return f"{_beginning(name, begin)}…{shown}{'…' if shown != rest else ''}"


def _shortened(name: str, n_letters: int) -> str:
    if _beginning(name, n_letters) == name:
        return name
    half = n_letters // 2
    return f"{_beginning(name, half)}…{_beginning(name[::-1], half - 1)[::-1]}"


def _beginning(text: str, n_letters: int) -> str:
    # Chinese, Japanese and Korean letters are as wide as two others.
    ends = accumulate(2 if east_asian_width(letter) in "FW" else 1 for letter in text)
    return text[: sum(end <= n_letters for end in ends)]


def _told_apart(class_names: Sequence[str]) -> list[str]:
    readable = [human_name(name) for name in class_names]
    return readable if len(set(readable)) == len(readable) else list(class_names)


def percent(probability: float) -> str:
    """Return a probability as a whole percentage that never claims 0 % or certainty."""
    if probability >= 0.995:
        return ">\N{NO-BREAK SPACE}99\N{NO-BREAK SPACE}%"
    if probability <= 0.005:  # which would round to 0 %
        return "<\N{NO-BREAK SPACE}1\N{NO-BREAK SPACE}%"
    return _spaced(f"{probability:.0%}")


def threshold_percent(threshold: float) -> str:
    """Return a chosen limit as a whole percentage, which may be 0 or 100."""
    return _spaced(f"{threshold:.0%}")


def counted_share(share: float) -> str:
    """Return a share of things that were counted: ``none``, ``all``, or as `percent`."""
    if share in (0, 1):
        return "all" if share else "none"
    return percent(share)


def bold_count(n: int, noun: str, plural: str = "") -> str:
    """Return `counted` as Markdown whose number stands out."""
    number, words = counted(n, noun, plural).split(" ", 1)
    return f"**{number}** {words}"


def duration(seconds: float) -> str:
    """Return a duration in the unit that people would take: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:,.1f} h"


def score_text(score: float) -> str:
    """Return an issue's score with the meaning of its ends."""
    return f"{score:.2f} of 1 (0 odd, 1 usual)"


def certainty(confidence: float) -> str:
    """Return a probability in [0, 1] as an adverb, from "Hard to say, maybe" upwards."""
    return next((word for least, word in _CERTAINTY if confidence >= least), "Hard to say, maybe")


def hint(prediction: Prediction) -> str | None:
    """Return advice, as Markdown, on a prediction not to be taken at face value, else None."""
    (first, p_first), (second, p_second) = prediction.top(2)
    if p_first >= _LOW_CONFIDENCE and p_first - p_second < _CLOSE_CALL:
        return (
            f"A close call: {markdown_name(first)} ({percent(p_first)}) and "
            f"{markdown_name(second)} ({percent(p_second)}) look almost equally likely."
        )
    if p_first < _LOW_CONFIDENCE:
        return (
            "Take this as a guess. One clearly visible person, doing one of the actions in the "
            "chart, works best."
        )
    return None


def accuracy(manifest: BundleManifest) -> str:
    """Return a model's test accuracy with its split and interval, or that it is unknown."""
    value = short_accuracy(manifest)
    if value is None:
        return "Accuracy not measured"
    top1 = manifest.metrics["top1"]
    text = f"Right on {value} of {counted(manifest.metrics.get('n', 0), 'test photograph')}"
    if "low" in top1 and "high" in top1:
        text += f" (95% interval {top1['low']:.0%} to {top1['high']:.0%})"
    return _spaced(text)


def short_accuracy(manifest: BundleManifest) -> str | None:
    """Return a model's test accuracy as a bare percentage, or None if it was not measured."""
    top1 = manifest.metrics.get("top1")
    if not isinstance(top1, dict) or "value" not in top1:
        return None
    return _spaced(f"{top1['value']:.1%}")


def escape_markdown(text: str) -> str:
    """Return text from outside, such as a file name, so that Markdown shows it literally."""
    return " ".join(text.split()).translate(_MARKDOWN_SPECIALS)


def _spaced(text: str) -> str:
    return re.sub(r"(?<=\d)%", "\N{NO-BREAK SPACE}%", text)
