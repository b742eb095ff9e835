"""Taking a model out of its bundle, in the formats of other programs, with equal answers."""

import io
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

import numpy as np

from har_core.errors import ModelBundleError
from har_core.export.hub import hub_files
from har_core.extras import require_training_extra
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.checks import probe_pictures
from har_core.keras_io.litert import convert_to_litert, run_litert
from har_core.keras_io.loading import load_network
from har_core.keras_io.onnx_export import TOLERANCE, export_onnx
from har_core.model import bundle
from har_core.model.engine import KerasEngine, OnnxEngine
from har_core.model.loading import load_bundle, load_model
from har_core.model.manifest import KERAS_FILE, MANIFEST_FILE, ONNX_FILE, BundleManifest
from har_core.model.temperature import apply_temperature
from har_core.storage.files import write_named, write_synced
from har_core.storage.paths import exists

ExportFormat = Literal["onnx", "keras", "litert", "hf", "zip"]
EXPORT_FORMATS: Final[tuple[str, ...]] = get_args(ExportFormat)
_SUFFIXES: Final[dict[str, ExportFormat]] = {
    ".onnx": "onnx",
    ".keras": "keras",
    ".tflite": "litert",
    ".zip": "zip",
}
_Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Export:
    """What was written.

    Parameters
    ----------
    path : Path
        A file, or for ``hf`` a folder.
    n_bytes : int
        Its size.
    difference : float or None
        Largest difference of a probability from the bundle's own answers, on drawn pictures; None
        for a ZIP of the bundle itself.
    """

    path: Path
    n_bytes: int
    difference: float | None


def export_model(
    folder: str | Path,
    destination: str | Path,
    format: str | None = None,
    *,
    license: str | None = None,
) -> Export:
    """Write a bundle's network for other programs, once its answers are found to be equal.

    Networks take float32 pixels (N, S, S, 3), or (1, S, S, 3) in LiteRT, scaled as the manifest
    says, and give probabilities before the temperature.

    Parameters
    ----------
    folder : str or Path
        The bundle.
    destination : str or Path
        File, or for ``hf`` a folder that is not there yet; replaced or made in one step.
    format : {"onnx", "keras", "litert", "hf", "zip"}, optional
        ``hf``: a folder as Hugging Face's hub shows it, with a model card; ``zip``: the whole
        bundle. Default: by the suffix ``.onnx``, ``.keras``, ``.tflite`` or ``.zip``.
    license : str, optional
        For the card of ``hf``, as the hub names licences, e.g. ``"mit"``.

    Returns
    -------
    Export

    Raises
    ------
    ModelBundleError
        If the format is not known or the bundle lacks what it is made of; if TensorFlow is needed
        and missing; if the answers differ by more than 1e-4; or if it cannot be written.
    """
    folder, destination = Path(folder), Path(destination)
    chosen = _format_of(destination, format)
    manifest = bundle.verify_bundle(folder)
    if chosen == "hf":
        return _export_for_hub(folder, manifest, destination, license)
    if chosen == "zip":
        content, difference = _zip_of(folder, manifest), None
    else:
        content, run = _converted(folder, manifest, chosen)
        difference = _check_parity(folder, manifest, run, f"The {chosen} file")
    try:
        write_named(destination, content)
    except (OSError, ValueError) as error:  # the latter of a path with a NUL
        cause = getattr(error, "strerror", None) or error
        raise ModelBundleError(f"Cannot write {destination}: {cause}.") from error
    return Export(destination, len(content), difference)


def _format_of(destination: Path, stated: str | None) -> ExportFormat:
    by_suffix = _SUFFIXES.get(destination.suffix.lower())
    if stated is None:
        if by_suffix is None:
            raise ModelBundleError(
                f"Cannot export to {destination}: the name must end in .onnx, .keras or .zip, or "
                ".tflite for LiteRT; or add --format hf for a folder."
            )
        return by_suffix
    for name in get_args(ExportFormat):
        if name == stated:
            if by_suffix not in (name, None):
                raise ModelBundleError(
                    f"{destination} is the name of a file of the format {by_suffix}, not {stated}."
                )
            return name
    raise ModelBundleError(
        f"The format must be {', '.join(EXPORT_FORMATS[:-1])} or {EXPORT_FORMATS[-1]}, "
        f"not {stated!r}."
    )


def _converted(folder: Path, manifest: BundleManifest, chosen: ExportFormat) -> tuple[bytes, _Run]:
    """Return a file's content, and what runs it on scaled pixels."""
    if chosen == "onnx" and ONNX_FILE in manifest.files:
        return (folder / ONNX_FILE).read_bytes(), OnnxEngine(folder / ONNX_FILE).run
    if KERAS_FILE not in manifest.files:
        lacking = f"The model {manifest.name!r} holds no {KERAS_FILE}, which this format is made of"
        if ONNX_FILE in manifest.files:  # of a quick training, or imported
            lacking += ": export FILE.onnx, or a model of 'har train --effort standard'"
        raise ModelBundleError(f"{lacking}.")
    require_training_extra(f"Exporting to the format {chosen}")
    network = load_network(folder / KERAS_FILE)
    if chosen == "keras":
        content = (folder / KERAS_FILE).read_bytes()
        return content, KerasEngine(network, folder / KERAS_FILE).run
    if chosen == "litert":
        content = convert_to_litert(network)
        return content, lambda pixels: run_litert(content, pixels)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / ONNX_FILE
        export_onnx(network, path, probe=_probe(manifest))
        return path.read_bytes(), OnnxEngine(path).run


def _probe(manifest: BundleManifest) -> np.ndarray:
    return scale_pixels(probe_pictures(manifest.input_size), manifest.preprocessing)


def _check_parity(folder: Path, manifest: BundleManifest, run: _Run, what: str) -> float:
    in_float = ONNX_FILE in manifest.files
    model = load_bundle(folder, precision="float32") if in_float else load_model(folder)
    expected = model.predict_probabilities(probe_pictures(manifest.input_size), raw=True)
    answers = [
        apply_temperature(p, manifest.temperature) for p in (run(_probe(manifest)), expected)
    ]
    difference = float(np.abs(answers[0] - answers[1]).max())
    # Written so that NaN counts as a difference.
    if not difference <= TOLERANCE:
        raise ModelBundleError(
            f"{what} answers differently from {manifest.name!r}, by up to {difference:.2g} in a "
            f"probability (allowed: {TOLERANCE:.2g}); it was not written."
        )
    return difference


def _export_for_hub(
    folder: Path, manifest: BundleManifest, destination: Path, license: str | None
) -> Export:
    if exists(destination):
        raise ModelBundleError(f"{destination} exists already; name a folder that does not.")
    difference = 0.0
    networks: dict[str, bytes] = {}
    formats: tuple[tuple[ExportFormat, str], ...] = (("onnx", ONNX_FILE), ("keras", KERAS_FILE))
    for kind, name in formats:
        if name in manifest.files:
            content, run = _converted(folder, manifest, kind)
            difference = max(difference, _check_parity(folder, manifest, run, name))
            networks[name] = content
    if not networks:
        raise ModelBundleError(f"{folder} holds neither {ONNX_FILE} nor {KERAS_FILE}.")
    files = {**networks, **hub_files(folder, manifest, license)}
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export", dir=destination.parent) as temporary:
            staging = Path(temporary) / "folder"
            staging.mkdir()
            for name, content in files.items():
                write_synced(staging / name, content)
            staging.rename(destination)
    except (OSError, ValueError) as error:  # the latter of a path with a NUL
        cause = getattr(error, "strerror", None) or error
        raise ModelBundleError(f"Cannot write {destination}: {cause}.") from error
    return Export(destination, sum(map(len, files.values())), difference)


def _zip_of(folder: Path, manifest: BundleManifest) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
        for relative in (MANIFEST_FILE, *manifest.files):
            archive.write(folder / relative, f"{manifest.name}/{relative}")
    return buffer.getvalue()
