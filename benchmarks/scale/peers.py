"""What `har score` is compared with; each prints when it could begin and when it ended.

python -m benchmarks.scale.peers plain|ray_data|keras FOLDER WORKERS
python -m benchmarks.scale.peers bare|bare-int8 PHOTOGRAPHS WORKERS
"""

import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from har_core.model.loading import find_model
from har_core.model.manifest import GRAPH_FILES, KERAS_FILE, Precision

_SESSION: list[Any] = []
Times = tuple[float, float]
"""When it began and ended, in seconds since 1970."""


def _open_session(precision: Precision = "float32") -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    path = find_model() / GRAPH_FILES[precision]
    _SESSION.append(onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))


def _scaled(pixels: np.ndarray) -> np.ndarray:
    """Return pixels as the graph wants them: some scale them themselves."""
    if "uint8" in _SESSION[0].get_inputs()[0].type:
        return pixels
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


def _run_ready(n: int) -> None:
    """Run the network on pixels that are ready."""
    (session,) = _SESSION
    source, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    pixels = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    pixels = _scaled(pixels)
    for _ in range(n):
        session.run([output], {source: pixels})


def _run_files(paths: list[str]) -> None:
    """Read, decode and run, one after another, as a plain script does; nothing is written."""
    from PIL import Image

    (session,) = _SESSION
    source, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    for path in paths:
        image = Image.open(path).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        pixels = _scaled(np.asarray(image)[np.newaxis])
        session.run([output], {source: pixels})


def _in_processes(
    work: Callable[[Any], None], tasks: list[Any], workers: int, precision: Precision = "float32"
) -> Times:
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, context, _open_session, (precision,)) as pool:
        list(pool.map(time.sleep, [0.5] * workers))  # until all have begun
        start = time.time()
        list(pool.map(work, tasks))
        return start, time.time()


def bare(n: int, workers: int, precision: Precision = "float32") -> Times:
    """Time ``session.run`` alone, with one thread in each process."""
    at_once = 16
    return _in_processes(_run_ready, [at_once] * (n // at_once), workers, precision)


def plain(folder: Path, workers: int) -> Times:
    """Time a loop over files in each process."""
    paths = [str(path) for path in sorted(folder.rglob("*.jpg"))]
    tasks = [paths[start : start + 64] for start in range(0, len(paths), 64)]
    return _in_processes(_run_files, tasks, workers)


def ray_data(folder: Path, workers: int) -> Times:
    """Time the pipeline that Ray Data's guide to batch inference shows, with ONNX Runtime."""
    import ray

    class Predictor:
        def __init__(self) -> None:
            _SESSION.clear()
            _open_session()

        def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            (session,) = _SESSION
            pixels = _scaled(np.stack(list(batch["image"])))
            outputs = session.run(None, {session.get_inputs()[0].name: pixels})
            return {"path": batch["path"], "probabilities": outputs[0]}

    # One more for reading: with as many as there are actors, the pipeline would wait for ever.
    ray.init(num_cpus=workers + 1, log_to_driver=False, logging_level="ERROR")
    ray.data.DataContext.get_current().enable_progress_bars = False
    start = time.time()
    with tempfile.TemporaryDirectory() as out:
        photographs = ray.data.read_images(
            str(folder), size=(224, 224), mode="RGB", include_paths=True
        )
        answered = photographs.map_batches(Predictor, batch_size=32, concurrency=workers)
        answered.write_parquet(out)
    end = time.time()
    ray.shutdown()
    return start, end


def keras(folder: Path, workers: int) -> Times:
    """Time ``predict`` over ``image_dataset_from_directory``."""
    import keras as library

    network = library.models.load_model(find_model() / KERAS_FILE)
    photographs = library.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(224, 224), batch_size=32, shuffle=False
    ).map(lambda pixels: pixels / 127.5 - 1)
    start = time.time()
    network.predict(photographs, verbose=0)
    return start, time.time()


if __name__ == "__main__":
    name, what, workers = sys.argv[1], sys.argv[2], int(sys.argv[3])
    peers = {"plain": plain, "ray_data": ray_data, "keras": keras}
    if name in peers:
        start, end = peers[name](Path(what), workers)
    else:
        start, end = bare(int(what), workers, "int8" if name.endswith("int8") else "float32")
    print(f"from {start:.3f} to {end:.3f}")
