import io

import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.keras_io.feature_outputs import Features
from har_core.model.novelty.detector import FALSE_ALARMS, FEWEST_HELD_OUT, fit_novelty, read_novelty
from har_core.model.novelty.neighbours import Neighbours


def features(n, seed, shift=0.0):
    """Draw means (N, 8), peaks (N, 100) and spreads (N, 90) that differ in a few directions."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(5, 198))
    drawn = rng.normal(size=(n, 5)) @ mixing + 0.1 * rng.normal(size=(n, 198)) + 20
    drawn[:, [*range(4, 40), *range(120, 150)]] += shift
    return Features(*np.split(drawn.astype(np.float32), [8, 108], axis=1))


@pytest.fixture(scope="module")
def detector():
    return fit_novelty(features(600, 1), np.arange(600) * 2, features(400, 2), "validation")


def test_few_ordinary_pictures_and_all_foreign_ones_are_flagged(detector):
    ordinary = detector.judge(features(2000, 3))
    assert 0.01 < (~ordinary.in_scope).mean() < 0.08
    foreign = detector.judge(features(200, 4, shift=6.0))
    assert not foreign.in_scope.any()
    assert (foreign.value == 1).all()


def test_novelty_is_the_share_of_held_out_pictures_that_look_more_ordinary(detector):
    held_out = np.sort(detector.judge(features(400, 2)).value)
    assert np.array_equal(held_out, np.arange(400) / 400)
    value = detector.judge(features(2000, 3)).value
    assert value.min() >= 0 and value.max() <= 1
    assert np.isclose(value.mean(), 0.5, atol=0.05)


def test_threshold_leaves_the_promised_share_of_held_out_pictures(detector):
    """With a further picture above it, they are just not more than that share."""
    above = int((detector.held_out > detector.threshold).sum())
    assert above + 1 <= FALSE_ALARMS * 401 < above + 2
    assert (~detector.judge(features(400, 2)).in_scope).sum() == above


def test_a_file_gives_the_same_answers(detector):
    again = read_novelty(detector.to_bytes(), "novelty.npz")
    pictures = features(50, 5)
    assert np.allclose(detector.score(pictures), again.score(pictures), atol=0.03)
    assert again.split == "validation"
    assert len(detector.to_bytes()) < 100_000


def test_nearest_of_a_training_picture_is_itself(detector):
    peaks = features(600, 1).peaks
    assert [int(detector.nearest(peaks[i], 1)[0]) for i in (0, 7, 599)] == [0, 14, 1198]
    assert len(set(detector.nearest(peaks[3], 3))) == 3


@pytest.mark.parametrize(("n", "tells"), [(FEWEST_HELD_OUT - 1, False), (FEWEST_HELD_OUT, True)])
def test_too_few_held_out_pictures_tell_nothing(n, tells):
    fitted = fit_novelty(features(100, 1), np.arange(100), features(n, 2), "validation")
    assert (fitted is not None) == tells
    if fitted is not None:
        assert fitted.threshold <= fitted.held_out.max()


def test_each_of_the_three_features_alone_gives_a_picture_away(detector):
    ordinary, foreign = features(50, 6), features(50, 6, shift=6.0)
    for name in Features._fields:
        odd = ordinary._replace(**{name: getattr(foreign, name)})
        assert np.mean(detector.score(odd)) > np.mean(detector.score(ordinary)) + 1


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_features_that_are_not_finite_have_no_novelty(detector, odd):
    pictures = features(3, 7)
    for name in Features._fields:
        broken = getattr(pictures, name).copy()
        broken[1, 0] = odd
        judged = detector.judge(pictures._replace(**{name: broken}))
        assert np.isnan(judged.value).tolist() == [False, True, False]


def test_file_of_an_earlier_format_cannot_tell_and_of_a_later_one_is_refused(detector):
    def rewritten(number):
        stored = dict(np.load(io.BytesIO(detector.to_bytes())))
        buffer = io.BytesIO()
        np.savez(buffer, **{**stored, "format": number})
        return buffer.getvalue()

    assert read_novelty(rewritten(1), "novelty.npz") is None
    with pytest.raises(ModelBundleError, match="its format is 3"):
        read_novelty(rewritten(3), "novelty.npz")


def test_fewer_pictures_than_features_still_have_a_detector():
    fitted = fit_novelty(features(7, 1), np.arange(7), features(60, 2), "validation")
    assert np.isfinite(fitted.score(features(20, 3))).all()
    assert fit_novelty(features(1, 1), np.arange(1), features(60, 2), "validation") is None


def test_features_that_never_vary_or_are_nothing_still_have_a_score():
    training, held_out = features(100, 1), features(60, 2)
    for means in (training.means, held_out.means):
        means[:, 0] = 0
    fitted = fit_novelty(training, np.arange(100), held_out, "validation")
    nothing = Features(*(np.zeros_like(part[:1]) for part in held_out))
    assert np.isfinite(fitted.score(nothing)).all()


def test_stored_references_keep_their_signs():
    kept = Neighbours(np.zeros(2), np.eye(2), np.array([[-2.0, 1.0]]), np.zeros(1))
    read = Neighbours.from_arrays(kept.arrays("peaks"), "peaks")
    assert np.allclose(read.references, kept.references, atol=0.01)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_damaged_file_is_refused_by_name(content):
    with pytest.raises(ModelBundleError, match=r"some/novelty\.npz"):
        read_novelty(content, "some/novelty.npz")


def test_a_picture_s_score_does_not_depend_on_what_is_judged_with_it(detector):
    pictures = features(40, 8)
    alone = [detector.score(pictures.take(slice(i, i + 1)))[0] for i in range(40)]
    assert detector.score(pictures) == alone


def test_score_is_the_sum_of_a_mahalanobis_distance_and_two_to_the_nearest_photograph(detector):
    pictures = features(20, 9)
    standard = (pictures.means - detector.centre) / detector.scale
    along = (standard @ detector.directions) ** 2
    beyond = (standard**2).sum(axis=1) - along.sum(axis=1)
    far = np.column_stack([along, beyond]) @ (1 / detector.variances)
    parts = [np.sqrt(far)]
    for neighbours, rows in (
        (detector.peaks, pictures.peaks),
        (detector.spreads, pictures.spreads),
    ):
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True) - neighbours.centre
        apart = (unit @ neighbours.basis)[:, np.newaxis] - neighbours.references
        squared = (apart**2).sum(axis=2) + neighbours.remainders
        left_out = (unit**2).sum(axis=1) - ((unit @ neighbours.basis) ** 2).sum(axis=1)
        parts.append(squared.min(axis=1) + left_out)
    centres, deviations = detector.standards
    expected = ((np.transpose(parts) - centres) / deviations).sum(axis=1)
    assert np.allclose(detector.score(pictures), expected, atol=1e-3)
