"""Other ways to run the network: threads, graph optimisation, 8 bits; time and accuracy of each.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.variants [--split test]

Times are of one photograph, each variant in turn with the others. Accuracy is that at the bundle's
temperature; *difference* is that to float32 on the same photographs, with its 95 % interval. Plain
int8, ONNX Runtime's own, is calibrated on training photographs.
"""

import argparse
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
from har_core.model.manifest import INT8_ONNX_FILE, ONNX_FILE, SPLITS_FILE, read_manifest
from har_core.model.temperature import apply_temperature

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


class Variant:
    """A session, and the photographs as it wants them."""

    def __init__(self, graph: Path, preprocessing: Any, **settings: Any) -> None:
        options = onnxruntime.SessionOptions()
        for name, value in settings.items():
            setattr(options, name, value)
        self._session = onnxruntime.InferenceSession(
            str(graph), options, providers=["CPUExecutionProvider"]
        )
        self._preprocessing = preprocessing
        source = self._session.get_inputs()[0]
        self.input, self._scales = source.name, source.type == "tensor(uint8)"
        self._output = self._session.get_outputs()[0].name

    def feed(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Return what `run` takes for pixels, uint8 (1, S, S, 3)."""
        return {self.input: pixels if self._scales else scale_pixels(pixels, self._preprocessing)}

    def run(self, feed: dict[str, np.ndarray]) -> np.ndarray:
        """Return probabilities."""
        return np.asarray(self._session.run([self._output], feed)[0])


def main() -> None:
    """Time every variant in turn with the others, then measure its accuracy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="validation", help="validation or test")
    split = parser.parse_args().split
    folder = find_model()
    manifest = read_manifest(folder)
    splits = pd.read_parquet(folder / SPLITS_FILE)
    photographs = Path(os.environ["HAR_DATASET"]) / "train"

    def read(rows: pd.DataFrame) -> np.ndarray:
        paths = [photographs / name for name in rows["filename"]]
        return np.stack([decode_square(read_bytes(path), manifest.input_size) for path in paths])

    graph, scaling = folder / ONNX_FILE, manifest.preprocessing
    calibration = read(splits[splits["split"] == "train"].sample(N_CALIBRATION, random_state=0))
    held_out = splits[splits["split"] == split]
    pixels = read(held_out)
    labels = pd.Index(manifest.class_names).get_indexer(held_out["label"])
    with tempfile.TemporaryDirectory() as temporary:
        plain = quantise(graph, Path(temporary), scale_pixels(calibration, scaling))
        variants = {
            "float32, all threads, all optimisations": Variant(graph, scaling),
            "one thread": Variant(graph, scaling, intra_op_num_threads=1),
            "extended optimisations only": Variant(
                graph, scaling, graph_optimization_level=level("EXTENDED")
            ),
            "int8, ONNX Runtime's own": Variant(plain, scaling),
        }
        if INT8_ONNX_FILE in manifest.files:
            int8 = folder / INT8_ONNX_FILE
            variants["int8, the bundle's"] = Variant(int8, scaling)
            variants["int8, the bundle's, one thread"] = Variant(
                int8, scaling, intra_op_num_threads=1
            )
    ms = measure_in_turn(variants, pixels[:1])
    print(f"{split} split, {len(labels):,} photographs; load {os.getloadavg()[0]:.1f}")
    reference, hits, losses = next(iter(ms)), {}, {}
    for name, variant in variants.items():
        outputs = np.concatenate([variant.run(variant.feed(row[np.newaxis])) for row in pixels])
        shown = apply_temperature(outputs, manifest.temperature)
        hits[name] = 100.0 * (shown.argmax(axis=1) == labels)
        losses[name] = -np.log(np.clip(shown[np.arange(len(labels)), labels], 1e-9, 1))
        print(
            f"{name:<42}{ms[name]:7.1f} ms {ms[name] / ms[reference]:6.2f} ×"
            f"   top-1 {hits[name].mean():.2f} % {difference(hits[name] - hits[reference])}"
            f"   log loss {losses[name].mean():.4f} {difference(losses[name] - losses[reference])}",
            flush=True,
        )


def difference(paired: np.ndarray) -> str:
    """Return a mean of differences with its 95 % interval (normal)."""
    half = 1.96 * paired.std() / np.sqrt(len(paired))
    return f"({paired.mean():+.4f} ± {half:.4f})"


def level(name: str) -> Any:
    """Return a graph optimisation level."""
    return getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{name}")


def quantise(graph: Path, temporary: Path, calibration: np.ndarray) -> Path:
    """Write the graph with int8 convolutions and products, and return its path."""
    prepared, quantised = temporary / "prepared.onnx", temporary / "int8.onnx"
    quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
    source = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    quantize_static(
        str(prepared),
        str(quantised),
        Photographs(source.get_inputs()[0].name, calibration),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return quantised


def measure_in_turn(variants: dict[str, Variant], pixels: np.ndarray) -> dict[str, float]:
    """Return each variant's median time for one photograph in ms."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, variant in variants.items():
            variant.run(variant.feed(pixels))
            for _ in range(PER_ROUND):
                start = time.perf_counter()
                variant.run(variant.feed(pixels))
                times[name].append(time.perf_counter() - start)
    return {name: 1000 * median(values) for name, values in times.items()}


if __name__ == "__main__":
    main()
