"""One photograph, from the bytes of its file to a `Prediction`."""

import io
import time
from collections.abc import Callable
from statistics import median
from typing import Final

import numpy as np
import simplejpeg
from PIL import Image

import har_core
from benchmarks.bench_predict import EXAMPLE, small_jpeg
from benchmarks.peers.running import BareSession, KerasPredict
from benchmarks.table import Row, at_least, at_most
from benchmarks.wanted import ONE_JPEG
from har_core.model.manifest import INT8_ONNX_FILE

ROUNDS: Final = 10
PER_ROUND: Final = 30


def measure() -> list[Row]:
    """Take turns, so that whatever else the machine does slows all of them."""
    model = har_core.load_model()
    bare, keras = BareSession(), KerasPredict()
    small, large, detailed = small_jpeg(), twelve_megapixels(noise=0), twelve_megapixels(noise=6)
    runs: dict[str, Callable[[], object]] = {
        "bare": bare.run,
        "small": lambda: model.predict(small),
        "large": lambda: model.predict(large),
        "detailed": lambda: model.predict(detailed),
        "decoding": lambda: simplejpeg.decode_jpeg(detailed, min_height=375, min_width=500),
    }
    if INT8_ONNX_FILE in model.manifest.files:
        runs["int8"] = BareSession(graph=INT8_ONNX_FILE).run
    times: dict[str, list[float]] = {name: [] for name in [*runs, "keras"]}
    keras.seconds(10)
    for run in runs.values():
        seconds(run, 10)
    for _ in range(ROUNDS):
        for name, run in runs.items():
            times[name] += seconds(run, PER_ROUND)
        times["keras"] += keras.seconds(PER_ROUND // 3)
    keras.close()
    ms = {name: 1000 * median(values) for name, values in times.items()}
    what = "275×183 JPEG, bytes → Prediction, median of 300"
    return [
        at_most(
            what,
            ms["small"] / ms["bare"],
            ONE_JPEG,
            "× P1",
            f"{ms['small']:.1f} : {ms['bare']:.1f} ms",
        ),
        at_least(
            what,
            ms["keras"] / ms["small"],
            8,
            "× faster than P2",
            f"{ms['small']:.1f} : {ms['keras']:.1f} ms",
        ),
        at_most(
            f"12-megapixel JPEG enlarged, {len(large) / 1e6:.1f} MB",
            ms["large"] / ms["small"],
            3,
            "× the small one",
            f"{ms['large']:.1f} : {ms['small']:.1f} ms",
        ),
        # Every Huffman code of it must be read, whatever size is wanted.
        at_most(
            f"12-megapixel JPEG with sensor noise, {len(detailed) / 1e6:.1f} MB",
            ms["detailed"] / (ms["decoding"] + ms["small"]),
            1.1,
            "× libjpeg-turbo at an eighth + the small one",
            f"{ms['detailed']:.1f} : {ms['decoding']:.1f} + {ms['small']:.1f} ms",
        ),
        *(
            at_most(
                "the bundle's 8-bit graph alone",
                ms[name] / ms["bare"],
                0.65,
                "× P1",
                f"{ms[name]:.1f} : {ms['bare']:.1f} ms",
            )
            for name in ms.keys() & {"int8"}
        ),
    ]


def seconds(run: Callable[[], object], n: int) -> list[float]:
    """Return how long each of `n` calls takes."""
    times = []
    for _ in range(n):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def twelve_megapixels(noise: float) -> bytes:
    """Return the example at 4000×3000 pixels; noise is what makes a camera's file large."""
    image = Image.open(EXAMPLE).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC)
    pixels = np.asarray(image) + np.random.default_rng(0).normal(0, noise, (3000, 4000, 1))
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
