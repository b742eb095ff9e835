"""What a review asks about: which batch without labels, with which classes, in which order."""

from types import SimpleNamespace

import pandas as pd
import pytest

from dashboard.dataset import decision_bar
from dashboard.dataset.review import item, unlabelled
from dashboard.dataset.review.queue import Place


def view(folder: str) -> SimpleNamespace:
    photographs = pd.DataFrame({"filename": ["a.jpg"], "label": [""]})
    known = {"class_names": ["running"], "manifest": None, "photographs": photographs}
    return SimpleNamespace(folder=folder, model_folder="model", **known)


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return what is decided, which a test may change."""
    made = SimpleNamespace(relabelled={}, excluded=set(), confirmed=set(), current={})
    for module in (unlabelled, decision_bar):
        monkeypatch.setattr(module, "current_decisions", lambda _: made)
    monkeypatch.setattr(unlabelled.st, "session_state", {})
    return made


def test_a_class_that_somebody_has_made_can_be_chosen_again(decided: SimpleNamespace) -> None:
    assert decision_bar.class_names_of(view("photos")) == ["running"]
    decided.relabelled = {"a.jpg": "jumping"}
    assert decision_bar.class_names_of(view("photos")) == ["jumping", "running"]


def test_a_batch_stays_while_it_is_decided_about_but_is_one_dataset_s(
    decided: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        unlabelled, "_batch", lambda of, before: (of.folder, dict(before[0]), before[1])
    )
    nothing = ("photos", {}, set())
    assert unlabelled.load_batch(view("photos")) == nothing
    decided.relabelled, decided.excluded = {"b.jpg": "jumping"}, {"c.jpg"}
    decided.confirmed = {"a.jpg", "labelled.jpg"}  # the first one has been left without a label
    assert unlabelled.load_batch(view("photos")) == nothing
    later = ("others", {"b.jpg": "jumping"}, {"a.jpg", "c.jpg"})
    assert unlabelled.load_batch(view("others")) == later


def test_steps_lead_to_what_is_undecided_round_the_ends() -> None:
    current = dict.fromkeys(["b", "c", "elsewhere"])
    place = Place.find("abcde", SimpleNamespace(current=current), 1)
    assert (place.at, place.decided) == (3, {"b", "c"})
    assert (place.step(1), place.step(-1)) == (4, 0)
    alone = Place.find("abc", SimpleNamespace(current=current), 2)
    assert (alone.at, alone.step(1), alone.step(-1)) == (0, 0, 0)
    assert Place.find("bc", SimpleNamespace(current=current), 0).at == 2


def test_who_has_learned_from_a_photograph_is_said_to_be_no_second_opinion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(item.st, "markdown", said.append)
    model, neighbours = (SimpleNamespace(source=source) for source in ("model", "neighbours"))
    opinions = [(model, "using_laptop", 0.9, False), (neighbours, "running", 0.6, True)]
    item._show_opinions(view("photos"), opinions)
    of_model, of_neighbours = said[0].split("\n\n")
    assert of_model.startswith("**using laptop**") and "no second opinion" in of_model
    assert of_neighbours.startswith("**running**") and "learned" not in of_neighbours
