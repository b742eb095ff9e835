"""Evaluating a RESULTS folder: its answers joined with a table of labels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, HarError
from har_core.evaluation.caveats import caveats, why_skipped, why_unknown
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation
from har_core.model.fields import ERROR, REASON
from har_core.model.loading import find_model
from har_core.model.manifest import BundleManifest, read_manifest
from har_core.model.records import match_splits, read_lineage, read_splits, unrecorded_ancestors
from har_core.progress import Progress, silent
from har_core.scale.labels import NONE, SHA256, FoundLabels, LabelTable, read_label_table
from har_core.scale.models import fingerprint
from har_core.scale.results import Results, ResultsInfo
from har_core.wording import counted


def evaluate_results(
    results: Results,
    table: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    model: str | None = None,
    progress: Progress = silent,
) -> tuple[Evaluation, list[str]]:
    """Measure the answers of a RESULTS folder by the labels of a table.

    A million rows of 15 classes take about 1.2 GB and a minute, most of it for the intervals.

    Parameters
    ----------
    results : Results
    table : str or Path
        See `har_core.scale.labels.read_label_table`.
    columns : mapping, optional
        See `har_core.dataset.columns.choose_columns`.
    split : str, optional
        Only the photographs of a split that the model records.
    model : str, optional
        Which model that is; default: the one that the results name.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    evaluation : Evaluation
        Of the answers as shown. Exact copies share a group, and near duplicates that the model
        records; others are not looked for.
        Rows without a label, with one that is no class, or without an answer are in ``skipped``.
    caveats : list of str
        See `har_core.evaluation.caveats.caveats`.

    Raises
    ------
    DatasetError
        If the table or the results cannot be read, or they have no row in common.
    """
    info = results.read_info()
    labels = read_label_table(table, columns)
    bundle, folder, notes = _model(info, model)
    splits = None if folder is None else read_splits(folder)
    if split is not None and splits is None:
        raise DatasetError(
            f"Which photographs are those of {split!r}? {info.model!r} records no splits; leave "
            "out --split."
        )
    parts = results.parts()
    found, _ = labels.find_in(results.read_part(part, labels.columns) for part in parts)
    joined = _Joined(info, labels, found, split, splits)
    wanted = ["uri", SHA256, *info.class_names, ERROR, REASON]
    for done, part in enumerate(parts, start=1):
        joined.add(results.read_part(part, wanted))
        progress("Joining labels and answers", done, len(parts))
    evaluation = joined.evaluation(os.path.dirname(table) or ".", split)  # noqa: PTH120 (or a URI)
    if info.precision == "int8":
        notes.append("The network computed with 8 bits, which may cost some tenths of a point.")
    if labels.contradicted:
        left_out = counted(labels.contradicted, "photograph")
        notes.append(f"Left out: {left_out} with several labels.")
    if found.unmatched:
        notes.append(f"Labels of photographs that are not among these: {found.unmatched:,}.")
    notes.append(
        "Near duplicates among the photographs count as independent, except exact copies and those "
        "that the model's training found: if there are many, the intervals are too narrow."
    )
    lineage, unrecorded = None, []
    if folder is not None:
        lineage, unrecorded = read_lineage(folder), unrecorded_ancestors(folder)
    return evaluation, [*caveats(evaluation, bundle, lineage, unrecorded), *notes]


def _model(info: ResultsInfo, model: str | None) -> tuple[BundleManifest, Path | None, list[str]]:
    """Return what is known of the model that answered, and where it is."""
    stranger = BundleManifest(info.model, "", 1, "none", info.class_names)
    try:
        folder = find_model(model or info.model)
        manifest = read_manifest(folder)
    except HarError:
        return stranger, None, [f"The model {info.model!r} that answered is not here."]
    if fingerprint(manifest, info.precision) != info.fingerprint:
        return stranger, None, [f"{folder} is another model than the one that answered."]
    return manifest, folder, []


@dataclass
class _Joined:
    """Rows with answer and label, gathered part by part."""

    info: ResultsInfo
    labels: LabelTable
    found: FoundLabels
    split: str | None
    splits: pd.DataFrame | None
    _rows: int = 0
    _names: list[np.ndarray] = field(default_factory=list)
    _sha256: list[np.ndarray] = field(default_factory=list)
    _codes: list[np.ndarray] = field(default_factory=list)
    _probabilities: list[np.ndarray] = field(default_factory=list)
    _skipped: list[pd.DataFrame] = field(default_factory=list)

    def add(self, rows: Any) -> None:
        """Take the rows of a part, an Arrow table."""
        here = slice(self._rows, self._rows + len(rows))
        self._rows = here.stop
        label, why = self.found.label[here], self._why(here)
        uris, sha256 = rows["uri"].to_pylist(), rows[SHA256].to_pylist()
        if self.split is not None:
            assert self.splits is not None
            inside = match_splits(pd.Series(sha256), self.splits).eq(self.split).to_numpy()
            rows, label, why = rows.filter(inside), label[inside], why[inside]
            uris = [uri for uri, is_inside in zip(uris, inside, strict=True) if is_inside]
            sha256 = [digest for digest, is_inside in zip(sha256, inside, strict=True) if is_inside]
        if not uris:
            return
        answered = rows[ERROR].is_null().to_numpy(zero_copy_only=False)
        reasons = np.full(len(uris), "", object)
        reasons[~answered] = [
            f"unreadable photograph ({reason})" for reason in rows[REASON].to_pylist() if reason
        ]
        reasons[why != ""] = why[why != ""]
        kept = reasons == ""
        if not kept.all():
            dropped = np.flatnonzero(~kept)
            names = [uris[i] for i in dropped]
            self._skipped.append(
                pd.DataFrame({"filename": names, "label": "", "reason": reasons[dropped]})
            )
        strings = np.dtypes.StringDType()
        self._names.append(np.array(uris, dtype=strings)[kept])
        self._sha256.append(np.array(sha256, dtype=object)[kept].astype(strings))
        self._codes.append(self._code_of[label[kept]])
        columns = [rows[name].to_numpy()[kept] for name in self.info.class_names]
        self._probabilities.append(np.stack(columns, axis=1))

    @cached_property
    def _code_of(self) -> np.ndarray:
        """Class of each label of the table, -1 where it is none."""
        return pd.Index(self.info.class_names).get_indexer(pd.Index(self.labels.names))

    @cached_property
    def _unknown(self) -> np.ndarray:
        """Of each label of the table why it cannot be measured, ``""`` where it is a class."""
        pairs = zip(self.labels.names, self._code_of, strict=True)
        classes = self.info.class_names
        why = [why_unknown(name, classes) if code < 0 else "" for name, code in pairs]
        return np.array(why, object)

    def _why(self, rows: slice) -> np.ndarray:
        """Return why rows cannot be measured for want of a label, ``""`` where they can."""
        label = self.found.label[rows]
        why = self._unknown[label]
        why[(label == NONE) | self.found.several[rows]] = "no label"
        why[self.found.ambiguous[rows]] = "several photographs have its base name"
        return why

    def evaluation(self, folder: str, split: str | None) -> Evaluation:
        """Return what was gathered."""
        skipped = pd.DataFrame(columns=["filename", "label", "reason"])
        if self._skipped:
            skipped = pd.concat(self._skipped, ignore_index=True)
        if not sum(map(len, self._codes)):
            why = why_skipped(skipped) or "none fits"
            raise DatasetError(f"No row of the results can be evaluated: {why}.")
        sha256 = np.concatenate(self._sha256)
        probabilities = np.concatenate(self._probabilities).astype(np.float64)
        self._probabilities.clear()
        raw = EvaluationResult(
            self.info.class_names,
            np.concatenate(self._names),
            np.concatenate(self._codes).astype(np.int64),
            probabilities / probabilities.sum(axis=1, keepdims=True),
            _groups(sha256, self.splits),
            sha256,
        )
        return Evaluation(
            name=split or "all",
            model=self.info.model,
            created=self.info.created,
            raw=raw,
            folder=folder,
            skipped=skipped,
        )


def _groups(sha256: np.ndarray, splits: pd.DataFrame | None) -> np.ndarray:
    """Return a number for each photograph that only copies and recorded near duplicates share."""
    distinct, number = np.unique(sha256, return_inverse=True)
    if splits is None:
        return number
    known = dict(zip(splits["sha256"], splits["duplicate_group"], strict=True))
    alone = max(known.values(), default=0) + 1
    numbers = (known.get(digest, alone + i) for i, digest in enumerate(distinct))
    return np.fromiter(numbers, np.int64, len(distinct))[number]
