"""RESULTS folders of photographs that do not exist, for what has to hold for a million rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from har_core.scale.results import Results, ResultsInfo, results_schema
from tests.evaluated import HAR_CLASSES

ROWS_A_PART = 4096
_REASONS = ("truncated", "not_an_image", "unreadable")


def write_made_up_results(
    folder: Path, n: int, class_names: tuple[str, ...] = HAR_CLASSES, seed: int = 0
) -> np.ndarray:
    """Write a RESULTS folder of `n` rows, 1 % of them errors; return the made-up labels.

    Row i is of ``/photographs/CLASS/photo_iiiiiii.jpg``.
    """
    results = Results(str(folder))
    results.create(ResultsInfo("made_up", "f" * 64, class_names, 0, "2026-01-01T00:00:00+00:00"))
    schema = results_schema(class_names)
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(class_names), size=n)
    for start in range(0, n, ROWS_A_PART):
        part = labels[start : start + ROWS_A_PART]
        m = len(part)
        odds = rng.random((m, len(class_names)), np.float32) ** 4
        odds[np.arange(m), part] += 0.8
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        bad = rng.random(m) < 0.01
        best = probabilities.argmax(axis=1)
        rows = np.arange(start, start + m)
        in_scope = rng.random(m) < 0.95
        confidence = probabilities.max(axis=1)
        verdict = np.where(~in_scope, "foreign", np.where(confidence < 0.5, "unsure", "answered"))
        reasons = rng.choice(_REASONS, m)
        columns = {
            "uri": [
                f"/photographs/{class_names[c]}/photo_{i:07d}.jpg"
                for c, i in zip(part, rows, strict=True)
            ],
            "size": 8_000 + rows,
            "mtime_ns": np.full(m, 1_700_000_000_000_000_000) + rows,
            "sha256": [f"{seed + 1:04x}{i:012x}{0:048x}" for i in rows],
            "action": pa.array(np.asarray(class_names)[best], mask=bad),
            "confidence": pa.array(confidence, mask=bad),
            "verdict": pa.array(verdict, mask=bad),
            "in_scope": pa.array(in_scope, mask=bad),
            "novelty": pa.array(rng.random(m, np.float32), mask=bad),
            "error": pa.array([f"Made up: {reason}." for reason in reasons], mask=~bad),
            "reason": pa.array(reasons, mask=~bad),
        }
        columns |= {
            name: pa.array(probabilities[:, c], mask=bad) for c, name in enumerate(class_names)
        }
        arrays = [
            pa.array(columns.get(field.name, [None] * m), field.type)
            if not isinstance(columns.get(field.name), pa.Array)
            else columns[field.name].cast(field.type)
            for field in schema
        ]
        table = pa.Table.from_arrays(arrays, schema=schema)
        results.write_part(f"madeup{start // ROWS_A_PART:06d}", 0, m, table)
    return labels
