"""Measuring the photographs of any sources, on the cores of one machine or many."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from har_core.errors import InvalidImageError
from har_core.model.fields import ERROR, REASON
from har_core.progress import Progress, silent
from har_core.scale.answered import MISSING
from har_core.scale.jobs import Where, place_for_rows, run_job
from har_core.scale.locks import hold_job
from har_core.scale.rows import known
from har_core.scale.scanned.folder import ScanFolder, scan_schema
from har_core.scale.sources.items import Item
from har_core.scale.sources.listing import Matches, list_sources
from har_core.scale.status import JobStatus
from har_core.scale.working import Maker, Work
from har_core.scan.measurement import Measurement, measure_unusable, measure_usable

_AS_MEASURED: Final = frozenset(Measurement.__dataclass_fields__) - {REASON}


def measure_sources(
    sources: Sequence[str],
    to: str,
    *,
    where: Where = Where(),  # noqa: B008 (frozen)
    column: str | None = None,
    known: Mapping[str, Matches] = MappingProxyType({}),
    progress: Progress = silent,
) -> tuple[JobStatus, np.ndarray]:
    """Measure all photographs of some sources; go on where a job was cut off.

    Parameters
    ----------
    sources : sequence of str
        See `har_core.scale.sources.listing.list_sources`.
    to : str
        Folder of the scan, here or in a bucket; see `har_core.scale.scanned.folder`.
    where : Where, optional
        Default: the cores of this machine.
    column : str, optional
        Of tables among the sources.
    known : mapping, optional
        See `har_core.scale.sources.listing.list_sources`.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    status : JobStatus
    named : ndarray of S16
        See `har_core.scale.jobs.run_job`.

    Raises
    ------
    HarError
        See `har_core.scale.jobs.run_job`.
    """
    to = place_for_rows(to, sources)
    folder = ScanFolder(to)
    status = JobStatus(secrets.token_hex(4), where.engine, 0, "", list(sources))
    with hold_job(to):
        folder.create()
        named = run_job(
            partial(list_sources, sources, column, known=known),
            folder,
            Measuring(to=to),
            where,
            status,
            "Measuring photographs",
            progress,
        )
    return status, named


class _Measured(NamedTuple):
    """A photograph as measured; `measurement` is None if it was not read."""

    item: Item
    measurement: Measurement | None
    error: str = ""
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Measuring(Work):
    """What the workers of a scan do."""

    def begin(self) -> "Measurer":
        """See `Work.begin`."""
        return Measurer()


class Measurer(Maker[_Measured]):
    """Measures photographs on one core."""

    def look(self, item: Item, data: bytes) -> _Measured:
        """Measure a photograph."""
        try:
            return _Measured(item, measure_usable(data))
        except InvalidImageError as error:
            return _Measured(item, measure_unusable(data, error), str(error), error.reason)

    def without(self, item: Item, sentence: str, reason: str, *, gone: bool) -> _Measured:
        """See `har_core.scale.reading.Look.without`."""
        return _Measured(item, None, sentence, MISSING if gone else reason)

    def rows(self, batch: list[_Measured]) -> Any:
        """Return what was measured."""
        import pyarrow as pa

        columns = [
            pa.array([_value(measured, field.name) for measured in batch], field.type)
            for field in scan_schema()
        ]
        return pa.Table.from_arrays(columns, schema=scan_schema())


def _value(measured: _Measured, name: str) -> Any:
    item, measurement, error, reason = measured
    if name in _AS_MEASURED:
        return None if measurement is None else getattr(measurement, name)
    if name == "size":
        return known(item.size if measurement is None else measurement.size_bytes)
    if name == "mtime_ns":
        return known(item.mtime_ns)
    return {"uri": item.uri, "etag": item.etag or None, ERROR: error or None}.get(
        name, reason or None
    )
