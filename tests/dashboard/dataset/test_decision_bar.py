"""What was decided is said in words, and is about the photographs that were seen."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dashboard.dataset.decision_bar import decide_about, what_was_done
from har_core.dataset.decisions import Decision, load_decisions

TWO = ("a.jpg", "b.jpg")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([Decision("exclude", ("a.jpg",))], r"excluded a\.jpg"),
        ([Decision("exclude", TWO)], "excluded 2 photographs"),
        ([Decision("confirm", TWO)], "confirmed 2 photographs"),
        ([Decision("keep", TWO)], "took back what was decided about 2 photographs"),
        ([Decision("relabel", TWO, "using_laptop")], "relabelled 2 photographs to using laptop"),
        (
            [Decision("relabel", TWO, "run"), Decision("relabel", ("c.jpg",), "sit")],
            "relabelled 3 photographs to 2 classes",
        ),
        (
            [Decision("exclude", TWO), Decision("confirm", ("c.jpg",))],
            "decided about 3 photographs",
        ),
    ],
)
def test_what_was_done_is_said_with_its_count(steps: list[Decision], said: str) -> None:
    assert what_was_done(steps) == said


def test_a_decision_is_about_the_photograph_that_was_seen(tiny_dataset: Path) -> None:
    seen = SimpleNamespace(folder=tiny_dataset, sha256_by_name={"running_1.jpg": "0" * 64})
    decide_about(seen, "exclude", ["running_1.jpg"])
    (step,) = load_decisions(tiny_dataset).steps
    assert (step.filenames, step.sha256) == (("running_1.jpg",), ("0" * 64,))
