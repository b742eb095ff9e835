"""The Dataset page sorts its photographs once, however often it is drawn."""

import numpy as np
import pandas as pd
import pytest

from dashboard.dataset.browser import sort_photographs

ROWS = pd.DataFrame(
    {
        "filename": ["b10.jpg", "b2.jpg", "a7.jpg", "b2_1.jpg"],
        "confidence": [np.nan, 0.2, 0.9, 0.2],
        "width": [10, 20, 30, 5],
        "height": [10, 1, 30, 5],
        "size_bytes": [5, 7, 6, 1],
        "sharpness": [0.1, 0.4, 0.3, np.nan],
        "brightness": [0.2, 0.1, 0.3, np.nan],
        "outlier_score": [0.9, np.nan, 0.1, 0.5],  # 0 is odd
    },
    index=[4, 7, 1, 9],
)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("Name", [2, 1, 0, 3]),
        ("Model least sure", [1, 3, 2, 0]),
        ("Model most sure", [2, 1, 3, 0]),
        ("Largest file", [1, 2, 0, 3]),
        ("Smallest file", [3, 0, 2, 1]),
        ("Fewest pixels", [1, 3, 0, 2]),
        ("Most pixels", [2, 0, 3, 1]),
        ("Least sharp", [0, 2, 1, 3]),
        ("Darkest", [1, 0, 2, 3]),
        ("Brightest", [2, 0, 1, 3]),
        ("Oddest (outliers)", [2, 3, 0, 1]),
    ],
)
def test_order_is_of_positions_and_those_without_a_value_come_last(
    order: str, expected: list[int]
) -> None:
    assert sort_photographs(ROWS, order).tolist() == expected
