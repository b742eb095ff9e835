"""Quick training: a new head on what an earlier model's network sees, in a minute or two."""

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.analysis.features import compute_features
from har_core.analysis.suspects import cross_validated_probabilities
from har_core.dataset.duplicates import groups_of, near_duplicate_pairs
from har_core.dataset.splits import check_labels
from har_core.dataset.table import Location
from har_core.errors import DatasetError, ModelBundleError, some_of
from har_core.evaluation.answers import FEW_PHOTOGRAPHS
from har_core.evaluation.calibration import fit_temperature, negative_log_likelihood
from har_core.extras import load_onnx
from har_core.model.bundle import new_bundle_folder
from har_core.model.manifest import ONNX_FILE, BundleManifest, read_manifest
from har_core.model.records import read_lineage, read_splits
from har_core.progress import EpochReport, Progress, silent
from har_core.storage.checksums import sha256_of_files
from har_core.training.ancestry import inheritance
from har_core.training.model_card import format_quick_card
from har_core.training.preparation import (
    SplitDataset,
    check_no_class_lost,
    read_rows,
    rows_to_train_on,
    split_dataset,
)
from har_core.training.publication import write_measured
from har_core.training.quick.head import LinearHead, fit_linear_head, replace_head

QUICK: Final = "quick"


def train_quick(
    dataset: Location,
    name: str,
    base: Path,
    *,
    csv: str | Path | None = None,
    overwrite: bool = False,
    seed: int = 0,
    progress: Progress = silent,
    on_epoch: EpochReport = silent,
) -> BundleManifest:
    """Fit a linear head on the pooled features of an earlier model, and write it as a bundle.

    What the earlier model was trained, tuned and tested on stays so: photographs are told by
    their sha256, whatever their labels are now. Features are remembered by content, so that only
    photographs that the model has never seen are run through its network.

    Parameters
    ----------
    dataset : str, Path or Dataset
        See `har_core.dataset.table.open_dataset`.
    name : str
        Of the bundle, written into `har_core.model.bundle.models_dir`.
    base : Path
        Bundle of the earlier model, with an ONNX graph.
    csv : str or Path, optional
        Table to use instead of ``train.csv``.
    overwrite : bool
        Replace a bundle of that name.
    seed : int
        Of the split of photographs that the earlier model does not record.
    progress : callable, optional
        Called with (what is being done, done, total).
    on_epoch : callable, optional
        Called with each row of the log: one for each ten steps of the solver.

    Returns
    -------
    BundleManifest
        Of the bundle that was written.

    Raises
    ------
    DatasetError
        If the dataset cannot be trained on.
    ModelBundleError
        If the earlier model has no usable network, or the bundle exists.
    """
    onnx = load_onnx()
    destination = new_bundle_folder(name, overwrite=overwrite)
    old = read_manifest(base)
    if ONNX_FILE not in old.files:
        raise ModelBundleError(
            f"The model {old.name!r} has no {ONNX_FILE}, which quick training goes on from; "
            "choose another model or effort."
        )
    started = time.monotonic()
    prepared = _prepare(dataset, csv, base, seed, progress)
    table = prepared.table
    photographs = table.assign(pixels=1)
    features = compute_features(base, photographs, may_forget=True, progress=progress)
    rows = features.rows_of(table["sha256"].tolist())
    if (rows < 0).any():
        raise ModelBundleError(
            f"The model {old.name!r} gives no features for {some_of(table['filename'][rows < 0])}; "
            "leave these photographs out, or choose another model or effort."
        )
    vectors = features.features[rows]
    log: list[dict[str, Any]] = []
    head = _fit(prepared, vectors, log, progress, on_epoch)
    progress("Writing the model", 0, 1)
    validation, test = prepared.rows_of("validation"), prepared.rows_of("test")
    probabilities = head.probabilities(vectors[np.concatenate([validation, test])])
    inherited, unrecorded = inheritance([base], table)
    draft = BundleManifest(
        name=name,
        architecture=f"The network of {old.name} → mean of its last feature map → softmax",
        input_size=old.input_size,
        preprocessing=old.preprocessing,
        class_names=prepared.class_names,
        temperature=_temperature(prepared, vectors, probabilities[: len(validation)]),
        training={
            "effort": QUICK,
            "base": old.name,
            "base_network": old.files[ONNX_FILE],
            **unrecorded,
            "seed": seed,
            "photographs": prepared.counts,
            "skipped": prepared.skipped.to_dict("records"),
            "dataset_fingerprint": prepared.fingerprint,
            "training_seconds": round(time.monotonic() - started),
            "packages": {p: version(p) for p in ("numpy", "scikit-learn", "onnxruntime")},
        },
    )
    written = write_measured(
        draft,
        destination,
        table,
        probabilities,
        replace_head(onnx.load(base / ONNX_FILE), head).SerializeToString(),
        card=format_quick_card,
        log=log,
        further_files=inherited,
        overwrite=overwrite,
        progress=progress,
    )
    progress("Writing the model", 1, 1)
    return written


def _prepare(
    dataset: Location, csv: str | Path | None, base: Path, seed: int, progress: Progress
) -> SplitDataset:
    rows = rows_to_train_on(dataset, csv)
    hashes = sha256_of_files(rows["path"].tolist(), progress)
    table = rows.assign(sha256=hashes)
    table, skipped = _grouped(table, read_splits(base), progress)
    class_names = check_labels(table["label"])
    check_no_class_lost(rows["label"], class_names)
    return split_dataset(table, skipped, class_names, read_lineage(base), base=base.name, seed=seed)


def _grouped(
    table: pd.DataFrame, recorded: pd.DataFrame | None, progress: Progress
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add near-duplicate groups; return the usable rows, and the others with their reason.

    Photographs that the earlier model's training has read need not be read again, unless there
    are others, which may be their duplicates.
    """
    if recorded is not None:
        known = recorded.drop_duplicates("sha256").set_index("sha256")["duplicate_group"]
        groups = table["sha256"].map(known)
        if groups.notna().all() and table["sha256"].ne("").all():
            nothing = pd.DataFrame(columns=["filename", "label", "reason"])
            return table.assign(duplicate_group=groups.astype(np.int64)), nothing
    fingerprints: list[np.ndarray] = []
    skipped = read_rows(
        table,
        lambda photograph: fingerprints.append(photograph.fingerprint),
        "Looking for near duplicates",
        progress,
    )
    usable = table.drop(index=skipped.index).reset_index(drop=True)
    pairs, _ = near_duplicate_pairs(np.stack(fingerprints))
    usable["duplicate_group"] = groups_of(usable["sha256"].to_numpy(str), pairs)
    return usable, skipped


def _fit(
    prepared: SplitDataset,
    vectors: np.ndarray,
    log: list[dict[str, Any]],
    progress: Progress,
    on_epoch: EpochReport,
) -> LinearHead:
    train, validation = prepared.rows_of("train"), prepared.rows_of("validation")
    codes = prepared.label_indices
    began = time.monotonic()
    progress("Fitting the head", 0, 1)

    def on_round(number: int, head: LinearHead, loss: float) -> None:
        nonlocal began
        predicted = head.probabilities(vectors[train]).argmax(axis=1)
        row: dict[str, Any] = {
            "stage": "head",
            "epoch": number + 1,
            "training_loss": loss,
            "training_top1": float((predicted == codes[train]).mean()),
        }
        if len(validation):
            held_out = head.probabilities(vectors[validation])
            losses = negative_log_likelihood(codes[validation], held_out)
            row["validation_top1"] = float((held_out.argmax(axis=1) == codes[validation]).mean())
            row["validation_log_loss"] = float(losses.mean())
        row["seconds"] = time.monotonic() - began
        began = time.monotonic()
        log.append(row)
        on_epoch(row)

    head = fit_linear_head(vectors[train], codes[train], on_round=on_round)
    progress("Fitting the head", 1, 1)
    return head


def _temperature(prepared: SplitDataset, vectors: np.ndarray, validation: np.ndarray) -> float:
    """Fit the temperature on validation photographs, or on all but the test split's by turns."""
    rows = prepared.rows_of("validation")
    if len(rows) >= FEW_PHOTOGRAPHS:
        return fit_temperature(prepared.label_indices[rows], validation)
    rows = np.concatenate([prepared.rows_of("train"), rows])
    table, codes = prepared.table.iloc[rows], prepared.label_indices[rows]
    try:
        by_turns, _ = cross_validated_probabilities(
            vectors[rows], table["label"].to_numpy(str), table["duplicate_group"].to_numpy()
        )
    except DatasetError:  # too few: the penalty alone keeps the head from being too sure
        return 1.0
    return fit_temperature(codes, by_turns)
