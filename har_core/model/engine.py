"""What runs a network, ONNX Runtime where the bundle has a graph, Keras otherwise.

And the check of what leaves it, photograph by photograph.
"""

import threading
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from har_core.errors import InvalidImageError, ModelBundleError
from har_core.keras_io.feature_outputs import (
    FEATURE_OUTPUTS,
    MAP_OUTPUT,
    POOLED_OUTPUTS,
    Features,
)
from har_core.onnx_session import open_session

SUM_TOLERANCE: Final = 1e-3


class Engine(Protocol):
    """Runs a network on a batch; safe to call from several threads.

    Attributes
    ----------
    n_classes : int
        Outputs of the network.
    batch_size : int
        Photographs per run with the most photographs per second.
    scales : bool
        Whether it takes pixels as they are, uint8, and not scaled ones.
    has_features : bool
        Whether `run_with_features`, `feature_maps` and `run_with_maps` can be called.
    n_features : int
        Channels of the last feature map; 0 without features.
    """

    n_classes: int
    batch_size: int
    scales: bool
    has_features: bool
    n_features: int

    def run(self, batch: np.ndarray, *, alone: bool = True) -> np.ndarray:
        """Map scaled pixels, float32 (N, S, S, 3), to probabilities, float32 (N, n_classes).

        With ``alone=False`` other threads run the network at the same time, and share the cores.
        """

    def run_with_features(
        self, batch: np.ndarray, *, alone: bool = True
    ) -> tuple[np.ndarray, Features]:
        """Return probabilities, and the features that `NoveltyDetector.judge` takes."""

    def feature_maps(self, batch: np.ndarray) -> np.ndarray:
        """Return the last feature map of each picture, float32 (N, H, W, C)."""

    def run_with_maps(
        self, batch: np.ndarray, *, alone: bool = True
    ) -> tuple[np.ndarray, Features, np.ndarray]:
        """Return what `run_with_features` and `feature_maps` do, from one pass."""


class OnnxEngine:
    """A network as two ONNX Runtime sessions: on all cores for a lone caller, on one for several.

    Threads that each have a core get through more photographs than threads that take turns in
    splitting every layer among all cores; a lone caller has its answer sooner with all of them.

    Parameters
    ----------
    path : Path
        ``model.onnx`` or ``model.int8.onnx``: one input (N, S, S, 3), one output (N, C), and
        perhaps those of `har_core.keras_io.feature_outputs.add_feature_outputs`.
    one_core : bool, default False
        Only ever run on one core: in a process of many, each of which has one.
    optimised : bool, default True
        Without, an 8-bit graph computes in float32 what it says, and slowly.

    Raises
    ------
    ModelBundleError
        If ONNX Runtime cannot load the graph.
    """

    batch_size = 4  # larger ones leave the processor's caches

    def __init__(self, path: Path, *, one_core: bool = False, optimised: bool = True) -> None:
        try:
            # Kept, because another file may have taken the place of this one when it is needed.
            self._graph: bytes | None = path.read_bytes()
            self._optimised = optimised
            self._one_core = self._session(threads=1)
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelBundleError(f"ONNX Runtime cannot load {path}: {error}.") from error
        self._all_cores: Any = None
        if one_core:
            self._all_cores, self._graph = self._one_core, None
        self._opening = threading.Lock()
        self._was_asked_alone = False
        (source,) = self._one_core.get_inputs()
        self._input = source.name
        self.scales = source.type == "tensor(uint8)"
        outputs = self._one_core.get_outputs()
        self._output = outputs[0].name
        self.n_classes = int(outputs[0].shape[-1])
        shapes = {output.name: output.shape for output in outputs}
        self.has_features = shapes.keys() >= set(FEATURE_OUTPUTS)
        self.n_features = int(shapes[MAP_OUTPUT][-1]) if self.has_features else 0

    def run(self, batch: np.ndarray, *, alone: bool = True) -> np.ndarray:
        """See `Engine.run`."""
        return self._run([self._output], batch, alone)[0]

    def run_with_features(
        self, batch: np.ndarray, *, alone: bool = True
    ) -> tuple[np.ndarray, Features]:
        """See `Engine.run_with_features`."""
        probabilities, *pooled = self._run([self._output, *POOLED_OUTPUTS], batch, alone)
        return probabilities, Features(*pooled)

    def feature_maps(self, batch: np.ndarray) -> np.ndarray:
        """See `Engine.feature_maps`."""
        return self._run([MAP_OUTPUT], batch, alone=True)[0]

    def run_with_maps(
        self, batch: np.ndarray, *, alone: bool = True
    ) -> tuple[np.ndarray, Features, np.ndarray]:
        """See `Engine.run_with_maps`."""
        outputs = [self._output, *POOLED_OUTPUTS, MAP_OUTPUT]
        probabilities, *pooled, maps = self._run(outputs, batch, alone)
        return probabilities, Features(*pooled), maps

    def _session(self, threads: int) -> Any:
        """Open a session on so many cores, 0 for all, which takes 40 ms of one."""
        assert self._graph is not None
        return open_session(self._graph, threads=threads, optimised=self._optimised)

    def _for_a_lone_caller(self) -> Any:
        """Return the session on all cores, from the second call on.

        Many processes have no second one, and opening it takes longer than an answer.
        """
        with self._opening:
            if self._all_cores is None and self._was_asked_alone:
                self._all_cores, self._graph = self._session(threads=0), None
            self._was_asked_alone = True
            return self._all_cores or self._one_core

    def _run(self, outputs: list[str], batch: np.ndarray, alone: bool) -> list[np.ndarray]:
        session = self._for_a_lone_caller() if alone else self._one_core
        if not self.scales or len(batch) == 1:
            return session.run(outputs, {self._input: batch})
        # The LSTM's 8-bit codes depend on all rows of a batch; a photograph has one answer.
        rows = [session.run(outputs, {self._input: row[np.newaxis]}) for row in batch]
        return [np.concatenate(values) for values in zip(*rows, strict=True)]


_NO_FEATURES: Final = "A network that runs in Keras gives no features; its ONNX graph would."


class KerasEngine:
    """A network as a Keras model; imports TensorFlow (seconds, ~700 MB).

    Parameters
    ----------
    network : keras.Model
        From `har_core.keras_io.loading.load_network`.
    source : Path
        The file that it comes from, for messages.

    Raises
    ------
    ModelBundleError
        If it takes anything but square RGB pictures.
    """

    batch_size = 32  # every run costs some 50 ms beside the work
    scales = False
    has_features = False
    n_features = 0

    def __init__(self, network: Any, source: Path) -> None:
        from har_core.keras_io.checks import input_side

        self._network = network
        self._lock = threading.Lock()
        self.input_size = input_side(network, source)
        self.n_classes = int(self._network.output_shape[-1])

    def run(self, batch: np.ndarray, *, alone: bool = True) -> np.ndarray:
        """See `Engine.run`; one caller at a time, on all cores."""
        with self._lock:
            return np.asarray(self._network(batch, training=False), dtype=np.float32)

    def run_with_features(
        self, batch: np.ndarray, *, alone: bool = True
    ) -> tuple[np.ndarray, Features]:
        """See `Engine.run_with_features`: always refused, as `has_features` says."""
        raise ModelBundleError(_NO_FEATURES)

    def feature_maps(self, batch: np.ndarray) -> np.ndarray:
        """See `Engine.feature_maps`: always refused, as `has_features` says."""
        raise ModelBundleError(_NO_FEATURES)

    def run_with_maps(
        self, batch: np.ndarray, *, alone: bool = True
    ) -> tuple[np.ndarray, Features, np.ndarray]:
        """See `Engine.run_with_maps`: always refused, as `has_features` says."""
        raise ModelBundleError(_NO_FEATURES)


def are_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Tell which rows are probabilities.

    Parameters
    ----------
    outputs : ndarray of float, shape (N, C)
        Of a network.

    Returns
    -------
    ndarray of bool, shape (N,)
        False where a value is not finite or negative, or the sum is further than 0.001 from 1.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        sums = outputs.sum(axis=1, dtype=np.float64)
        return (outputs >= 0).all(axis=1) & (np.abs(sums - 1) <= SUM_TOLERANCE)


def keep_probabilities(outputs: np.ndarray) -> np.ndarray:
    """Return the outputs, NaN in the rows that are no probabilities; float64, shape (N, C)."""
    kept = np.array(outputs, dtype=np.float64)
    kept[~are_probabilities(outputs)] = np.nan
    return kept


def no_answer(model: str) -> InvalidImageError:
    """Return the error of a photograph for which a network gives no probabilities."""
    return InvalidImageError(
        f"The model {model!r} gives no probabilities for this photograph, but values that are not "
        "finite or do not sum to 1. Choose another model; this one may be damaged or badly "
        "converted.",
        "no_answer",
    )
