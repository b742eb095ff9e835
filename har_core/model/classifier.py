"""The classifier as its users see it: a photograph in, a `Prediction` out."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from har_core.errors import InvalidImageError, ModelBundleError
from har_core.images.decoding import decode_photograph
from har_core.images.preprocessing import resize_image, scale_pixels
from har_core.keras_io.feature_outputs import Features
from har_core.model.engine import Engine, are_probabilities, no_answer
from har_core.model.manifest import BundleManifest
from har_core.model.novelty.detector import Novelty, NoveltyDetector
from har_core.model.prediction import Prediction, with_warning
from har_core.model.sources import ImageSource, checked_array, checked_pixels, content_of, listed
from har_core.model.temperature import apply_temperature
from har_core.progress import silent
from har_core.threads import cores
from har_core.wording import counted


@dataclass(frozen=True, eq=False)
class Answers:
    """A model's answers for N photographs, in arrays.

    Parameters
    ----------
    probabilities : ndarray of float64, shape (N, C)
        As shown; rows sum to 1, NaN where the network gives none.
    novelty : Novelty or None
        None if the model cannot tell.
    features : ndarray of float32, shape (N, D), or None
        The last feature map, averaged over the picture; None if not asked for.
    """

    probabilities: np.ndarray
    novelty: Novelty | None
    features: np.ndarray | None


class _Outputs(NamedTuple):
    """What leaves a network: see `Engine`; `features` as in `Answers`."""

    outputs: np.ndarray
    pooled: Features | None = None
    features: np.ndarray | None = None


class ActionModel:
    """A loaded model; every method may be called from several threads.

    Use `load_model` to get one.

    Parameters
    ----------
    manifest : BundleManifest
        Class names, input size, scaling and temperature.
    engine : Engine
        Runs the network.
    novelty : NoveltyDetector, optional
        Tells pictures unlike those that the model learned from; used if the engine has features.
    """

    def __init__(
        self, manifest: BundleManifest, engine: Engine, novelty: NoveltyDetector | None = None
    ) -> None:
        if engine.n_classes != len(manifest.class_names):
            raise ModelBundleError(
                f"The network of {manifest.name!r} has "
                f"{counted(engine.n_classes, 'output')} but "
                f"{counted(len(manifest.class_names), 'class name')}."
            )
        self.manifest = manifest
        self.rules = manifest.rules
        self.novelty = novelty if novelty is not None and engine.has_features else None
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
        source : bytes-like, path, or ndarray of uint8 with shape (H, W, 3)
            The file's content, its path, or decoded RGB pixels.
        others_wait : bool, default False
            More calls are about to come: leave the other cores to them, even if none has come yet.

        Returns
        -------
        Prediction

        Raises
        ------
        InvalidImageError
            If the source is no usable photograph, or the network's output for it is none.
        TypeError
            If the source is of another kind.

        Examples
        --------
        >>> model = load_model()  # doctest: +SKIP
        >>> model.predict("photo.jpg").action  # doctest: +SKIP
        'running'
        """
        with self._at_work():
            pixels, warning = self._prepare(source)
            (answer,) = self._answer(pixels[np.newaxis], others_wait=others_wait)
        if isinstance(answer, InvalidImageError):
            raise answer
        return replace(answer, warning=warning) if warning else answer

    def predict_batch(
        self,
        sources: Iterable[ImageSource],
        *,
        batch_size: int | None = None,
        progress: Callable[[int, int], None] = silent,
    ) -> list[Prediction | InvalidImageError]:
        """Classify many photographs on all cores; one bad image does not spoil the rest.

        Parameters
        ----------
        sources : iterable
            Each as in `predict`; all are kept until the last is done.
        batch_size : int, optional
            Photographs per forward pass; also bounds the memory for decoded pixels. Default: what
            suits the engine, less where that would leave a core without any.
        progress : callable, optional
            Called with (done, total) after every batch.

        Returns
        -------
        list of Prediction or InvalidImageError
            In the order of `sources`; the error of an unusable photograph stands in its place.

        Raises
        ------
        TypeError
            If it is a single photograph, or one of them is nothing that `predict` takes.
        ValueError
            If `batch_size` is less than 1.
        """
        sources = listed(sources)
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}.")
        n_cores = cores()
        size = batch_size or max(1, min(self._engine.batch_size, -(-len(sources) // n_cores)))
        batches = [sources[start : start + size] for start in range(0, len(sources), size)]
        results: list[Prediction | InvalidImageError] = []
        # Every thread decodes its own batches, so that no core waits for another.
        with ThreadPoolExecutor(n_cores) as pool:
            several = len(sources) > 1
            try:
                answers = [pool.submit(self._predict_one_batch, b, several) for b in batches]
                for answer in answers:
                    results += answer.result()
                    progress(len(results), len(sources))
            finally:
                pool.shutdown(cancel_futures=True)  # `progress` may have raised, or Ctrl-C come
        return results

    def predict_probabilities(self, pixels: np.ndarray, *, raw: bool = False) -> np.ndarray:
        """Return class probabilities of photographs that already have the input size.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (N, S, S, 3)
            RGB, with S the bundle's input size.
        raw : bool, default False
            Those of the network itself, at temperature 1.

        Returns
        -------
        ndarray of float64, shape (N, C)
            Rows sum to 1; the bundle's temperature and its map of confidence are applied. NaN
            where the network gives no probabilities.

        Raises
        ------
        ValueError
            If `pixels` are of another type or shape, or there are none.
        """
        with self._at_work():
            batch = self._scaled(pixels)
            outputs = self._engine.run(batch, alone=self._callers == 1)
        sound = are_probabilities(outputs)
        return self._probabilities(outputs, sound, raw=raw)

    @property
    def n_features(self) -> int:
        """Length of the features of `answer_pixels`; 0: it gives none."""
        return self._engine.n_features

    def answer_pixels(
        self, pixels: Sequence[np.ndarray] | np.ndarray, *, with_features: bool = False
    ) -> "Answers":
        """Answer for prepared photographs as `predict` does, on one core, without the words.

        The network sees one at a time, which takes as long on one core as several at once: so no
        answer depends, by a rounding, on which other photographs there are.

        Parameters
        ----------
        pixels : sequence of ndarray of uint8, shape (S, S, 3), length N
            From `prepare`; they need not lie side by side.
        with_features : bool, default False
            Also return the features, which needs `n_features`.
        """
        runs = [
            self._outputs(one[np.newaxis], alone=False, with_features=with_features)
            for one in pixels
        ]
        return self._judged(_joined(runs))

    def predict_with_novelty(self, pixels: np.ndarray) -> "Answers":
        """Answer as `predict_probabilities` with ``raw=True``, and judge novelty.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (N, S, S, 3)
        """
        with self._at_work():
            return self._run(pixels, alone=self._callers == 1, raw=True)

    def similar_rows(self, source: ImageSource, k: int = 3) -> np.ndarray | None:
        """Find the training photographs that look most like one to the model.

        Parameters
        ----------
        source : bytes, path, or ndarray
            As in `predict`.
        k : int, default 3

        Returns
        -------
        ndarray of int or None
            Rows of the bundle's ``splits.parquet``, the most similar first; None if the model
            remembers no training photographs.
        """
        if self.novelty is None:
            return None
        with self._at_work():
            pixels, _ = self._prepare(source)
            batch = self._scaled(pixels[np.newaxis])
            _, features = self._engine.run_with_features(batch, alone=self._callers == 1)
        return self.novelty.nearest(features.peaks[0], k)

    def prepare(self, source: ImageSource) -> np.ndarray:
        """Return a photograph as the network sees it: uint8 RGB, shape (S, S, 3).

        Raises
        ------
        InvalidImageError
            If the source is no usable photograph.
        """
        return self._prepare(source)[0]

    def feature_map(self, pixels: np.ndarray) -> np.ndarray | None:
        """Return the last feature map of a prepared photograph, float32, shape (H, W, C).

        None if the engine does not give it.
        """
        if not self._engine.has_features:
            return None
        batch = self._scaled(pixels[np.newaxis])
        return self._engine.feature_maps(batch)[0]

    def _scaled(self, pixels: np.ndarray) -> np.ndarray:
        pixels = checked_pixels(pixels, self.manifest.input_size)
        if self._engine.scales:
            return pixels
        return scale_pixels(pixels, self.manifest.preprocessing)

    def _probabilities(self, outputs: np.ndarray, sound: np.ndarray, *, raw: bool) -> np.ndarray:
        """Return what is shown of a network's outputs, or theirs at temperature 1; NaN if unsound.

        A row that is no probabilities takes part as equal ones.
        """
        given = np.where(sound[:, np.newaxis], outputs, 1 / len(self.class_names))
        probabilities = apply_temperature(given, 1.0 if raw else self.manifest.temperature)
        if not raw:
            probabilities = self.rules.shown(probabilities)
        probabilities[~sound] = np.nan
        return probabilities

    def _answer(
        self, pixels: np.ndarray, *, others_wait: bool = False
    ) -> list[Prediction | InvalidImageError]:
        """Classify prepared pictures, (N, S, S, 3), and judge how foreign they are."""
        answers = self._run(pixels, alone=self._callers == 1 and not others_wait)
        judged = answers.novelty
        return [
            Prediction.from_probabilities(
                self.class_names,
                row,
                novelty=None if judged is None else float(judged.value[i]),
                in_scope=None if judged is None else bool(judged.in_scope[i]),
                answer_set=self.rules.answer_set(row),
                min_confidence=self.rules.abstain_below,
            )
            if np.isfinite(row[0])
            else no_answer(self.name)
            for i, row in enumerate(answers.probabilities)
        ]

    def _run(self, pixels: np.ndarray, *, alone: bool, raw: bool = False) -> "Answers":
        return self._judged(self._outputs(pixels, alone=alone), raw=raw)

    def _outputs(
        self, pixels: np.ndarray, *, alone: bool, with_features: bool = False
    ) -> "_Outputs":
        batch = self._scaled(pixels)
        if with_features:
            outputs, pooled, maps = self._engine.run_with_maps(batch, alone=alone)
            return _Outputs(outputs, pooled, maps.mean(axis=(1, 2), dtype=np.float32))
        if self.novelty is not None:
            return _Outputs(*self._engine.run_with_features(batch, alone=alone))
        return _Outputs(self._engine.run(batch, alone=alone))

    def _judged(self, found: "_Outputs", *, raw: bool = False) -> "Answers":
        sound = are_probabilities(found.outputs)
        judged: Novelty | None = None
        if self.novelty is not None and found.pooled is not None:
            judged = self.novelty.judge(found.pooled)
            sound &= np.isfinite(judged.value)
        probabilities = self._probabilities(found.outputs, sound, raw=raw)
        return Answers(probabilities, judged, found.features)

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
        self, sources: Sequence[ImageSource], others_wait: bool
    ) -> list[Prediction | InvalidImageError]:
        with self._at_work():
            prepared = [self._prepare_or_error(source) for source in sources]
            usable = [item[0] for item in prepared if isinstance(item, tuple)]
            answers = iter(
                self._answer(np.stack(usable), others_wait=others_wait) if usable else ()
            )
        return [
            item if isinstance(item, InvalidImageError) else with_warning(next(answers), item[1])
            for item in prepared
        ]

    def _prepare(self, source: ImageSource) -> tuple[np.ndarray, str]:
        """Return a photograph at the input size, and what is wrong with its file."""
        size = self.manifest.input_size
        if isinstance(source, np.ndarray):
            return resize_image(checked_array(source), size), ""
        decoded = decode_photograph(content_of(source), side=size, with_image=False)
        assert decoded.square is not None
        return decoded.square, decoded.warning

    def _prepare_or_error(self, source: ImageSource) -> tuple[np.ndarray, str] | InvalidImageError:
        try:
            return self._prepare(source)
        except InvalidImageError as error:
            return error


def _joined(runs: Sequence[_Outputs]) -> _Outputs:
    outputs, pooled, features = zip(*runs, strict=True)
    return _Outputs(
        np.concatenate(outputs),
        None if pooled[0] is None else Features(*map(np.concatenate, zip(*pooled, strict=True))),
        None if features[0] is None else np.concatenate(features),
    )
