"""Whether a bundle's network computes in float32 or with 8 bits on this processor."""

import contextlib
import hashlib
import json
import platform
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import HarError, ModelBundleError
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.checks import probe_pictures
from har_core.model.engine import OnnxEngine
from har_core.model.manifest import INT8_ONNX_FILE, ONNX_FILE, BundleManifest
from har_core.settings import PRECISION
from har_core.storage.cache import cache_dir
from har_core.storage.files import write_atomically

_ROUNDS: Final = 10
# A smaller gain is not worth another answer than float32's.
_WORTHWHILE: Final = 0.85
# Roundings that fall the other way move a probability by a hundredth or two; where 8-bit products
# saturate they are far off.
_TOLERANCE: Final = 0.1
_PROBES: Final = 2


def wanted_precision() -> str:
    """Return what `har_core.settings.PRECISION` says: ``"float32"``, ``"int8"`` or ``"auto"``.

    Raises
    ------
    ModelBundleError
        If it says anything else.
    """
    wanted = PRECISION.value or "float32"
    if wanted not in ("float32", "int8", "auto"):
        raise ModelBundleError(f"{PRECISION.name} is {wanted!r}; it must be float32, int8 or auto.")
    return wanted


def graph_to_run(folder: Path, manifest: BundleManifest) -> Path:
    """Return the file of the graph to run.

    For ``auto`` both are tried on drawn pictures, once for each processor: the 8-bit graph is taken
    if it is faster, and exact.

    Parameters
    ----------
    folder : Path
        Of a bundle.
    manifest : BundleManifest
        Verified.

    Raises
    ------
    ModelBundleError
        If the environment names a precision that there is not, or ONNX Runtime cannot load a graph.
    """
    wanted = wanted_precision()
    if INT8_ONNX_FILE not in manifest.files or wanted == "float32":
        return folder / ONNX_FILE
    if wanted == "int8" or _int8_pays(folder, manifest):
        return folder / INT8_ONNX_FILE
    return folder / ONNX_FILE


def _int8_pays(folder: Path, manifest: BundleManifest) -> bool:
    import onnxruntime

    files = [manifest.files[name] for name in (ONNX_FILE, INT8_ONNX_FILE)]
    identity = "\n".join([*files, _processor(), onnxruntime.__version__])
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    path = cache_dir() / "precision" / f"{name}.json"
    # Not measured yet, or a file that was cut off.
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return bool(json.loads(path.read_text())["int8_pays"])
    found = compare_graphs(folder, manifest)
    with contextlib.suppress(OSError):  # the next start measures again
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(found).encode())
    return bool(found["int8_pays"])


def compare_graphs(folder: Path, manifest: BundleManifest) -> dict[str, Any]:
    """Run both graphs of a bundle on one core.

    Returns
    -------
    dict
        ``time_ratio``, of 8 bits to float32; ``difference``, the largest between probabilities of
        the 8-bit graph and of the same sums in float32; and ``int8_pays``.
    """
    pixels = probe_pictures(manifest.input_size)[:_PROBES]
    graphs = [OnnxEngine(folder / name, one_core=True) for name in (ONNX_FILE, INT8_ONNX_FILE)]
    batches = [scale_pixels(pixels[:1], manifest.preprocessing), pixels[:1]]
    least = [np.inf, np.inf]
    # In turns, so that other work slows both; the shortest of each is that with the least of it.
    for _ in range(_ROUNDS):
        for i, (engine, batch) in enumerate(zip(graphs, batches, strict=True)):
            start = time.perf_counter()
            engine.run(batch, alone=False)
            least[i] = min(least[i], time.perf_counter() - start)
    difference = _difference(folder, graphs[1], pixels)
    ratio = least[1] / least[0]
    pays = ratio <= _WORTHWHILE and difference <= _TOLERANCE
    return {"time_ratio": ratio, "difference": difference, "int8_pays": pays}


def check_exact(folder: Path, input_size: int) -> None:
    """Check that this processor computes the 8-bit graph of a bundle exactly; 0.2 s of one core.

    Raises
    ------
    HarError
        If its answers would be others.
    ModelBundleError
        If ONNX Runtime cannot load the graph.
    """
    engine = OnnxEngine(folder / INT8_ONNX_FILE, one_core=True)
    difference = _difference(folder, engine, probe_pictures(input_size)[:_PROBES])
    if not difference <= _TOLERANCE:
        raise HarError(
            f"The processor of {platform.node()} does not compute exactly with 8 bits: "
            f"probabilities are off by up to {difference:.2f}. Use float32, or another machine."
        )


def _difference(folder: Path, engine: OnnxEngine, pixels: np.ndarray) -> float:
    """Return the largest difference between an 8-bit graph and the same sums in float32."""
    exact = OnnxEngine(folder / INT8_ONNX_FILE, one_core=True, optimised=False)
    return float(np.abs(exact.run(pixels) - engine.run(pixels)).max())


def _processor() -> str:
    """Return what tells this processor from others."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags"))}))
