"""What runs a network: ONNX Runtime where the bundle has a graph, Keras otherwise."""

import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from har_core.errors import ModelBundleError


class Engine(Protocol):
    """Runs a network on a batch; safe to call from several threads."""

    n_classes: int

    def run(self, batch: np.ndarray) -> np.ndarray:
        """Map scaled pixels, float32 (N, S, S, 3), to probabilities, float32 (N, n_classes)."""


class OnnxEngine:
    """A network as an ONNX Runtime session on all cores.

    Parameters
    ----------
    path : Path
        ``model.onnx``: one input (N, S, S, 3), one output (N, C).

    Raises
    ------
    ModelBundleError
        If ONNX Runtime cannot load the graph.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        try:
            self._session = onnxruntime.InferenceSession(
                str(path), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelBundleError(f"ONNX Runtime cannot load {path}: {error}.") from error
        self._input = self._session.get_inputs()[0].name
        self.n_classes = int(self._session.get_outputs()[0].shape[-1])

    def run(self, batch: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        return self._session.run(None, {self._input: batch})[0]


class KerasEngine:
    """A network as a Keras model; imports TensorFlow (seconds, ~700 MB).

    Parameters
    ----------
    path : Path
        A ``.keras`` or ``.h5`` file.

    Raises
    ------
    ModelBundleError
        If the file cannot be loaded or is refused as unsafe.
    """

    def __init__(self, path: Path) -> None:
        from har_core.keras_files import load_network

        self._network: Any = load_network(path)
        self._lock = threading.Lock()
        self.n_classes = int(self._network.output_shape[-1])
        self.input_size = int(self._network.input_shape[1])

    def run(self, batch: np.ndarray) -> np.ndarray:
        """See `Engine.run`."""
        with self._lock:
            return np.asarray(self._network(batch, training=False), dtype=np.float32)
