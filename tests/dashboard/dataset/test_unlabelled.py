"""Which batch of photographs without a label is asked about, and with which classes."""

from types import SimpleNamespace

import pandas as pd
import pytest

from dashboard.dataset.review import unlabelled


def view(folder: str) -> SimpleNamespace:
    photographs = pd.DataFrame({"filename": ["a.jpg"], "label": [""]})
    known = {"class_names": ["running"], "manifest": None, "photographs": photographs}
    return SimpleNamespace(folder=folder, model_folder="model", **known)


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return what is decided, which a test may change."""
    made = SimpleNamespace(relabelled={}, excluded=set(), confirmed=set(), current={})
    monkeypatch.setattr(unlabelled, "current_decisions", lambda _: made)
    monkeypatch.setattr(unlabelled.st, "session_state", {})
    return made


def test_a_class_that_somebody_has_made_can_be_chosen_again(decided: SimpleNamespace) -> None:
    assert unlabelled.class_names_of(view("photos")) == ["running"]
    decided.relabelled = {"a.jpg": "jumping"}
    assert unlabelled.class_names_of(view("photos")) == ["jumping", "running"]


def test_a_batch_stays_while_it_is_decided_about_but_is_one_dataset_s(
    decided: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unlabelled, "_batch", lambda of, before: (of.folder, dict(before[0])))
    assert unlabelled.load_batch(view("photos")) == ("photos", {})
    decided.relabelled = {"a.jpg": "jumping"}
    assert unlabelled.load_batch(view("photos")) == ("photos", {})
    assert unlabelled.load_batch(view("others")) == ("others", {"a.jpg": "jumping"})
