"""The findings show the worst first, groups whole, and in words what was found."""

from types import SimpleNamespace

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.dataset import findings
from har_core.scan.issues import ISSUE_KINDS, issue_column, score_column
from tests.patience import PATIENCE_S

_N = 20
_DARK = {3: 0.3, 5: 0.1, 8: 0.2}
PHOTOGRAPHS = pd.DataFrame(
    {
        "filename": [f"{n}.jpg" for n in range(_N)],
        "label": "running",
        "duplicate_group": pd.array([n // 2 for n in range(_N)], dtype="Int64"),
        **{issue_column(name): False for name in ISSUE_KINDS},
        issue_column("dark"): [n in _DARK for n in range(_N)],
        score_column("dark"): [_DARK.get(n, 1.0) for n in range(_N)],
        issue_column("near_duplicates"): True,
    }
)
VIEW = SimpleNamespace(
    photographs=PHOTOGRAPHS,
    analysis=SimpleNamespace(table=pd.DataFrame({issue_column("outlier"): [True, False]})),
    has_finding=pd.Series(True, PHOTOGRAPHS.index),
)


def page() -> None:
    from tests.dashboard.dataset.test_findings import VIEW, findings

    findings.show_findings(VIEW)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Collect what is drawn: of each gallery, or each group, the filenames."""
    drawn: list[list[str]] = []

    def draw(view, rows, **_) -> list[str]:
        drawn.append(rows["filename"].tolist())
        return []

    monkeypatch.setattr(findings, "show_tiles", draw)
    monkeypatch.setattr(
        findings,
        "show_groups",
        lambda view, groups, **_: [name for rows in groups.values() for name in draw(view, rows)],
    )
    monkeypatch.setattr(findings, "show_decision_bar", lambda *_, **__: None)
    return drawn


def test_the_worst_come_first_and_an_outlier_is_counted(shown: list[list[str]]) -> None:
    app = AppTest.from_function(page, default_timeout=PATIENCE_S)
    app.session_state["finding"] = "dark"
    app.run()
    assert not app.exception
    assert shown == [["5.jpg", "8.jpg", "3.jpg"]]
    assert "Outlier" in app.pills(key="finding").options


def test_groups_are_whole_a_page_of_them_at_a_time(shown: list[list[str]]) -> None:
    assert not AppTest.from_function(page, default_timeout=PATIENCE_S).run().exception
    assert shown == [[f"{n}.jpg", f"{n + 1}.jpg"] for n in range(0, 16, 2)]


FOUND = {"width": 640, "height": 9, "split": "", "copies": 1, "correlation": 0.973}


@pytest.mark.parametrize(
    ("issue", "row", "said"),
    [
        ("unreadable", {"reason": "html"}, "web page"),
        ("wrong_extension", {"content": "PNG"}, "holds PNG"),
        ("missing", {"filename": "a.jpg"}, "a.jpg"),
        ("odd_size", {}, "640 × 9 pixels"),
        ("dark", {score_column("dark"): 0.25}, "0.25 of 1 (0 odd, 1 usual)"),
    ],
)
def test_what_was_found_is_said(issue: str, row: dict[str, object], said: str) -> None:
    assert findings._explain(pd.Series(FOUND | row), issue) == said


def test_a_copy_is_told_from_what_is_alike() -> None:
    alike = findings._compare(pd.Series(FOUND)).replace("\N{NO-BREAK SPACE}", " ")
    assert alike == "97 % alike · 640×9"
    copy = findings._compare(pd.Series(FOUND | {"copies": 2, "split": "test"}))
    assert copy == "test · exact copy · 640×9"
