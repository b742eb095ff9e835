"""A model's view of a whole dataset: doubtful labels, outliers and a map, computed once."""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.analysis.components import principal_components
from har_core.analysis.features import compute_features
from har_core.analysis.neighbours import N_NEIGHBOURS, nearest_others
from har_core.analysis.outliers import find_outliers, score_outliers
from har_core.analysis.suspects import classes_to_judge, cross_validated_probabilities
from har_core.errors import DatasetError
from har_core.keras_io.feature_outputs import as_kept
from har_core.model.manifest import ONNX_FILE, BundleManifest, read_manifest
from har_core.progress import Progress, silent
from har_core.storage.cache import cache_dir, load_arrays, store_arrays
from har_core.threads import cores, limited_threads

_VERSION: Final = 7
_STORED: Final = (
    *("seen", "model_probabilities", "probabilities", "labelled", "class_names"),
    *("outlier_scores", "coordinates", "components", "neighbours"),
)
_PERPLEXITY: Final = 30
_EXACT_BELOW: Final = 400
# t-SNE takes about a minute for these; of larger sets it arranges a sample.
MAX_ON_MAP: Final = 12_000


@dataclass(frozen=True)
class Analysis:
    """What a model's feature vectors say about a scanned dataset.

    Parameters
    ----------
    table : DataFrame
        One row per usable photograph of which the network gives features (index: its row in the
        scan): ``prediction``, ``confidence`` of the model in [0, 1]; ``outlier_score`` in [0, 1]
        (low is far from all others), ``is_outlier_issue`` (bool); ``x``, ``y`` on the map (NaN if
        not in its sample).
    probabilities : ndarray of float64, shape (M, C)
        Cross-validated, of the labelled photographs.
    labelled : ndarray of int64, shape (M,)
        Their rows in the scan. Classes of fewer than `har_core.analysis.suspects.N_FOLDS`
        photographs, or of near duplicates alone, are left out; none is left where fewer than two
        classes remain, or too few photographs that differ.
    class_names : ndarray of str, shape (C,)
        Of the columns.
    model_probabilities : ndarray of float64, shape (U, K)
        What the model itself says of the U photographs of `table`, as it shows it.
    components : ndarray of float32, shape (U, at most 50)
        Principal components of their feature vectors: alike photographs are near each other.
    neighbours : ndarray of int32, shape (U, at most 10)
        The labelled photographs that are most like each, no duplicate of it, nearest first: their
        places among the U; -1 where there are no more.
    """

    table: pd.DataFrame
    probabilities: np.ndarray
    labelled: np.ndarray
    class_names: np.ndarray
    model_probabilities: np.ndarray
    components: np.ndarray
    neighbours: np.ndarray


def load_analysis(manifest: BundleManifest, photographs: pd.DataFrame) -> Analysis | None:
    """Return the stored analysis of exactly these photographs and labels by this model, if any.

    Parameters
    ----------
    manifest : BundleManifest
        Of the model.
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`.
    """
    stored = load_arrays(_path(manifest, photographs))
    if stored is None or not set(_STORED) <= stored.keys():
        return None
    return _assemble(photographs, manifest, stored)


def analyse_photographs(
    folder: Path, photographs: pd.DataFrame, *, progress: Progress = silent
) -> Analysis:
    """Run a model over a dataset and derive doubtful labels, outliers and a map; remember them.

    Parameters
    ----------
    folder : Path
        Model bundle with an ONNX graph.
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`.
    progress : callable, optional
        Called with (what is being done, done, total); what it raises cancels the work. Features
        computed until then are kept.

    Returns
    -------
    Analysis

    Raises
    ------
    ModelBundleError
        If the bundle cannot be used for this.
    DatasetError
        If there are too few photographs.
    """
    manifest = read_manifest(folder)
    features = compute_features(folder, photographs, progress=progress)
    every = _usable_rows(photographs)
    found = features.rows_of(photographs["sha256"].iloc[every].tolist())
    seen = np.flatnonzero(found >= 0)
    usable, found = every[seen], found[seen]
    vectors = features.features[found]
    if len(usable) <= N_NEIGHBOURS:
        raise DatasetError(
            f"Comparing photographs needs more than {N_NEIGHBOURS} usable ones; there are "
            f"{len(usable)}."
        )
    labelled = _judged_rows(photographs, usable)
    groups = group_numbers(photographs)
    # Half of the processor stays free for pages. More threads than free cores are also slower by
    # far than fewer: each step waits for the last of them.
    with limited_threads(max(1, cores() // 2)):
        probabilities, class_names = np.zeros((0, 0)), np.array([], dtype=str)
        try:
            probabilities, class_names = cross_validated_probabilities(
                vectors if len(labelled) == len(vectors) else vectors[np.isin(usable, labelled)],
                photographs["label"].to_numpy(dtype=str)[labelled],
                groups[labelled],
                progress=progress,
            )
        except DatasetError:  # too few that differ; the map and the outliers can do without
            labelled = labelled[:0]
        progress("Looking for outliers", 0, len(usable))
        components = principal_components(vectors)
        outlier_scores = score_outliers(
            components, report=partial(progress, "Looking for outliers")
        )
        kept = as_kept(components)
        neighbours = nearest_others(
            kept.astype(np.float32),  # as whoever looks again has them
            np.flatnonzero(photographs["label"].iloc[usable].ne("")),
            groups[usable],
            np.arange(len(usable)),
            report=partial(progress, "Looking for neighbours"),
        )
        progress("Arranging the map", 0, 1)
        coordinates = arrange(components)
    stored = {
        # Among the usable ones: their rows in the scan change with the unusable ones between them.
        "seen": seen,
        "model_probabilities": features.probabilities[found].astype(np.float32),
        "probabilities": probabilities.astype(np.float32),
        "labelled": np.searchsorted(usable, labelled),
        "class_names": class_names,
        "outlier_scores": outlier_scores,
        "coordinates": coordinates,
        "components": kept,
        "neighbours": neighbours.astype(np.int32),
    }
    store_arrays(_path(manifest, photographs), stored)
    return _assemble(photographs, manifest, stored)


def _judged_rows(photographs: pd.DataFrame, usable: np.ndarray) -> np.ndarray:
    """Return those of the usable rows whose label can be cross-validated."""
    labels = photographs["label"].iloc[usable]
    n_groups = pd.Series(group_numbers(photographs)[usable]).groupby(labels.to_numpy()).nunique()
    # One misspelt label, or one burst, would otherwise keep all others from being judged.
    judged = classes_to_judge(labels).intersection(n_groups.index[n_groups > 1])
    return usable[labels.isin(judged).to_numpy()]


def group_numbers(photographs: pd.DataFrame) -> np.ndarray:
    """Return a number per photograph that only duplicates share, int64, shape (N,)."""
    groups = photographs["duplicate_group"]
    shared = groups.fillna(0).to_numpy(np.int64)
    # Some of a scan's photographs may have numbers beyond their own count.
    alone = shared.max(initial=0) + 1 + np.arange(len(groups))
    return np.where(groups.isna(), alone, shared)


def _path(manifest: BundleManifest, photographs: pd.DataFrame) -> Path:
    usable = photographs[photographs["pixels"].notna()]
    # Not of its other files: a new temperature changes the README, and nothing here.
    network = [manifest.files.get(ONNX_FILE, ""), manifest.preprocessing, *manifest.class_names]
    identity = hashlib.sha256(f"{_VERSION} {network}\n".encode())
    for column in ("sha256", "label"):
        identity.update("\n".join(usable[column].tolist()).encode(errors="surrogateescape") + b"\0")
    return cache_dir() / "analyses" / f"{manifest.name}-{identity.hexdigest()[:16]}.npz"


def _usable_rows(photographs: pd.DataFrame) -> np.ndarray:
    return np.flatnonzero(photographs["pixels"].notna())


def arrange(components: np.ndarray) -> np.ndarray:
    """Arrange vectors by t-SNE: float32 (N, 2); NaN outside the sample of a very large set."""
    from sklearn.manifold import TSNE

    coordinates = np.full((len(components), 2), np.nan, np.float32)
    rows = np.arange(len(components))
    if len(rows) > MAX_ON_MAP:
        rows = np.sort(np.random.default_rng(0).choice(rows, MAX_ON_MAP, replace=False))
    points = np.pad(components[rows], ((0, 0), (0, max(2 - components.shape[1], 0))))
    if (points == points[0]).all():  # t-SNE divides by how far they are apart
        coordinates[rows] = 0
        return coordinates
    perplexity = min(_PERPLEXITY, (len(rows) - 1) / 3)
    # The approximation's threads cost more than they save on a few points.
    method = "exact" if len(rows) < _EXACT_BELOW else "barnes_hut"
    embedding = TSNE(perplexity=perplexity, init="pca", random_state=0, method=method)
    coordinates[rows] = embedding.fit_transform(points)
    return coordinates


def _assemble(
    photographs: pd.DataFrame, manifest: BundleManifest, stored: dict[str, np.ndarray]
) -> Analysis:
    model = manifest.shown(stored["model_probabilities"])
    usable = _usable_rows(photographs)[stored["seen"]]
    names = np.asarray(manifest.class_names, dtype=object)
    scores = stored["outlier_scores"]
    table = pd.DataFrame(
        {
            "prediction": names[model.argmax(axis=1)],
            "confidence": model.max(axis=1),
            "outlier_score": scores,
            "is_outlier_issue": find_outliers(scores),
            "x": stored["coordinates"][:, 0],
            "y": stored["coordinates"][:, 1],
        },
        index=photographs.index[usable],
    )
    labelled = usable[stored["labelled"]]
    return Analysis(
        table,
        stored["probabilities"],
        labelled,
        stored["class_names"],
        model_probabilities=model,
        components=stored["components"].astype(np.float32),
        neighbours=stored["neighbours"],
    )
