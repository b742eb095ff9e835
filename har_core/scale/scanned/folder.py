"""A folder of a scan: what was measured of each photograph, and what was found in the end.

``_scan.json`` says how it was measured; the parts have the columns of `scan_schema`. Findings
depend on all photographs, so that they are written at the end: ``_findings.parquet``.
"""

from functools import cache
from typing import Any, ClassVar, Final

from har_core.errors import DatasetError
from har_core.model.fields import ERROR, REASON
from har_core.scale.parts import PartsFolder
from har_core.scale.status import is_at_work
from har_core.scan.measurement import MEASUREMENT_VERSION

FINDINGS_FILE: Final = "_findings.parquet"


class ScanFolder(PartsFolder):
    """A folder of a scan, here or in a bucket; see `PartsFolder`."""

    info_file: ClassVar[str] = "_scan.json"
    format_version: ClassVar[int] = 1
    holds: ClassVar[str] = "scan"
    verb: ClassVar[str] = "scan"

    def create(self) -> None:
        """Make the folder, or check that what is there was measured in the same way.

        Raises
        ------
        DatasetError
            If it holds something else.
        """
        body = {"measurement": MEASUREMENT_VERSION}
        claimed = self.claim(body, in_use=is_at_work(self))
        if not claimed and (found := self.read_body()) != body:
            raise DatasetError(
                f"{self.location} was measured by another version ({found.get('measurement')!r}, "
                f"not {MEASUREMENT_VERSION}); name another folder."
            )


@cache
def scan_schema() -> Any:
    """Return the Arrow schema of the parts.

    ``uri``, ``size``, ``mtime_ns``, ``etag`` and ``sha256`` as in
    `har_core.scale.results.results_schema`; then what `har_core.scan.measurement.Measurement`
    describes, null where the file cannot be used. ``error`` says why in a sentence, ``reason`` in a
    word: ``"missing"`` if there is no such file.
    """
    import pyarrow as pa

    text, double, yes_no = pa.string(), pa.float64(), pa.bool_()
    return pa.schema(
        [
            pa.field("uri", text, nullable=False),
            ("size", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("etag", text),
            ("sha256", text),
            ("content", text),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("pixels", text),
            ("thumbnail", pa.binary()),
            ("plain", yes_no),
            ("colourless", yes_no),
            ("sharpness", double),
            ("brightness", double),
            ("brightness_perc_5", double),
            ("brightness_perc_99", double),
            ("entropy", double),
            ("damage", double),
            (ERROR, text),
            (REASON, text),
        ]
    )
