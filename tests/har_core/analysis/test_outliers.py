"""Outliers and what they are found by: principal axes, exact neighbours."""

import numpy as np
import pytest

from har_core.analysis import components as components_module
from har_core.analysis import neighbours
from har_core.analysis.components import fit_axes, principal_components
from har_core.analysis.neighbours import nearest_others
from har_core.analysis.outliers import find_outliers, score_outliers


def vectors_like_features(n: int, width: int) -> np.ndarray:
    """Return vectors whose variance falls off as that of a network's features, not centred."""
    rng = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(rng.normal(size=(width, width)))
    scale = np.arange(1, width + 1) ** -0.7
    return (5 + (rng.normal(size=(n, width)) * scale) @ rotation).astype(np.float32)


@pytest.mark.parametrize(("n", "width"), [(400, 200), (90, 300), (30, 200), (200, 7)])
def test_components_keep_the_variance_that_exact_ones_keep(n: int, width: int) -> None:
    vectors = vectors_like_features(n, width)
    exact = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)[:50]
    axes = fit_axes(vectors)
    found = axes.transform(vectors)
    assert found.shape == (n, min(50, n, width))
    different = axes.directions[: n - 1]  # as many as the vectors can differ in
    np.testing.assert_allclose(different @ different.T, np.eye(len(different)), atol=1e-5)
    lengths = np.linalg.norm(found, axis=0)
    assert np.square(lengths).sum() >= 0.998 * np.square(exact).sum()
    np.testing.assert_allclose(lengths[:5], exact[:5], rtol=1e-3)
    np.testing.assert_array_equal(principal_components(vectors), found)


def test_axes_of_many_are_those_of_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_like_features(600, 40)
    whole = principal_components(vectors)
    monkeypatch.setattr(components_module, "_MOST_FITTED", 300)
    monkeypatch.setattr(components_module, "_AT_ONCE", 256)
    sampled = principal_components(vectors)
    assert sampled.shape == whole.shape
    assert np.square(sampled).sum() == pytest.approx(np.square(whole).sum(), rel=0.01)


def test_photographs_that_do_not_differ_have_components_of_zero() -> None:
    np.testing.assert_allclose(principal_components(np.full((12, 80), 3, np.float32)), 0)


@pytest.mark.parametrize(("n", "voting"), [(40, 40), (40, 9), (900, 900), (900, 700)])
def test_nearest_are_those_of_a_full_sort(
    n: int, voting: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "_SET", 8)
    monkeypatch.setattr(neighbours, "_ELEMENTS", 10_000)
    rng = np.random.default_rng(0)
    components = rng.normal(size=(n, 12)).astype(np.float32)
    groups = rng.integers(0, n // 2, n)
    voters = np.sort(rng.choice(n, voting, replace=False))
    rows = rng.choice(n, n // 2, replace=False)
    found = nearest_others(components, voters, groups, rows)
    assert found.shape == (len(rows), min(10, voting))
    distances = np.linalg.norm(components[rows, np.newaxis] - components[voters], axis=2)
    distances[groups[rows][:, np.newaxis] == groups[voters]] = np.inf
    order = np.argsort(distances, axis=1)[:, : found.shape[1]]
    known = np.isfinite(np.take_along_axis(distances, order, axis=1))
    np.testing.assert_array_equal(found, np.where(known, voters[order], -1))


def test_outlier_scores_are_those_of_cleanlab() -> None:
    from cleanlab.outlier import OutOfDistribution

    components = principal_components(vectors_like_features(300, 60))
    components[:40:2] = components[1:41:2]  # copies are at no distance
    expected = OutOfDistribution({"k": 10}).fit_score(features=components, verbose=False)
    np.testing.assert_allclose(score_outliers(components), expected, atol=1e-5)


def test_scores_of_few_and_of_copies_alone_are_finite() -> None:
    assert score_outliers(np.eye(4, dtype=np.float32)).tolist() == [pytest.approx(np.exp(-1))] * 4
    np.testing.assert_allclose(score_outliers(np.ones((20, 4), np.float32)), 1, atol=1e-6)


def test_oddest_photographs_are_outliers() -> None:
    scores = np.linspace(0.1, 1, 1000)
    assert find_outliers(scores).sum() == 5
    assert find_outliers(scores)[:5].all()
    assert not find_outliers(scores[:100]).any()
