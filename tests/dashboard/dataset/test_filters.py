"""The browser's filters keep what they say."""

from types import SimpleNamespace

import pandas as pd
import pytest

from dashboard.dataset import actions, browser
from har_core.scan.issues import ISSUE_KINDS, issue_column

NAMES = ["plain", "excluded", "relabelled", "confirmed", "dark"]
PHOTOGRAPHS = pd.DataFrame({"filename": NAMES, "label": "running", "split": ""}).assign(
    **{issue_column(name): [n == name for n in NAMES] for name in ISSUE_KINDS},
    **{issue_column("outlier"): [None, True, None, False, False]},
)
VIEW = SimpleNamespace(
    photographs=PHOTOGRAPHS,
    scanned=True,
    has_finding=PHOTOGRAPHS["filename"].isin(["excluded", "dark"]),
    analysis=SimpleNamespace(table=pd.DataFrame({issue_column("outlier"): [True, False]})),
)
DECIDED = SimpleNamespace(
    current=dict.fromkeys(["excluded", "relabelled", "confirmed"]),
    excluded={"excluded"},
    relabelled={"relabelled": "sitting"},
    confirmed={"confirmed"},
)


@pytest.mark.parametrize(
    ("filters", "kept"),
    [
        ({"decided": "undecided"}, ["plain", "dark"]),
        ({"decided": "excluded"}, ["excluded"]),
        ({"decided": "relabelled"}, ["relabelled"]),
        ({"decided": "confirmed"}, ["confirmed"]),
        ({"finding": "any"}, ["excluded", "dark"]),
        ({"finding": "none"}, ["plain", "relabelled", "confirmed"]),
        ({"finding": "dark"}, ["dark"]),
        ({"finding": "outlier"}, ["excluded"]),
        ({"finding": "any", "decided": "undecided"}, ["dark"]),
    ],
)
def test_filters_keep_what_they_say(
    filters: dict[str, str], kept: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "current_decisions", lambda view: DECIDED)
    given = {"search": "", "label": "", "finding": "", "split": "", "decided": "any"} | filters
    rows = browser.filter_photographs(VIEW, **given)
    assert PHOTOGRAPHS["filename"][rows].tolist() == kept


def test_only_findings_that_there_are_can_be_chosen() -> None:
    assert browser._finding_options(VIEW) == ["", "any", "none", "dark", "outlier"]
    assert browser._finding_options(SimpleNamespace(scanned=False)) == [""]


def test_an_order_by_confidence_is_offered_where_there_is_one() -> None:
    rows = PHOTOGRAPHS.assign(confidence=float("nan"))
    assert browser._orders_of(SimpleNamespace(photographs=rows)) == ["Name"]
    rows.loc[0, "confidence"] = 0.5
    offered = browser._orders_of(SimpleNamespace(photographs=rows))
    assert offered == ["Name", "Model least sure", "Model most sure"]


def test_each_model_has_an_analysis_of_its_own() -> None:
    assert actions._analysis_key("photos", "one") != actions._analysis_key("photos", "other")
