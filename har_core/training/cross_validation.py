"""Every photograph judged without its own label, for whoever looks for wrong labels."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from har_core.analysis.suspects import cross_validated_probabilities
from har_core.errors import DatasetError
from har_core.model.loading import find_model
from har_core.model.records import join_probabilities
from har_core.progress import Progress, silent
from har_core.training.ancestry import find_cross_validation, knows_labels
from har_core.training.preparation import PreparedDataset
from har_core.training.run_folder import RunFolder


def cross_validate(
    prepared: PreparedDataset,
    mean_features: Callable[[], np.ndarray],
    *,
    origin: Path | None,
    teachers: Sequence[str],
    progress: Progress = silent,
) -> bytes | None:
    """Judge every photograph by a regression on frozen features that was fitted without it.

    Once a network is fine-tuned it is too late: its features have learned the training
    photographs' labels, the wrong ones included. So a backbone that was trained before gives
    none; an ancestor's record serves then.

    Parameters
    ----------
    prepared : PreparedDataset
    mean_features : callable
        Gives those of the training, the validation and the test photographs, (N, 1280), if they
        are needed.
    origin : Path or None
        Bundle that the backbone comes from.
    teachers : sequence of str
        Bundles, or folders of runs, that it learns from.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    bytes or None
        A bundle's ``evaluation/cross_validated.parquet``; None if there can be none.
    """
    bundles = [find_model(name) for name in teachers if not RunFolder(name).has_network]
    ancestors = bundles if origin is None else [*bundles, origin]
    record = find_cross_validation(ancestors, prepared)
    if record is not None or (origin is not None and knows_labels(origin, prepared)):
        return record
    rows = np.concatenate([prepared.rows_of(s) for s in ("train", "validation", "test")])
    table = prepared.table.loc[rows, ["filename", "label", "sha256"]]
    try:
        probabilities, class_names = cross_validated_probabilities(
            mean_features(),
            table["label"].to_numpy(dtype=str),
            prepared.table.loc[rows, "duplicate_group"].to_numpy(),
            progress=progress,
        )
    except DatasetError:  # too few photographs of a class; the model can do without
        return None
    table = join_probabilities(table, list(class_names), probabilities)
    return table.sort_index().to_parquet(index=False, compression="zstd")
