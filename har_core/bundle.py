"""Model bundles: one folder per model with a manifest, checksums, and crash-safe writing."""

import contextlib
import dataclasses
import errno
import functools
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from har_core.errors import ModelBundleError
from har_core.images.preprocessing import PREPROCESSINGS, Preprocessing
from har_core.storage.files import sha256_of_file, write_atomically, write_synced

MANIFEST_FILE: Final = "bundle.json"
CLASS_INDICES_FILE: Final = "class_indices.json"
KERAS_FILE: Final = "model.keras"
ONNX_FILE: Final = "model.onnx"
SPLITS_FILE: Final = "splits.parquet"
PREDICTIONS_FILE: Final = "evaluation/predictions.parquet"
CROSS_VALIDATED_FILE: Final = "evaluation/cross_validated.parquet"
TRAINING_LOG_FILE: Final = "training_log.csv"
MODEL_CARD_FILE: Final = "README.md"

FORMAT_VERSION: Final = 1
_REPLACEMENT_TRIES: Final = 10
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class BundleManifest:
    """What ``bundle.json`` says of a model.

    Parameters
    ----------
    name : str
        Folder name; letters, digits, ``.``, ``_`` and ``-``.
    architecture : str
        The network in words, e.g. ``"MobileNetV2 → LSTM(128) → softmax"``.
    input_size : int
        Side of the square input in pixels.
    preprocessing : {"minus_one_to_one", "zero_to_one"}
        Scaling that the network expects; a wrong one fails silently, so it is data.
    class_names : tuple of str
        In the order of the network's outputs.
    created : str
        ISO 8601 time in UTC.
    temperature : float
        Positive divisor of the logits, fitted on the validation split (of a refitted model: that
        of an earlier one, which had not learned from it); 1 leaves them alone.
    files : dict of str to str
        Relative path to sha256 (hex) of every other file of the bundle.
    training : dict
        Settings, package versions and dataset fingerprint of the run; if imported, the origin
        (see `har_core.importing.import_model`).
    metrics : dict
        Headline metrics: ``split``, ``n`` and, per metric, ``{"value", "low", "high"}``.
    """

    name: str
    architecture: str
    input_size: int
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    created: str = field(
        default_factory=lambda: datetime.now(UTC).replace(microsecond=0).isoformat()
    )
    temperature: float = 1.0
    files: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the text of ``bundle.json``."""
        body = {"format": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class BundleEntry:
    """One folder of the models directory: its manifest, or why it cannot be used."""

    name: str
    path: Path
    manifest: BundleManifest | None
    error: str | None = None


def models_dir() -> Path:
    """Return the folder of model bundles: ``HAR_MODELS_DIR``, else ``models/`` of the project."""
    override = os.environ.get("HAR_MODELS_DIR", "").strip()
    return Path(override).expanduser() if override else Path(__file__).parents[1] / "models"


def check_bundle_name(name: str) -> str:
    """Return `name` if it can be a bundle's folder name.

    Raises
    ------
    ModelBundleError
        If it is empty, longer than 64 characters, or holds anything but letters, digits,
        ``.``, ``_`` and ``-`` (or starts with a dot).
    """
    if not _NAME.fullmatch(name):
        raise ModelBundleError(
            f"{name!r} cannot be a model name: use up to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit."
        )
    return name


def read_manifest(folder: str | Path) -> BundleManifest:
    """Read and validate ``bundle.json``, without looking at the other files.

    Raises
    ------
    ModelBundleError
        If the file is missing, is not JSON, or lacks or mistypes a field.
    """
    path = Path(folder) / MANIFEST_FILE
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelBundleError(
            f"{folder} is not a model bundle: it has no {MANIFEST_FILE}."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelBundleError(f"Cannot read {path}: {error}.") from error
    if not isinstance(body, dict):
        raise ModelBundleError(f"{path} must hold a JSON object.")
    if body.get("format") != FORMAT_VERSION:
        raise ModelBundleError(
            f"{path} has format {body.get('format')!r}; this version reads format "
            f"{FORMAT_VERSION}. Train or import the model again."
        )
    return _parse_manifest(body, path)


def _parse_manifest(body: dict[str, Any], path: Path) -> BundleManifest:
    fields = {f.name for f in dataclasses.fields(BundleManifest)}
    missing = fields - body.keys()
    if missing:
        raise ModelBundleError(f"{path} lacks {', '.join(sorted(missing))}.")
    manifest = BundleManifest(**{name: body[name] for name in fields})
    names = manifest.class_names
    temperature = manifest.temperature
    checks = {
        "name": isinstance(manifest.name, str) and bool(_NAME.fullmatch(manifest.name)),
        "input_size": type(manifest.input_size) is int and 0 < manifest.input_size <= 4096,
        "preprocessing": manifest.preprocessing in PREPROCESSINGS,
        "class_names": isinstance(names, list)
        and len(names) >= 2
        and all(isinstance(n, str) for n in names)
        and len(set(names)) == len(names),
        "temperature": isinstance(temperature, int | float) and 0 < temperature < 1e3,
        "created": isinstance(manifest.created, str),
        "files": isinstance(manifest.files, dict)
        and all(isinstance(v, str) for v in manifest.files.values()),
        "training": isinstance(manifest.training, dict),
        "metrics": isinstance(manifest.metrics, dict),
    }
    wrong = [name for name, valid in checks.items() if not valid]
    if wrong:
        raise ModelBundleError(f"{path} has an invalid value for {', '.join(wrong)}.")
    return dataclasses.replace(manifest, class_names=tuple(names))


def verify_bundle(folder: str | Path) -> BundleManifest:
    """Read a bundle's manifest and check every file that it lists against its sha256.

    Raises
    ------
    ModelBundleError
        If the manifest is invalid, or a listed file is missing, outside the bundle, or changed;
        the message names the file.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for relative, expected in manifest.files.items():
        path = folder / relative
        try:
            if not path.resolve().is_relative_to(folder.resolve()):
                raise ModelBundleError(f"{folder / MANIFEST_FILE} lists {relative!r}, outside it.")
            found = sha256_of_file(path)
        except FileNotFoundError as error:
            raise ModelBundleError(
                f"{path} is missing from the model bundle {manifest.name!r}; restore the folder "
                "(for the shipped model: git checkout) or train it again."
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
            raise ModelBundleError(f"Cannot read {str(path)!r}: {error}.") from error
        if found != expected:
            raise ModelBundleError(
                f"{path} is damaged: its sha256 is not the one in {MANIFEST_FILE}; restore the "
                "folder (for the shipped model: git checkout) or train it again."
            )
    return manifest


def write_bundle(
    folder: str | Path,
    manifest: BundleManifest,
    files: Mapping[str, bytes | Path],
    *,
    overwrite: bool = False,
) -> BundleManifest:
    """Write a bundle to a temporary folder and rename it: a crash leaves the old or the new one.

    Parameters
    ----------
    folder : str or Path
        Destination; its last part must equal ``manifest.name``.
    manifest : BundleManifest
        Its ``files`` are computed here.
    files : mapping of str to bytes or Path
        Relative path to content, or to the file to copy.
    overwrite : bool, default False
        Replace a bundle that is already there.

    Returns
    -------
    BundleManifest
        As written, checksums included.

    Raises
    ------
    ModelBundleError
        If the manifest is invalid, or the folder exists and `overwrite` is false, or it cannot be
        written.
    """
    folder = Path(folder)
    check_bundle_name(manifest.name)
    if folder.name != manifest.name:
        raise ValueError(f"The folder {folder} must be named {manifest.name!r} like the bundle.")
    _parse_manifest(json.loads(manifest.to_json()), folder / MANIFEST_FILE)
    # First of all, or a bundle that a crash has put aside would be replaced unasked.
    restore_interrupted_replacement(folder)
    if folder.exists() and not overwrite:
        raise ModelBundleError(
            f"{folder} exists already; choose another name or allow overwriting."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            staging.chmod(0o755)
            checksums = {}
            for relative, content in files.items():
                target = staging / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                write_synced(target, content)
                checksums[relative] = sha256_of_file(target)
            manifest = dataclasses.replace(manifest, files=checksums)
            write_synced(staging / MANIFEST_FILE, manifest.to_json().encode())
            _replace_folder(folder, staging)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    except OSError as error:
        raise ModelBundleError(f"Cannot write the model bundle {folder}: {error}.") from error
    return manifest


def update_manifest(folder: str | Path, **changes: Any) -> BundleManifest:
    """Change fields of ``bundle.json`` in one atomic step (e.g. ``temperature=1.3``).

    Returns
    -------
    BundleManifest
        As written.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read, a changed value is invalid, or writing fails.
    """
    folder = Path(folder)
    changed = dataclasses.replace(read_manifest(folder), **changes)
    body = json.loads(changed.to_json())
    manifest = _parse_manifest(body, folder / MANIFEST_FILE)
    try:
        write_atomically(folder / MANIFEST_FILE, manifest.to_json().encode())
    except OSError as error:
        raise ModelBundleError(f"Cannot write {folder / MANIFEST_FILE}: {error}.") from error
    return manifest


def list_bundles(folder: str | Path | None = None) -> list[BundleEntry]:
    """List the model bundles of a folder, newest first, unreadable ones last.

    Parameters
    ----------
    folder : str or Path, optional
        Default: `models_dir`.

    Returns
    -------
    list of BundleEntry
        Folders whose manifest cannot be read have ``manifest=None`` and an ``error``.
    """
    root = models_dir() if folder is None else Path(folder)
    if not root.is_dir():
        return []
    names = os.listdir(root)  # noqa: PTH208 - every request lists them; this is a third of the time
    leftovers = [n for n in names if n.startswith(".") and n.endswith(".replaced")]
    for leftover in leftovers:
        restore_interrupted_replacement(root / leftover[1 : -len(".replaced")])
    if leftovers:
        names = os.listdir(root)  # noqa: PTH208
    entries = []
    for name in sorted(names):
        stamp = _manifest_stamp(f"{root}/{name}")
        if name.startswith(".") or stamp is None:
            continue
        path = root / name
        try:
            entries.append(BundleEntry(name, path, _read_manifest_once(path, stamp)))
        except ModelBundleError as error:
            entries.append(BundleEntry(name, path, None, str(error)))
    usable = [e for e in entries if e.manifest is not None]
    usable.sort(key=lambda e: e.manifest.created if e.manifest else "", reverse=True)
    return usable + [e for e in entries if e.manifest is None]


def _manifest_stamp(folder: str) -> tuple[int, ...] | None:
    """Return what changes with a manifest; (0,) without one, None if `folder` is no folder."""
    try:
        status = os.stat(f"{folder}/{MANIFEST_FILE}")  # noqa: PTH116
    except OSError:
        return (0,) if Path(folder).is_dir() else None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=256)
def _read_manifest_once(folder: Path, stamp: tuple[int, ...]) -> BundleManifest:
    """Read a manifest once for each state that it is in; a failure is not remembered."""
    return read_manifest(folder)


def restore_interrupted_replacement(folder: Path) -> None:
    """Finish or undo a replacement of `folder` that was killed between its two renames.

    In a folder that cannot be written (or where another process is faster) nothing happens.
    """
    previous = folder.parent / f".{folder.name}.replaced"
    if folder.exists():
        shutil.rmtree(previous, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            previous.rename(folder)


def _replace_folder(folder: Path, staging: Path) -> None:
    if not folder.exists():
        staging.rename(folder)
        return
    previous = folder.parent / f".{folder.name}.replaced"
    for _ in range(_REPLACEMENT_TRIES):
        folder.rename(previous)
        try:
            staging.rename(folder)
        except BaseException as error:
            if previous.exists():
                previous.rename(folder)
                raise
            if not isinstance(error, OSError):
                raise
            # Somebody who lists the models took the moment between the two for a killed
            # replacement, and put the old bundle back.
        else:
            shutil.rmtree(previous, ignore_errors=True)
            return
    raise OSError(errno.EBUSY, "the folder is in use")
