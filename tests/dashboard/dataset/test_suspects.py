"""Suggested labels are accepted together, each photograph its own."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard.dataset import suspects
from har_core.dataset.decisions import load_decisions, undo


def test_each_photograph_gets_its_own_suggestion_and_all_are_undone_as_one(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"running_0.jpg": "sitting", "sitting_0.jpg": "running", "running_1.jpg": "sitting"}
    seen = SimpleNamespace(folder=tiny_dataset, sha256_by_name={"running_0.jpg": "0" * 64})
    monkeypatch.setattr(
        suspects, "remembered_suggestions", lambda view: wanted | {"running_2.jpg": "sitting"}
    )
    suspects._accept(seen, [*wanted, "unheard_of.jpg"])
    decided = load_decisions(tiny_dataset)
    assert decided.relabelled == wanted
    assert "0" * 64 in [sha256 for step in decided.steps for sha256 in step.sha256]
    undo(tiny_dataset)
    assert load_decisions(tiny_dataset).steps == ()
