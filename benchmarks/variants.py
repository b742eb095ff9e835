"""Other ways to run the graph: threads, graph optimisation, int8; time and accuracy of each.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.variants

Accuracy is that on the validation split, or on the test split if the model was refitted; int8 is
calibrated on training photographs.
"""

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np
import onnxruntime
import pandas as pd
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from har_core.images.decoding import decode_square, read_bytes
from har_core.images.preprocessing import scale_pixels
from har_core.model.loading import find_model
from har_core.model.manifest import ONNX_FILE, SPLITS_FILE, read_manifest

N_CALIBRATION: Final = 200
ROUNDS: Final = 10
PER_ROUND: Final = 15


class Photographs(CalibrationDataReader):
    """Feeds scaled photographs to the calibration, one by one."""

    def __init__(self, input_name: str, pixels: np.ndarray) -> None:
        self._feeds = iter([{input_name: row[np.newaxis]} for row in pixels])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Return the next photograph, or None after the last."""
        return next(self._feeds, None)


def main() -> None:
    """Time every variant in turn with the others, then measure its accuracy."""
    folder = find_model()
    manifest = read_manifest(folder)
    splits = pd.read_parquet(folder / SPLITS_FILE)
    photographs = Path(os.environ["HAR_DATASET"]) / "train"

    def read(rows: pd.DataFrame) -> np.ndarray:
        paths = [photographs / name for name in rows["filename"]]
        pixels = [decode_square(read_bytes(path), manifest.input_size) for path in paths]
        return scale_pixels(np.stack(pixels), manifest.preprocessing)

    graph = folder / ONNX_FILE
    calibration = read(splits[splits["split"] == "train"].sample(N_CALIBRATION, random_state=0))
    measured_on = "validation" if splits["split"].eq("validation").any() else "test"
    held_out = splits[splits["split"] == measured_on]
    pixels = read(held_out)
    labels = pd.Index(manifest.class_names).get_indexer(held_out["label"])
    with tempfile.TemporaryDirectory() as temporary:
        sessions = {
            "float32, all threads, all optimisations": open_session(graph),
            "one thread": open_session(graph, intra_op_num_threads=1),
            "extended optimisations only": open_session(
                graph, graph_optimization_level=level("EXTENDED")
            ),
            "basic optimisations only": open_session(
                graph, graph_optimization_level=level("BASIC")
            ),
            "int8, static, per channel": open_session(
                quantise(graph, Path(temporary), calibration)
            ),
        }
        ms = measure_in_turn(sessions, pixels[:1])
    reference = next(iter(ms.values()))
    for name, session in sessions.items():
        source = session.get_inputs()[0].name
        outputs = [session.run(None, {source: row[np.newaxis]})[0] for row in pixels]
        top1 = float((np.concatenate(outputs).argmax(axis=1) == labels).mean())
        print(
            f"{name:<42}{ms[name]:7.1f} ms {ms[name] / reference:6.2f} ×"
            f"   top-1 {top1:.2%} of {len(labels):,} ({measured_on})",
            flush=True,
        )


def level(name: str) -> Any:
    """Return a graph optimisation level."""
    return getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{name}")


def open_session(graph: Path, **settings: Any) -> onnxruntime.InferenceSession:
    """Open a graph with some options set."""
    options = onnxruntime.SessionOptions()
    for name, value in settings.items():
        setattr(options, name, value)
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def quantise(graph: Path, temporary: Path, calibration: np.ndarray) -> Path:
    """Write the graph with int8 convolutions and products, and return its path."""
    prepared, quantised = temporary / "prepared.onnx", temporary / "int8.onnx"
    quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
    source = open_session(graph).get_inputs()[0].name
    quantize_static(
        str(prepared),
        str(quantised),
        Photographs(source, calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return quantised


def measure_in_turn(
    sessions: dict[str, onnxruntime.InferenceSession], pixels: np.ndarray
) -> dict[str, float]:
    """Return each session's median time for one photograph in ms."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            feed = {session.get_inputs()[0].name: pixels}
            session.run(None, feed)
            for _ in range(PER_ROUND):
                start = time.perf_counter()
                session.run(None, feed)
                times[name].append(time.perf_counter() - start)
    return {name: 1000 * median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
