"""What `bundle.json` says of a model, the names of a bundle's files, and whether they are sound."""

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from har_core.errors import ModelBundleError
from har_core.images.preprocessing import PREPROCESSINGS, Preprocessing
from har_core.keras_io.checks import is_possible_side
from har_core.model.answers import AnswerRules
from har_core.model.temperature import apply_temperature
from har_core.storage.files import sha256_of_file
from har_core.threads import cores

MANIFEST_FILE: Final = "bundle.json"
CLASS_INDICES_FILE: Final = "class_indices.json"
KERAS_FILE: Final = "model.keras"
ONNX_FILE: Final = "model.onnx"
INT8_ONNX_FILE: Final = "model.int8.onnx"
Precision = Literal["float32", "int8"]
GRAPH_FILES: Final[dict[Precision, str]] = {"float32": ONNX_FILE, "int8": INT8_ONNX_FILE}
SPLITS_FILE: Final = "splits.parquet"
UNLABELLED_FILE: Final = "unlabelled.parquet"
INHERITED_FILE: Final = "inherited.parquet"
PREDICTIONS_FILE: Final = "evaluation/predictions.parquet"
CROSS_VALIDATED_FILE: Final = "evaluation/cross_validated.parquet"
TRAINING_LOG_FILE: Final = "training_log.csv"
MODEL_CARD_FILE: Final = "README.md"
NOVELTY_FILE: Final = "novelty.npz"
INT8_NOVELTY_FILE: Final = "novelty.int8.npz"
FORMAT_VERSION: Final = 1
_OPTIONAL: Final = frozenset({"answers"})
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
    preprocessing : {"none", "zero_to_one", "minus_one_to_one", "caffe", "torch"}
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
        (see `har_core.model.importing.import_model`).
    metrics : dict
        Headline metrics: ``split``, ``n`` and, per metric, ``{"value", "low", "high"}``.
    answers : dict
        See `har_core.model.answers.AnswerRules`; empty in bundles from before there were any.
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
    answers: dict[str, Any] = field(default_factory=dict)

    @property
    def rules(self) -> AnswerRules:
        """How the model answers."""
        return AnswerRules.from_dict(self.answers)

    def shown(self, probabilities: np.ndarray) -> np.ndarray:
        """Return what is shown of probabilities at temperature 1, float64, shape (N, C)."""
        return self.rules.shown(apply_temperature(probabilities, self.temperature))

    def to_json(self) -> str:
        """Return the text of ``bundle.json``."""
        body = {"format": FORMAT_VERSION, **dataclasses.asdict(self)}
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"


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


def checked_manifest(folder: Path, manifest: BundleManifest) -> BundleManifest:
    """Return a manifest as it would be read again from `folder`.

    Raises
    ------
    ModelBundleError
        If a value is invalid.
    """
    return _parse_manifest(json.loads(manifest.to_json()), folder / MANIFEST_FILE)


def _parse_manifest(body: dict[str, Any], path: Path) -> BundleManifest:
    fields = {f.name for f in dataclasses.fields(BundleManifest)}
    missing = fields - body.keys() - _OPTIONAL
    if missing:
        raise ModelBundleError(f"{path} lacks {', '.join(sorted(missing))}.")
    manifest = BundleManifest(**{name: body[name] for name in fields & body.keys()})
    names = manifest.class_names
    temperature = manifest.temperature
    checks = {
        "name": isinstance(manifest.name, str) and bool(_NAME.fullmatch(manifest.name)),
        "input_size": type(manifest.input_size) is int and is_possible_side(manifest.input_size),
        "preprocessing": manifest.preprocessing in PREPROCESSINGS,
        "class_names": isinstance(names, list)
        and len(names) >= 2
        and all(isinstance(n, str) for n in names)
        and len(set(names)) == len(names),
        "temperature": isinstance(temperature, int | float) and 0 < temperature < 1e3,
        "created": isinstance(manifest.created, str),
        "files": isinstance(manifest.files, dict)
        and all(isinstance(v, str) for v in manifest.files.values()),
        "architecture": isinstance(manifest.architecture, str),
        "training": isinstance(manifest.training, dict),
        "metrics": isinstance(manifest.metrics, dict),
        "answers": _are_rules(manifest.answers),
    }
    wrong = [name for name, valid in checks.items() if not valid]
    if not wrong:
        wrong = [*_wrong_in_training(manifest.training), *_wrong_in_metrics(manifest.metrics)]
    if wrong:
        raise ModelBundleError(f"{path} has an invalid value for {', '.join(wrong)}.")
    return dataclasses.replace(manifest, class_names=tuple(names))


def _wrong_in_training(training: dict[str, Any]) -> Iterator[str]:
    """Yield what a run's record holds of another kind than those who read it expect."""
    counts = training.get("photographs", {})
    if not (isinstance(counts, dict) and all(type(n) is int for n in counts.values())):
        yield "training.photographs"
    names = training.get("unrecorded", [])
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        yield "training.unrecorded"
    if not isinstance(training.get("settings") or {}, dict):
        yield "training.settings"


def _wrong_in_metrics(metrics: dict[str, Any]) -> Iterator[str]:
    values = {name: value for name, value in metrics.items() if name not in ("split", "n")}
    if not (type(metrics.get("n", 0)) is int and (not values or "n" in metrics)):
        yield "metrics.n"
    if not (isinstance(metrics.get("split", ""), str) and (not values or "split" in metrics)):
        yield "metrics.split"
    for name, value in values.items():
        ends = [value.get(key) for key in ("value", "low", "high")] if type(value) is dict else []
        if not (ends and all(isinstance(end, int | float) for end in ends)):
            yield f"metrics.{name}"


def _are_rules(answers: Any) -> bool:
    try:
        AnswerRules.from_dict(answers)
    except (ValueError, TypeError):
        return False
    return True


@contextlib.contextmanager
def verifying(
    folder: str | Path, *, first: Sequence[str] = ()
) -> Iterator[tuple[BundleManifest, Callable[..., None]]]:
    """Check a bundle's files against their sha256 while the block runs, and end when that is done.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    first : sequence of str
        Files to begin with.

    Yields
    ------
    BundleManifest
    callable
        Called with names of files, it returns when these are checked.

    Raises
    ------
    ModelBundleError
        If the manifest is invalid, or a listed file is missing, outside the bundle, or changed;
        the message names the file. It comes before whatever the block raises.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    order = sorted(manifest.files, key=lambda name: name not in first)
    # Hashing leaves Python's interpreter to the block, and so should it one of the cores.
    with ThreadPoolExecutor(max(1, cores() - 1)) as pool:
        checks = {name: pool.submit(_verify_file, folder, manifest, name) for name in order}

        def wait_for(*names: str) -> None:
            for name in names:
                if name in checks:
                    checks[name].result()

        try:
            yield manifest, wait_for
        finally:
            wait_for(*order)


def _verify_file(folder: Path, manifest: BundleManifest, relative: str) -> None:
    path = folder / relative
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ModelBundleError(f"{folder / MANIFEST_FILE} lists {relative!r}, outside it.")
        found = sha256_of_file(path)
    except FileNotFoundError as error:
        raise ModelBundleError(
            f"{path} is missing from the model bundle {manifest.name!r}; restore the folder "
            "(the shipped model: from git, or by a new installation) or train it again."
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the path
        raise ModelBundleError(f"Cannot read {str(path)!r}: {error}.") from error
    if found != manifest.files[relative]:
        raise ModelBundleError(
            f"{path} is damaged: its sha256 is not the one in {MANIFEST_FILE}; restore the "
            "folder (the shipped model: from git, or by a new installation) or train it again."
        )
