"""RESULTS folders of any size with made-up answers, as `har score` would leave them.

python -m tests.made_results FOLDER [--rows N] [--features LENGTH] [--labels FILE]
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from har_core.model.fields import REASON
from har_core.scale.results import Results, ResultsInfo, results_schema
from har_core.scale.status import JOB_FILE, JobStatus
from tests.evaluated import HAR_CLASSES, draw_predictions

PART_ROWS = 4096  # as many as a part of a real job has at most
REASONS = ("broken", "html", "unreadable")


def write_results(
    folder: Path,
    rows: int,
    *,
    n_features: int = 0,
    part_rows: int = PART_ROWS,
    state: str = "done",
    class_names: tuple[str, ...] = HAR_CLASSES,
) -> pd.Series:
    """Write made-up answers; return the true label of each photograph, by its sha256.

    One in a hundred has an error, one in twenty is foreign; one in fifty is a copy of the first.
    """
    results = Results(str(folder))
    info = ResultsInfo("made_up", "0" * 64, class_names, n_features, "2026-01-01T00:00:00+00:00")
    results.create(info)
    schema = results_schema(class_names, n_features)
    labels = []
    for number, start in enumerate(range(0, rows, part_rows)):
        table, names = _rows(schema, class_names, start, min(part_rows, rows - start))
        results.write_part(f"00000000{number:06d}", 0, len(table), table)
        labels.append(names)
    status = JobStatus("00000000", "local", 2, "made_up", ["/photos"], state=state)  # type: ignore[arg-type]
    status.listed = status.total = rows if state == "done" else 2 * rows
    status.done, status.errors, status.rate = rows, -(-rows // 100), 80.0
    status.elapsed_s = rows / status.rate
    status.remaining_s = None if state == "done" else rows / status.rate
    results.write(JOB_FILE, json.dumps(dataclasses.asdict(status)).encode())
    return pd.concat(labels)


def _rows(
    schema: pa.Schema, class_names: tuple[str, ...], start: int, n: int
) -> tuple[pa.Table, pd.Series]:
    rng = np.random.default_rng(start)
    number = np.arange(start, start + n)
    label = rng.integers(len(class_names), size=n)
    probabilities = draw_predictions(label, len(class_names), seed=start, skill=3.2)
    probabilities = probabilities.astype(np.float32)
    failed = number % 100 == 7
    names = np.array(class_names, dtype=object)
    confidence, best = probabilities.max(axis=1), probabilities.argmax(axis=1)
    in_scope = rng.random(n) > 0.05
    verdict = np.where(in_scope, np.where(confidence < 0.4, "unsure", "answered"), "foreign")
    photograph = np.where(number % 50 == 3, 0, number)
    # Not hashes, but as different: each a multiple of an odd number, modulo 2**64.
    scattered = (photograph + 1).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    sha256 = [4 * f"{value:016x}" for value in scattered.tolist()]
    columns = {
        "uri": [f"/photos/{i // 10_000:04d}/photo_{i:08d}.jpg" for i in number.tolist()],
        "size": rng.integers(20_000, 400_000, n),
        "mtime_ns": np.full(n, 1_700_000_000_000_000_000),
        "sha256": sha256,
        "action": names[best],
        "confidence": confidence,
        "verdict": verdict.astype(object),
        "in_scope": in_scope,
        "novelty": rng.random(n, dtype=np.float32) * np.float32(3),
    }
    columns |= {name: probabilities[:, i] for i, name in enumerate(class_names)}
    arrays = []
    for field in schema:
        answer = field.name in (*class_names, *list(columns)[4:9])
        if field.name == "features":
            width = field.type.list_size
            centres = np.random.default_rng(5).normal(size=(len(class_names), width))
            values = (centres[label] + rng.normal(size=(n, width))).astype(np.float16)
            array = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)
        elif field.name == REASON:
            kinds = np.array(REASONS, dtype=object)[number // 100 % len(REASONS)]
            kinds[~failed] = None
            array = pa.array(kinds, field.type)
        elif field.name == "error":
            array = pa.array(["It is no picture." if bad else None for bad in failed], field.type)
        elif field.name in columns:
            array = pa.array(columns[field.name], field.type, mask=failed if answer else None)
        else:
            array = pa.nulls(n, field.type)
        arrays.append(array)
    return pa.Table.from_arrays(arrays, schema=schema), pd.Series(names[label], index=sha256)


def main() -> None:
    """Write results and, if asked for, a table of their labels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=0)
    parser.add_argument("--labels", type=Path)
    arguments = parser.parse_args()
    labels = write_results(arguments.folder, arguments.rows, n_features=arguments.features)
    if arguments.labels:
        labels = labels[~labels.index.duplicated()]
        table = pa.table({"sha256": labels.index.to_numpy(), "label": labels.to_numpy()})
        pq.write_table(table, arguments.labels)


if __name__ == "__main__":
    main()
