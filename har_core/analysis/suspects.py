"""Labels that the photographs contradict: confident learning on out-of-sample probabilities."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from har_core.analysis.folds import deal_folds, draw_to_learn
from har_core.analysis.standardisation import fit_scaler
from har_core.errors import DatasetError
from har_core.intervals import wilson_ends
from har_core.progress import Progress, silent
from har_core.threads import limited_threads
from har_core.wording import counted

N_FOLDS: Final = 5
# Of more photographs the regressions learn from a sample of so many, and of each class so many.
MOST_FITTED: Final = 20_000
LEAST_FITTED: Final = N_FOLDS**2
# Weight of the data against the penalty of the logistic regression, for the whole set: C times the
# number of photographs. On pooled MobileNetV2 features of the public HAR set with 5 % of the
# labels flipped, the ranking's average precision is 0.705 with all 1,280 features, and 0.63 with
# 256 principal components.
_DATA_WEIGHT: Final = 10.0
_MAX_ITERATIONS: Final = 300
# cleanlab hands its helpers what they work on in variables of its module: a second thread's
# photographs would take the place of the first one's.
_cleanlab_lock = threading.Lock()


@dataclass(frozen=True)
class LabelSuspects:
    """What confident learning says about the labels of some photographs.

    Parameters
    ----------
    ranking : DataFrame
        Most suspect first; index: row of the photograph. ``label`` (given), ``suggested`` (most
        probable class), ``label_score`` in [0, 1] (probability of the given label, low is bad),
        ``suggested_probability``, ``is_label_issue`` (bool; the suspects).
    by_class : DataFrame
        Index: class. ``photographs``, ``suspects``, ``noise`` (estimated share of photographs with
        this label to which the probabilities give another class, in [0, 1]: wrong labels, and
        actions that overlap) with ``noise_low`` and ``noise_high`` (95 % interval, Wilson 1927, of
        as many observations as near-duplicate groups leave, Kish 1965).
    """

    ranking: pd.DataFrame
    by_class: pd.DataFrame


def find_label_suspects(
    labels: pd.Series, probabilities: np.ndarray, class_names: Sequence[str], groups: np.ndarray
) -> LabelSuspects:
    """Rank labels by how much out-of-sample probabilities contradict them.

    Confident learning (Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in
    Dataset Labels", JAIR 70, 2021; arXiv:1911.00068) as cleanlab implements it.

    Parameters
    ----------
    labels : Series of str, length N
        Given labels, each in `class_names`; the index names the photographs.
    probabilities : ndarray of float, shape (N, C)
        Of a model that has not seen the photograph; rows sum to 1.
    class_names : sequence of str
        Of the C columns.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each; its photographs are one observation.

    Returns
    -------
    LabelSuspects
        Without a photograph both tables are empty.
    """
    from cleanlab.count import compute_confident_joint, estimate_joint
    from cleanlab.rank import get_label_quality_scores

    if not len(labels):
        return _nothing_to_judge()
    given = pd.Index(class_names).get_indexer(pd.Index(labels))
    # cleanlab wants every class to occur among the labels.
    present = np.unique(given)
    codes = np.searchsorted(present, given)
    kept = probabilities[:, present]
    kept = kept / np.maximum(kept.sum(axis=1, keepdims=True), 1e-12)
    names = np.asarray(class_names, dtype=object)[present]

    scores = get_label_quality_scores(codes, kept)
    if len(present) > 1:
        # Of cleanlab's rules this one flags a fifth less than the default, for 2 % of the recall.
        flagged = disputed_labels(codes, kept, "both")
        joint = estimate_joint(codes, kept, confident_joint=compute_confident_joint(codes, kept))
        noise = 1 - np.diag(joint) / joint.sum(axis=1)
    else:
        flagged = np.zeros(len(codes), bool)
        noise = np.zeros(len(present))
    best = kept.argmax(axis=1)
    ranking = pd.DataFrame(
        {
            "label": labels.to_numpy(dtype=object),
            "suggested": names[best],
            "label_score": scores,
            "suggested_probability": kept[np.arange(len(best)), best],
            "is_label_issue": flagged & (best != codes),
        },
        index=labels.index,
    ).sort_values(["is_label_issue", "label_score"], ascending=[False, True], kind="stable")
    sizes = pd.Series(1, index=pd.MultiIndex.from_arrays([codes, groups])).groupby(level=[0, 1])
    squares = sizes.size().pow(2).groupby(level=0).sum().to_numpy()
    observations = np.bincount(codes) ** 2 / squares
    return LabelSuspects(ranking, _by_class(ranking, names, np.clip(noise, 0, 1), observations))


def disputed_labels(
    codes: np.ndarray, probabilities: np.ndarray, rule: Literal["both", "prune_by_class"]
) -> np.ndarray:
    """Return which labels confident learning disputes, bool (N,); safe to call from threads.

    Parameters
    ----------
    codes : ndarray of int, shape (N,)
        Columns of the given labels; each column is one's, and there are at least two.
    probabilities : ndarray of float, shape (N, C)
    rule : {"both", "prune_by_class"}
        cleanlab's ``filter_by``.
    """
    from cleanlab.filter import find_label_issues

    with _cleanlab_lock:
        return find_label_issues(codes, probabilities, filter_by=rule, n_jobs=1)


def _by_class(
    ranking: pd.DataFrame, names: np.ndarray, noise: np.ndarray, observations: np.ndarray
) -> pd.DataFrame:
    """Sum up a ranking; see `LabelSuspects`."""
    of_class = ranking.groupby("label")["is_label_issue"]
    low, high = wilson_ends(noise, observations)
    table = pd.DataFrame(
        {
            "photographs": of_class.size().reindex(names).to_numpy(int),
            "suspects": of_class.sum().reindex(names).to_numpy(int),
            "noise": noise,
            "noise_low": low,
            "noise_high": high,
        },
        index=pd.Index(names, name="label"),
    )
    return table.sort_values("noise", ascending=False)


def _nothing_to_judge() -> LabelSuspects:
    texts, numbers = pd.Series([], dtype=object), pd.Series([], dtype=float)
    ranking = pd.DataFrame(
        {
            "label": texts,
            "suggested": texts,
            "label_score": numbers,
            "suggested_probability": numbers,
            "is_label_issue": pd.Series([], dtype=bool),
        }
    )
    counts = pd.Series([], dtype=int)
    shares = dict.fromkeys(("noise", "noise_low", "noise_high"), numbers)
    by_class = pd.DataFrame({"photographs": counts, "suspects": counts, **shares})
    return LabelSuspects(ranking, by_class.rename_axis("label"))


def cross_validated_probabilities(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    *,
    progress: Progress = silent,
) -> tuple[np.ndarray, np.ndarray]:
    """Predict every photograph by a logistic regression that was fitted without it.

    Five folds, stratified by class; near duplicates share a fold, so that no photograph is judged
    by its own copy. Of more than `MOST_FITTED` photographs the regressions learn from a sample.

    Parameters
    ----------
    features : ndarray of float32, shape (N, D)
        Feature vectors.
    labels : ndarray of str, shape (N,)
        Given labels.
    groups : ndarray of int, shape (N,)
        Near-duplicate group of each.
    progress : callable, optional
        Called with (what is being done, done, total) after every fold.

    Returns
    -------
    probabilities : ndarray of float64, shape (N, C)
        Rows sum to 1.
    class_names : ndarray of str, shape (C,)
        Sorted.

    Raises
    ------
    DatasetError
        If there are fewer than two classes, or a class has too few photographs that differ.
    """
    class_names, counts = np.unique(labels, return_counts=True)
    if len(class_names) < 2:
        raise DatasetError("Finding doubtful labels needs at least two classes.")
    if counts.min() < N_FOLDS:
        raise DatasetError(
            f"The class {str(class_names[counts.argmin()])!r} has only "
            f"{counted(counts.min(), 'usable photograph')}; "
            f"finding doubtful labels needs {N_FOLDS} of each class."
        )
    n_groups = [len(np.unique(groups[labels == name])) for name in class_names]
    if min(n_groups) < 2:
        alone = str(class_names[np.argmin(n_groups)])
        raise DatasetError(
            f"All photographs of the class {alone!r} are near duplicates of each other: none can "
            "be judged by the others. Add photographs that differ, or remove the class."
        )
    if len(np.unique(groups)) < N_FOLDS:
        raise DatasetError(
            f"The {len(labels)} photographs are only {len(np.unique(groups))} that differ, the "
            f"rest are near duplicates; finding doubtful labels needs {N_FOLDS}."
        )
    fold = deal_folds(labels, groups, N_FOLDS)
    of_class_and_fold = np.unique(labels, return_inverse=True)[1] * N_FOLDS + fold
    sample = draw_to_learn(of_class_and_fold, MOST_FITTED, LEAST_FITTED // N_FOLDS)
    models = fit_without_each(features[sample], labels[sample], fold[sample], progress)
    return judged_by_others(models, features, fold, class_names), class_names


def classes_to_judge(labels: pd.Series) -> pd.Index:
    """Return the labels that are large enough to be in every fold, ``""`` not among them.

    Parameters
    ----------
    labels : Series
        Of each photograph that counts.
    """
    counts = labels[labels.ne("")].value_counts()
    return counts.index[counts >= N_FOLDS]


def fit_without_each(
    features: np.ndarray, labels: np.ndarray, fold: np.ndarray, progress: Progress
) -> list[Any]:
    """Fit a regression for each fold, which learns from the others.

    Parameters
    ----------
    features, labels
        As in `fit_regression`.
    fold : ndarray of int, shape (N,)
        Below `N_FOLDS`.
    progress : callable
        Called with (what is being done, done, total).

    Raises
    ------
    DatasetError
        If all photographs of a class but one's are in one fold.
    """
    models = []
    for number in range(N_FOLDS):
        progress("Comparing labels", number, N_FOLDS)
        others = fold != number
        if len(np.unique(labels[others])) < 2:
            raise DatasetError(
                "Too many photographs are near duplicates: without some of them, photographs of "
                "one class alone are left to learn from. Add photographs that differ."
            )
        models.append(fit_regression(features[others], labels[others]))
    progress("Comparing labels", N_FOLDS, N_FOLDS)
    return models


def judged_by_others(
    models: Sequence[Any], features: np.ndarray, fold: np.ndarray, class_names: np.ndarray
) -> np.ndarray:
    """Return what the regressions of `fit_without_each` that have not seen a photograph say of it.

    Parameters
    ----------
    models : sequence
    features : ndarray of float32, shape (M, D)
    fold : ndarray of int, shape (M,)
    class_names : ndarray of str, shape (C,)
        Sorted.

    Returns
    -------
    ndarray of float64, shape (M, C)
        Rows sum to 1.
    """
    probabilities = np.zeros((len(features), len(class_names)))
    for number, model in enumerate(models):
        unseen = np.flatnonzero(fold == number)
        if len(unseen):
            # A class may be missing from a fold whose photographs are all duplicates of each other.
            columns = np.searchsorted(class_names, model.classes_)
            probabilities[np.ix_(unseen, columns)] = model.predict_proba(features[unseen])
    return probabilities


def fit_regression(
    features: np.ndarray, labels: np.ndarray, data_weight: float = _DATA_WEIGHT
) -> Any:
    """Fit the logistic regression that judges photographs, on standardised features.

    The penalised weights lie in the span of the photographs: of less than half as many photographs
    as features they are fitted in that span, which gives the same regression in half the time.

    Parameters
    ----------
    features : ndarray of float32, shape (N, D)
    labels : ndarray of str, shape (N,)
    data_weight : float, default 10
        Of all photographs together against the penalty of the weights.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With ``classes_`` and ``predict_proba``.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    scaler = fit_scaler(features)
    regression = LogisticRegression(C=data_weight / len(features), max_iter=_MAX_ITERATIONS)
    scaled = scaler.transform(features)
    # Hundreds of products by a few classes' weights: threads wait for each other longer than they
    # compute, beside other work twenty times as long.
    with limited_threads(1):
        if 2 * len(scaled) > scaled.shape[1]:  # finding the span would take longer than it saves
            return make_pipeline(scaler, regression.fit(scaled, labels))
        basis = _span(scaled)
        rotate = FunctionTransformer(lambda rows: rows @ basis)
        return make_pipeline(scaler, rotate, regression.fit(scaled @ basis, labels))


def _span(rows: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, shape (D, at most N), of the span of N rows of length D > N.

    Of rows of zeros alone it is one of them, (D, 1).
    """
    squares, directions = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    kept = squares > squares[-1] * np.finfo(np.float32).eps * len(rows)
    if not kept.any():
        return rows.T[:, :1]
    basis = rows.T @ (directions[:, kept] / np.sqrt(squares[kept]))
    return basis.astype(rows.dtype)
