"""Time of one prediction, from the bytes of a small JPEG, against the bare network's run.

Run: python benchmarks/bench_predict.py
"""

import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

import har_core
from har_core.model.loading import find_model
from har_core.model.manifest import ONNX_FILE

REPEATS = 300
EXAMPLE = Path(__file__).parents[1] / "dashboard" / "examples" / "cycling.jpg"


def median_ms(run: Callable[[], object]) -> float:
    for _ in range(20):
        run()
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def small_jpeg() -> bytes:
    """Return the example at the dataset's median size, 275×183."""
    buffer = io.BytesIO()
    Image.open(EXAMPLE).resize((275, 183)).save(buffer, "JPEG")
    return buffer.getvalue()


def main() -> None:
    model, folder = har_core.load_model(), find_model()
    session = onnxruntime.InferenceSession(folder / ONNX_FILE)
    side = model.manifest.input_size
    pixels = np.random.default_rng(0).uniform(-1, 1, (1, side, side, 3)).astype(np.float32)
    name = session.get_inputs()[0].name
    data = small_jpeg()
    bare = median_ms(lambda: session.run(None, {name: pixels}))
    whole = median_ms(lambda: model.predict(data))
    print(f"{model.name}, median of {REPEATS}")
    print(f"bare session.run            {bare:6.1f} ms")
    print(f"bytes to Prediction         {whole:6.1f} ms   {whole / bare:.2f} × bare")


if __name__ == "__main__":
    main()
