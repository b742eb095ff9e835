"""Evaluating a RESULTS folder: its answers joined with a table of labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from har_core.dataset.columns import choose_columns
from har_core.errors import DatasetError, HarError
from har_core.evaluation.caveats import caveats
from har_core.evaluation.result import EvaluationResult
from har_core.evaluation.store import Evaluation
from har_core.model.fields import ERROR, REASON
from har_core.model.loading import find_model
from har_core.model.manifest import BundleManifest, read_manifest
from har_core.model.records import match_splits, read_splits
from har_core.progress import Progress
from har_core.scale.models import fingerprint
from har_core.scale.results import Results, ResultsInfo
from har_core.scale.sources.containers import read_csv_columns
from har_core.scale.sources.items import address_of, uri_keys

_SHA256: Final = "sha256"
_NO_LABEL: Final = -1


def evaluate_results(
    results: Results,
    table: Path,
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    model: str | None = None,
    progress: Progress | None = None,
) -> tuple[Evaluation, list[str]]:
    """Measure the answers of a RESULTS folder by the labels of a table.

    A million rows of 15 classes take about 1.2 GB and a minute, most of it for the intervals.

    Parameters
    ----------
    results : Results
    table : Path
        CSV or Parquet. Its rows are those of the same ``sha256``, if it has such a column; else of
        the same path or URI, relative to the table's folder; else of the same base name.
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
        Of the answers as shown. Exact copies share a group; near duplicates are not looked for.
        Rows without a label, with one that is no class, or without an answer are in ``skipped``.
    caveats : list of str
        See `har_core.evaluation.caveats.caveats`.

    Raises
    ------
    DatasetError
        If the table or the results cannot be read, or they have no row in common.
    """
    info = results.read_info()
    labels = read_labels(table, info.class_names, columns)
    bundle, splits, notes = _records(info, model)
    if split is not None and splits is None:
        raise DatasetError(
            f"Which photographs are those of {split!r}? {info.model!r} records no splits; leave "
            "out --split."
        )
    joined = _Joined(info, labels, split, splits)
    parts = results.parts()
    wanted = ["uri", _SHA256, *info.class_names, ERROR, REASON]
    for done, part in enumerate(parts, start=1):
        joined.add(results.read_part(part, wanted))
        if progress is not None:
            progress("Joining labels and answers", done, len(parts))
    evaluation = joined.evaluation(str(table.parent), split)
    if labels.contradictions:
        notes.append(f"{labels.contradictions:,} photographs have several labels; left out.")
    notes.append(
        "Near duplicates among the photographs count as independent, except exact copies: the "
        "intervals are narrower than they should be if there are many."
    )
    return evaluation, [*caveats(evaluation, bundle, splits), *notes]


def _records(
    info: ResultsInfo, model: str | None
) -> tuple[BundleManifest, pd.DataFrame | None, list[str]]:
    """Return what is known of the model that answered, and of what it was trained on."""
    stranger = BundleManifest(info.model, "", 1, "none", info.class_names)
    try:
        folder = find_model(model or info.model)
        manifest = read_manifest(folder)
    except HarError:
        return stranger, None, [f"The model {info.model!r} that answered is not here."]
    if fingerprint(manifest) != info.fingerprint:
        return stranger, None, [f"{folder} is another model than the one that answered."]
    return manifest, read_splits(folder), []


@dataclass
class Labels:
    """Labels of a table, in 18 to 34 bytes a row.

    Parameters
    ----------
    by : {"sha256", "name"}
        What tells a row's photograph.
    keys : list of ndarray of S16
        One sorted array for each way to name a photograph, the surest first.
    codes : list of ndarray of int16
        Index of the class at each key; -2 - i for the i-th of the labels that are no class.
    strangers : list of str
        Labels that are no class.
    contradictions : int
        Photographs that have several labels, which are left out.
    """

    by: str
    keys: list[np.ndarray]
    codes: list[np.ndarray]
    strangers: list[str]
    contradictions: int

    def look_up(self, ways: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the code of each photograph, -1 where the table has none.

        And by which key of the last way, if there are several, it was found: -1 for a surer one.
        """
        found = np.full(len(ways[0]), _NO_LABEL, np.int32)
        guessed = np.full(len(found), -1, np.int32)
        for way, (keys, codes) in enumerate(zip(self.keys, self.codes, strict=True)):
            if len(keys):
                place = np.minimum(np.searchsorted(keys, ways[way]), len(keys) - 1)
                hit = (keys[place] == ways[way]) & (found == _NO_LABEL)
                found[hit] = codes[place[hit]]
                if way:
                    guessed[hit] = place[hit]
        return found, guessed


def read_labels(
    table: Path, class_names: tuple[str, ...], columns: Mapping[str, str] | None = None
) -> Labels:
    """Read a table's labels, some rows at a time; see `evaluate_results` for how they are matched.

    Raises
    ------
    DatasetError
        If it cannot be read or has no labels.
    """
    code_of = {name: code for code, name in enumerate(class_names)}
    strangers: dict[str, int] = {}
    codes: list[np.ndarray] = []
    keys: list[list[np.ndarray]] = []
    by = "name"
    folder = str(table.resolve().parent)
    for names, labels, by in _label_rows(table, columns):
        codes.append(
            np.array(
                [
                    code_of[label]
                    if label in code_of
                    else -2 - strangers.setdefault(label, len(strangers))
                    for label in labels
                ],
                np.int32,
            )
        )
        if by == _SHA256:
            keys.append([uri_keys(names)])
        else:
            keys.append(
                [
                    uri_keys(address_of(name, folder) for name in names),
                    uri_keys(name.rpartition("/")[2] for name in names),
                ]
            )
    if not codes:
        raise DatasetError(f"{table} has no rows.")
    every = np.concatenate(codes)
    ways = [_once(np.concatenate(way), every) for way in zip(*keys, strict=True)]
    return Labels(
        by,
        [way[0] for way in ways],
        [way[1] for way in ways],
        list(strangers),
        ways[0][2],
    )


def _once(keys: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return each key once, with its code, without those of several codes; and how many that is."""
    order = np.argsort(keys, kind="stable")
    keys, codes = keys[order], codes[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
    lowest = np.minimum.reduceat(codes, starts)
    agree = lowest == np.maximum.reduceat(codes, starts)
    return keys[starts][agree], lowest[agree], int((~agree).sum())


def _label_rows(
    table: Path, columns: Mapping[str, str] | None
) -> Iterator[tuple[list[str], list[str], str]]:
    """Yield names (or sha256) and labels of a table, and which of these it is."""
    headings, batches = read_csv_columns(str(table))
    by = _SHA256 if _SHA256 in headings else "name"
    if by == _SHA256:
        columns = {**(columns or {}), "filename": _SHA256}
    chosen = choose_columns(headings, table.name, columns)
    if chosen.label is None:
        raise DatasetError(f"{table} has no labels; name the column by --columns label=….")
    for names, labels in batches([headings[chosen.filename], headings[chosen.label]]):
        yield [str(n or "") for n in names], [str(la or "") for la in labels], by


@dataclass
class _Joined:
    """Rows with answer and label, gathered part by part."""

    info: ResultsInfo
    labels: Labels
    split: str | None
    splits: pd.DataFrame | None
    _names: list[np.ndarray] = field(default_factory=list)
    _sha256: list[np.ndarray] = field(default_factory=list)
    _codes: list[np.ndarray] = field(default_factory=list)
    _guessed: list[np.ndarray] = field(default_factory=list)
    _probabilities: list[np.ndarray] = field(default_factory=list)
    _skipped: list[pd.DataFrame] = field(default_factory=list)

    def add(self, rows: Any) -> None:
        """Take the rows of a part, an Arrow table."""
        uris, sha256 = rows["uri"].to_pylist(), rows[_SHA256].to_pylist()
        if self.split is not None:
            assert self.splits is not None
            inside = match_splits(pd.Series(sha256), self.splits).eq(self.split).to_numpy()
            rows = rows.filter(inside)
            uris = [uri for uri, is_inside in zip(uris, inside, strict=True) if is_inside]
            sha256 = [digest for digest, is_inside in zip(sha256, inside, strict=True) if is_inside]
        if not uris:
            return
        if self.labels.by == _SHA256:
            ways = [uri_keys(digest or "" for digest in sha256)]
        else:
            ways = [uri_keys(uris), uri_keys(_base_name(uri) for uri in uris)]
        codes, guessed = self.labels.look_up(ways)
        answered = rows[ERROR].is_null().to_numpy(zero_copy_only=False)
        reasons = np.full(len(uris), "", object)
        reasons[~answered] = [
            f"unreadable photograph ({reason})" for reason in rows[REASON].to_pylist() if reason
        ]
        reasons[codes == _NO_LABEL] = "no label"
        for i, stranger in enumerate(self.labels.strangers):
            reasons[codes == -2 - i] = f"label unknown to the model: {stranger}"
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
        self._codes.append(codes[kept])
        self._guessed.append(guessed[kept])
        columns = [rows[name].to_numpy()[kept] for name in self.info.class_names]
        self._probabilities.append(np.stack(columns, axis=1))

    def evaluation(self, folder: str, split: str | None) -> Evaluation:
        """Return what was gathered."""
        certain = self._settle_guesses()
        skipped = pd.DataFrame(columns=["filename", "label", "reason"])
        if self._skipped:
            skipped = pd.concat(self._skipped, ignore_index=True)
        if not certain.any():
            counts = skipped["reason"].value_counts()
            listed = "; ".join(f"{count:,} × {reason}" for reason, count in counts.items())
            raise DatasetError(f"No row of the results can be evaluated: {listed or 'none fits'}.")
        sha256 = np.concatenate(self._sha256)[certain]
        probabilities = np.concatenate(self._probabilities)[certain].astype(np.float64)
        self._probabilities.clear()
        raw = EvaluationResult(
            self.info.class_names,
            np.concatenate(self._names)[certain],
            np.concatenate(self._codes)[certain].astype(np.int64),
            probabilities / probabilities.sum(axis=1, keepdims=True),
            np.unique(sha256, return_inverse=True)[1],
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

    def _settle_guesses(self) -> np.ndarray:
        """Skip photographs that share their base name with others; return which are left."""
        if not self._codes:
            return np.zeros(0, bool)
        guessed = np.concatenate(self._guessed)
        uses = np.bincount(guessed[guessed >= 0], minlength=1)
        shared = (guessed >= 0) & (uses[guessed] > 1)
        if shared.any():
            names = np.concatenate(self._names)[shared].astype(object)
            reason = "several photographs have its base name"
            self._skipped.append(pd.DataFrame({"filename": names, "label": "", "reason": reason}))
        return ~shared


def _base_name(uri: str) -> str:
    return uri.rpartition("#")[2].rpartition("/")[2] if ".tar#" in uri else uri.rpartition("/")[2]
