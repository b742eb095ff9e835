"""The classifier as its users see it: a photograph in, a `Prediction` out."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from har_core import bundle
from har_core.bundle import BundleManifest
from har_core.engine import Engine, KerasEngine, OnnxEngine
from har_core.errors import InvalidImageError, ModelBundleError
from har_core.images.decoding import decode_square, read_bytes
from har_core.images.preprocessing import Preprocessing, resize_image, scale_pixels
from har_core.keras_io.checks import check_probabilities, probe_pictures
from har_core.labels import read_class_indices

ImageSource = bytes | str | os.PathLike[str] | np.ndarray


@dataclass(frozen=True)
class Prediction:
    """What the model says of one photograph.

    Parameters
    ----------
    action : str
        The most probable class.
    confidence : float
        Its probability, in [0, 1].
    probabilities : dict of str to float
        Every class in the model's order; sums to 1.
    """

    action: str
    confidence: float
    probabilities: dict[str, float]

    @classmethod
    def from_probabilities(
        cls, class_names: Sequence[str], probabilities: np.ndarray
    ) -> "Prediction":
        """Build from one row of probabilities, shape (C,), summing to 1."""
        best = int(np.argmax(probabilities))
        return cls(
            action=class_names[best],
            confidence=float(probabilities[best]),
            probabilities={n: float(p) for n, p in zip(class_names, probabilities, strict=True)},
        )

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable (class, probability) pairs, best first."""
        ranked = sorted(self.probabilities.items(), key=lambda item: item[1], reverse=True)
        return ranked[:k]


class ActionModel:
    """A loaded model; every method may be called from several threads.

    Use `load_model` to get one.

    Parameters
    ----------
    manifest : BundleManifest
        Class names, input size, scaling and temperature.
    engine : Engine
        Runs the network.
    """

    def __init__(self, manifest: BundleManifest, engine: Engine) -> None:
        if engine.n_classes != len(manifest.class_names):
            raise ModelBundleError(
                f"The network of {manifest.name!r} has {engine.n_classes} outputs but "
                f"{len(manifest.class_names)} class names."
            )
        self.manifest = manifest
        self._engine = engine
        self._callers = 0
        self._callers_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"ActionModel({self.name!r}, {len(self.class_names)} classes)"

    @property
    def name(self) -> str:
        """Name of the bundle."""
        return self.manifest.name

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the network's outputs."""
        return self.manifest.class_names

    def predict(self, source: ImageSource, *, others_wait: bool = False) -> Prediction:
        """Classify one photograph.

        Parameters
        ----------
        source : bytes, path, or ndarray of uint8 with shape (H, W, 3)
            The file's content, its path, or decoded RGB pixels.
        others_wait : bool, default False
            More calls are about to come: leave the other cores to them, even if none has come yet.

        Returns
        -------
        Prediction

        Raises
        ------
        InvalidImageError
            If the source is no usable photograph.

        Examples
        --------
        >>> model = load_model()  # doctest: +SKIP
        >>> model.predict("photo.jpg").action  # doctest: +SKIP
        'running'
        """
        with self._at_work():
            pixels = self._prepare(source)
            (probabilities,) = self._run(pixels[np.newaxis], others_wait=others_wait)
        return Prediction.from_probabilities(self.class_names, probabilities)

    def predict_batch(
        self,
        sources: Sequence[ImageSource],
        *,
        batch_size: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[Prediction | InvalidImageError]:
        """Classify many photographs on all cores; one bad image does not spoil the rest.

        Parameters
        ----------
        sources : sequence
            Each as in `predict`.
        batch_size : int, optional
            Photographs per forward pass; also bounds the memory for decoded pixels. Default: what
            suits the engine.
        progress : callable, optional
            Called with (done, total) after every batch.

        Returns
        -------
        list of Prediction or InvalidImageError
            In the order of `sources`; the error of an unusable photograph stands in its place.
        """
        size = batch_size or self._engine.batch_size
        batches = [sources[start : start + size] for start in range(0, len(sources), size)]
        results: list[Prediction | InvalidImageError] = []
        # Every thread decodes its own batches, so that no core waits for another.
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            answers = [pool.submit(self._predict_one_batch, batch) for batch in batches]
            try:
                for answer in answers:
                    results += answer.result()
                    if progress is not None:
                        progress(len(results), len(sources))
            finally:
                pool.shutdown(cancel_futures=True)  # `progress` may have raised
        return results

    def predict_probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return calibrated class probabilities of photographs that already have the input size.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (N, S, S, 3)
            RGB, with S the bundle's input size.

        Returns
        -------
        ndarray of float64, shape (N, C)
            Rows sum to 1; the bundle's temperature is applied.
        """
        with self._at_work():
            return self._run(pixels)

    def _run(self, pixels: np.ndarray, *, others_wait: bool = False) -> np.ndarray:
        batch = scale_pixels(pixels, self.manifest.preprocessing)
        probabilities = self._engine.run(batch, alone=self._callers == 1 and not others_wait)
        return apply_temperature(probabilities, self.manifest.temperature)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Count the callers from decoding on: one that is still decoding needs its core as well."""
        with self._callers_lock:
            self._callers += 1
        try:
            yield
        finally:
            with self._callers_lock:
                self._callers -= 1

    def _predict_one_batch(
        self, sources: Sequence[ImageSource]
    ) -> list[Prediction | InvalidImageError]:
        with self._at_work():
            prepared = [self._prepare_or_error(source) for source in sources]
            usable = [item for item in prepared if isinstance(item, np.ndarray)]
            rows = iter(self._run(np.stack(usable)) if usable else ())
        return [
            item
            if isinstance(item, InvalidImageError)
            else Prediction.from_probabilities(self.class_names, next(rows))
            for item in prepared
        ]

    def _prepare(self, source: ImageSource) -> np.ndarray:
        size = self.manifest.input_size
        if isinstance(source, np.ndarray):
            return resize_image(_checked_array(source), size)
        return decode_square(source if isinstance(source, bytes) else read_bytes(source), size)

    def _prepare_or_error(self, source: ImageSource) -> np.ndarray | InvalidImageError:
        try:
            return self._prepare(source)
        except InvalidImageError as error:
            return error


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Divide the logits behind softmax probabilities by a temperature.

    Softmax is invariant to a constant, so ``log(p)`` serves as the logits (Guo et al. 2017,
    "On Calibration of Modern Neural Networks", arXiv:1706.04599). The ranking never changes.

    Parameters
    ----------
    probabilities : ndarray of float, shape (N, C)
        Rows of a softmax.
    temperature : float
        Positive; 1 only renormalises.

    Returns
    -------
    ndarray of float64, shape (N, C)
        Rows sum to 1.
    """
    scaled = np.asarray(probabilities, dtype=np.float64)
    if temperature != 1.0:
        with np.errstate(divide="ignore"):
            logits = np.log(scaled) / temperature
        scaled = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return scaled / scaled.sum(axis=-1, keepdims=True)


_cache: dict[Path, tuple[tuple[int, int], ActionModel]] = {}
_cache_lock = threading.Lock()


def load_model(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    preprocessing: Preprocessing = "minus_one_to_one",
) -> ActionModel:
    """Load a model once per process; later calls return the same object.

    A bundle's files are verified against their checksums. With an ONNX graph TensorFlow is never
    imported; without one, and for plain ``.keras`` files, Keras runs the network. A bundle whose
    manifest changed on disk is loaded again.

    Parameters
    ----------
    name_or_path : str or path, optional
        Name of a bundle in `har_core.bundle.models_dir`, path of a bundle, or path of a
        ``.keras`` file with a ``class_indices.json`` beside it. Default: the environment variable
        ``HAR_MODEL``, else the newest bundle.
    preprocessing : {"minus_one_to_one", "zero_to_one"}
        Scaling for a plain ``.keras`` file; bundles know their own.

    Returns
    -------
    ActionModel

    Raises
    ------
    ModelBundleError
        If there is no such model, or its files are damaged.
    """
    path = find_model(name_or_path)
    stamp_file = path / bundle.MANIFEST_FILE if path.is_dir() else path
    with _cache_lock:
        try:
            stat = stamp_file.stat()
        except OSError as error:
            raise ModelBundleError(f"Cannot read {stamp_file}: {error}.") from error
        stamp = (stat.st_mtime_ns, stat.st_size)
        cached = _cache.get(path)
        if cached is not None and cached[0] == stamp:
            return cached[1]
        model = _load_bundle(path) if path.is_dir() else _load_keras_file(path, preprocessing)
        _cache[path] = (stamp, model)
        return model


def find_model(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute path of the bundle folder or ``.keras`` file that `load_model` takes.

    Raises
    ------
    ModelBundleError
        If there is no such model, or none at all.
    """
    wanted = name_or_path or os.environ.get("HAR_MODEL", "").strip() or None
    if wanted is None:
        return _newest_bundle()
    path = Path(wanted).expanduser()
    named = bundle.models_dir() / path
    if len(path.parts) == 1 and path.suffix != ".keras":
        bundle.restore_interrupted_replacement(named)
        if named.is_dir():
            return named.resolve()
    if path.is_dir() or (path.suffix == ".keras" and path.is_file()):
        return path.resolve()
    known = [e.name for e in bundle.list_bundles() if e.manifest is not None]
    raise ModelBundleError(
        f"There is no model {str(wanted)!r} in {bundle.models_dir()} and no such path; "
        + (f"models there: {', '.join(known)}." if known else "that folder holds no model.")
    )


def _newest_bundle() -> Path:
    usable = [e for e in bundle.list_bundles() if e.manifest is not None]
    if not usable:
        raise ModelBundleError(
            f"There is no model in {bundle.models_dir()}. Train one with 'python -m har_core "
            "train', import one with 'import-model', or set HAR_MODELS_DIR."
        )
    return usable[0].path.resolve()


def _load_bundle(path: Path) -> ActionModel:
    manifest = bundle.verify_bundle(path)
    if bundle.ONNX_FILE in manifest.files:
        engine: Engine = OnnxEngine(path / bundle.ONNX_FILE)
    elif bundle.KERAS_FILE in manifest.files:
        engine = KerasEngine(path / bundle.KERAS_FILE)
    else:
        raise ModelBundleError(f"{path} holds neither {bundle.ONNX_FILE} nor {bundle.KERAS_FILE}.")
    return ActionModel(manifest, engine)


def _load_keras_file(path: Path, preprocessing: Preprocessing) -> ActionModel:
    indices = path.parent / bundle.CLASS_INDICES_FILE
    if not indices.is_file():
        raise ModelBundleError(
            f"{path} needs a {bundle.CLASS_INDICES_FILE} beside it that names its classes; or make "
            "a bundle of it with 'python -m har_core import-model'."
        )
    engine = KerasEngine(path)
    probe = scale_pixels(probe_pictures(engine.input_size), preprocessing)
    check_probabilities(engine.run(probe), path)
    manifest = BundleManifest(
        name=path.stem,
        architecture="imported Keras model",
        input_size=engine.input_size,
        preprocessing=preprocessing,
        class_names=read_class_indices(indices),
    )
    return ActionModel(manifest, engine)


def _checked_array(image: Any) -> np.ndarray:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InvalidImageError(
            f"An array must be uint8 RGB with shape (H, W, 3), not {image.dtype} {image.shape}."
        )
    return image
