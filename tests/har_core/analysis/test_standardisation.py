"""What few photographs hardly ever have does not decide of others, whatever is fitted."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from har_core.analysis.standardisation import fit_scaler
from har_core.analysis.suspects import fit_regression
from har_core.training.quick.head import fit_linear_head

Fit = Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]]


@pytest.mark.parametrize(
    "fit",
    [
        lambda features, codes: fit_linear_head(features, codes).probabilities,
        lambda features, codes: fit_regression(features, codes).predict_proba,
    ],
    ids=["head of a quick model", "regression that judges labels"],
)
@pytest.mark.parametrize("n_constant", [0, 20])
def test_feature_that_few_photographs_hardly_have_does_not_decide_of_others(
    fit: Fit, n_constant: int
) -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(40) % 2
    features = rng.normal(size=(40, 8)).astype(np.float32)
    features[:, 0] += 4 * codes
    features[:, 7] = 0
    features[3, 7] = 1e-4
    features = np.hstack([features, np.full((40, n_constant), 3, np.float32)])
    probabilities = fit(features, codes)
    others = features[:2].copy()
    others[:, 7] = 1
    np.testing.assert_allclose(probabilities(others), probabilities(features[:2]), atol=0.2)


@pytest.mark.parametrize("noise", [0, 1e-9], ids=["exactly", "but for rounding"])
def test_constant_features_leave_the_scale_of_the_others_alone(noise: float) -> None:
    rng = np.random.default_rng(0)
    varying = rng.normal(size=(40, 4)) * [0.0001, 0.01, 0.01, 0.01]
    constant = 3 + noise * rng.normal(size=(40, 9))
    scaler = fit_scaler(np.hstack([varying, constant]))
    least = 0.1 * np.median(varying.std(axis=0))
    expected = np.maximum(varying.std(axis=0), least)
    np.testing.assert_allclose(scaler.scale_[:4], expected, rtol=1e-5)
    scaled = scaler.transform(np.hstack([varying, constant]))
    assert np.abs(scaled[:, 4:]).max() < 1e-5


def test_features_that_are_all_constant_are_only_shifted() -> None:
    scaled = fit_scaler(np.full((5, 3), 2, np.float32)).transform(np.full((1, 3), 4, np.float32))
    np.testing.assert_allclose(scaled, 2)


@pytest.mark.parametrize("repeated", [1, 3])
def test_regression_of_fewer_photographs_than_features_is_that_of_more(repeated: int) -> None:
    rng = np.random.default_rng(0)
    codes = np.arange(60) % 3
    features = rng.normal(size=(60, 200)).astype(np.float32)
    features[:, :3] += 2 * np.eye(3, dtype=np.float32)[codes]
    features = features[:20].repeat(repeated, axis=0) if repeated > 1 else features
    codes = codes[:20].repeat(repeated) if repeated > 1 else codes
    others = rng.normal(size=(30, 200)).astype(np.float32)
    in_span = fit_regression(features, codes)
    assert len(in_span) == 3
    scaler = fit_scaler(features)
    plain = LogisticRegression(C=10 / len(features), max_iter=1000, tol=1e-6)
    plain.fit(scaler.transform(features), codes)
    np.testing.assert_allclose(
        in_span.predict_proba(others), plain.predict_proba(scaler.transform(others)), atol=0.01
    )


def test_regression_of_photographs_that_do_not_differ_gives_the_shares_of_the_labels() -> None:
    features = np.full((8, 40), 2, np.float32)
    shares = fit_regression(features, np.arange(8) % 4 // 3).predict_proba(features[:1])
    np.testing.assert_allclose(shares, [[0.75, 0.25]], atol=1e-3)
