"""Which photographs of a scan are copies, and how near the nearest is."""

import numpy as np
import pandas as pd

from har_core.scan.duplicates import add_duplicates


def test_each_photograph_has_its_nearest_copy_and_the_group_of_all() -> None:
    photographs = pd.DataFrame(
        {
            "pixels": ["a", "b", "c", "a", None, "white", "d", "white"],
            "plain": [0, 0, 0, 0, None, 1, 0, 1],
        }
    )
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    likeness = np.array([0.99, 0.93, 0.95], np.float32)
    add_duplicates(photographs, lambda rows: (pairs, likeness))
    expected = [0.99, 0.99, 0.95, 0.99, 0, 0, 0, 0]
    np.testing.assert_allclose(photographs["correlation"], expected, rtol=1e-6)
    assert photographs["copies"].tolist() == [2, 1, 1, 2, 1, 1, 1, 1]
    assert photographs["duplicate_group"].fillna(0).tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
