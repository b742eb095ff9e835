"""The interval of a share is Wilson's, of one share and of many."""

import numpy as np
import pytest
from scipy.stats import binomtest

from har_core.intervals import wilson_ends


def test_ends_are_those_of_scipy_for_one_share_and_for_many() -> None:
    low, high = wilson_ends(np.array([0.0, 0.1, 1.0]), np.array([20, 40, 7]))
    for place, (found, n) in enumerate([(0, 20), (4, 40), (7, 7)]):
        ends = binomtest(found, n).proportion_ci(method="wilson")
        assert (low[place], high[place]) == pytest.approx((ends.low, ends.high), abs=1e-12)
        assert wilson_ends(found / n, n) == (low[place], high[place])


def test_fewer_observations_are_less_certain_also_between_integers() -> None:
    low, high = wilson_ends(0.3, np.array([4.0, 4.5, 5.0]))
    assert (np.diff(low) > 0).all() and (np.diff(high) < 0).all()
