"""The browser of scored photographs keeps and sorts what it says."""

from types import SimpleNamespace

import numpy as np
import pytest

from dashboard.results.browser import find_rows
from har_core.scale.opened.table import VERDICTS

NAN = float("nan")
TABLE = SimpleNamespace(
    n=5,
    class_names=("running", "sitting"),
    reasons=("broken", "html"),
    action=np.array([0, 1, 1, -1, -1]),
    answered=np.array([True, True, True, False, False]),
    verdict=np.array([*map(VERDICTS.index, ("answered", "unsure", "foreign")), -1, -1]),
    warned=np.array([False, True, False, False, False]),
    reason=np.array([-1, -1, -1, 0, 1]),
    confidence=np.array([0.9, 0.3, 0.6, NAN, NAN]),
    novelty=np.array([0.1, 0.5, 0.9, NAN, NAN]),
    containing=lambda text: np.array([text in f"{n}.jpg" for n in range(5)]),
)


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"action": "sitting"}, [1, 2]),
        ({"kind": "answered"}, [0]),
        ({"kind": "foreign"}, [2]),
        ({"kind": "warned"}, [1]),
        ({"kind": "failed"}, [3, 4]),
        ({"kind": "reason:html"}, [4]),
        ({"search": "2."}, [2]),
        ({"order": "Least sure"}, [1, 2, 0, 3, 4]),
        ({"order": "Most sure"}, [0, 2, 1, 3, 4]),
        ({"order": "Least like what it knows"}, [2, 1, 0, 3, 4]),
        ({"order": "Most sure", "action": "sitting"}, [2, 1]),
    ],
)
def test_rows_match_the_filters_in_the_order_that_is_asked_for(
    filters: dict[str, str], rows: list[int]
) -> None:
    assert find_rows(TABLE, **filters).tolist() == rows
