import numpy as np
import pytest

from dashboard.wording import names as wording
from har_core import Prediction
from har_core.model.manifest import BundleManifest


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 rows"), (1, "1 row"), (2, "2 rows"), (1204, "1,204 rows")]
)
def test_one_thing_has_a_singular(n, text):
    assert wording.counted(n, "row") == text


def prediction(*probabilities):
    names = ["running", "using_laptop", "sitting", "eating", "texting"]
    return Prediction.from_probabilities(names[: len(probabilities)], np.array(probabilities))


def plain(text):
    return text.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0, "< 1 %"),
        (0.0049, "< 1 %"),
        (0.006, "1 %"),
        (0.934, "93 %"),
        (0.995, "> 99 %"),
        (1, "> 99 %"),
    ],
)
def test_percentages_never_claim_impossibility_or_certainty(probability, text):
    assert plain(wording.percent(probability)) == text


def test_what_was_counted_may_be_none_or_all():
    words = [plain(wording.counted_share(share)) for share in (0, 0.001, 0.5, 0.999, 1)]
    assert words == ["none", "< 1 %", "50 %", "> 99 %", "all"]


def test_certainty_rises_with_confidence():
    words = [wording.certainty(p) for p in (0.2, 0.45, 0.7, 0.93, 0.99)]
    assert words == [
        "Hard to say, maybe",
        "Perhaps",
        "Probably",
        "Very likely",
        "Almost certainly",
    ]


def test_clear_prediction_needs_no_hint():
    assert wording.hint(prediction(0.8, 0.15, 0.05)) is None


def test_close_call_names_both_actions():
    hint = plain(wording.hint(prediction(0.48, 0.46, 0.06)))
    assert "running (48 %) and using laptop (46 %)" in hint


def test_nothing_is_called_close_that_is_hardly_likely():
    assert "close" not in wording.hint(prediction(0.21, 0.2, 0.2, 0.2, 0.19)).lower()


def test_low_confidence_is_called_a_guess():
    assert "guess" in wording.hint(prediction(0.38, 0.2, 0.2, 0.12, 0.1))


def manifest(**metrics):
    return BundleManifest("m", "a", 224, "zero_to_one", ("a", "b"), metrics=metrics)


def test_accuracy_names_split_and_interval():
    top1 = {"value": 0.7812, "low": 0.756, "high": 0.804}
    text = plain(wording.accuracy(manifest(split="test", n=1071, top1=top1)))
    assert text == "Right on 78.1 % of 1,071 test photographs (95 % interval 76 % to 80 %)"


@pytest.mark.parametrize("metrics", [{}, {"top1": None}, {"top1": 0.8}, {"top1": {}}])
def test_unmeasured_accuracy_is_admitted(metrics):
    assert wording.accuracy(manifest(**metrics)) == "Accuracy not measured"


def test_file_names_cannot_format_the_page():
    assert wording.escape_markdown("a_*b*_[x](y).jpg") == r"a\_\*b\*\_\[x\]\(y\)\.jpg"
    assert wording.escape_markdown(":red[x]\n# y") == r"\:red\[x\] \# y"


def test_why_a_file_is_no_photograph_is_said_without_code_words() -> None:
    assert wording.reason_in_words("html") == "web page"
    assert wording.reason_in_words("too_many_pixels") == "too many pixels"


def test_a_number_after_an_arabic_name_keeps_its_side() -> None:
    told = f"{wording.markdown_name('كتابة_الرسائل')} {wording.percent(0.8)}"
    assert told.startswith("\N{FIRST STRONG ISOLATE}كتابة الرسائل\N{POP DIRECTIONAL ISOLATE} 80")
    assert wording.markdown_name("走る") == "走る"


def test_a_limit_may_be_none_or_all() -> None:
    told = [plain(wording.threshold_percent(limit)) for limit in (0, 0.5, 1)]
    assert told == ["0 %", "50 %", "100 %"]
