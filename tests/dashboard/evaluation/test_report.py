import base64
from html.parser import HTMLParser

import numpy as np

from dashboard.evaluation.report import render_report
from dashboard.wording.metrics import abstention_sentence
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.selective import answer_above
from har_core.evaluation.store import Evaluation
from tests.drawing import photo_bytes
from tests.evaluated import draw_predictions

EVIL = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


class Tags(HTMLParser):
    """Collects tags with their attributes; the content of scripts is no markup."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))


def make_evaluation(class_names) -> Evaluation:
    rng = np.random.default_rng(1)
    labels = rng.integers(len(class_names), size=200)
    raw = EvaluationResult.from_predictions(
        np.asarray(class_names)[labels].tolist(),
        draw_predictions(labels, len(class_names)),
        class_names,
        [f"{i}{EVIL}.jpg" for i in range(200)],
    )
    return Evaluation(name="holiday", model="mine", created="2024-05-01", raw=raw)


def test_the_report_is_one_file_that_needs_nothing_from_outside():
    html = render_report(make_evaluation(("running", "sitting", "eating")), ["A <caveat>."])
    tags = Tags()
    tags.feed(html)
    for name, attributes in tags.found:
        assert not {"src", "href", "action"} & set(attributes), name
        assert name not in ("link", "iframe", "img", "base")
    assert html.count("plotly.js v") == 1
    assert 4e6 < len(html) < 8e6
    assert "A &lt;caveat&gt;." in html
    assert "200 photographs" in html
    result = make_evaluation(("running", "sitting", "eating")).result
    for threshold in (0.3, 0.95):
        answered = answer_above(result.confidence, result.correct, threshold)
        assert abstention_sentence(threshold, *answered) in html


def test_the_report_shows_the_worst_mistakes_and_opens_offline():
    picture = photo_bytes("running")
    asked = []

    def picture_of(filename):
        asked.append(filename)
        return picture if len(asked) > 1 else None

    evaluation = make_evaluation(("running", "sitting", "eating"))
    html = render_report(evaluation, [], picture_of)
    mistakes = evaluation.result.photographs().query("~correct").nlargest(30, "confidence")
    assert asked == mistakes["filename"].tolist()
    tags = Tags()
    tags.feed(html)
    sources = [attributes["src"] for name, attributes in tags.found if name == "img"]
    encoded = base64.b64encode(picture).decode()
    assert sources == [f"data:image/jpeg;base64,{encoded}"] * (len(asked) - 1)
    assert html.count("no picture") == 1
    assert len(html) < 8e6


def test_a_class_without_photographs_has_dashes_in_the_report():
    raw = make_evaluation(("running", "sitting")).raw
    wider = np.column_stack([raw.probabilities, np.zeros(raw.n)])
    names = (*raw.class_names, "eating")
    result = EvaluationResult.from_predictions(raw.label_names.tolist(), wider, names)
    html = render_report(Evaluation("set", "mine", "2024-05-01", result), [])
    row = html[html.index("<td>eating</td>") :].split("</tr>")[0]
    assert row.count("<td>–</td>") == 4
    assert "nan" not in row.lower()


def test_names_from_outside_are_text_in_the_report():
    html = render_report(make_evaluation(("running", EVIL, "eating")), [EVIL])
    assert EVIL not in html
    tags = Tags()
    tags.feed(html)
    assert "img" not in [name for name, _ in tags.found]
    assert all("onerror" not in attributes for _, attributes in tags.found)
