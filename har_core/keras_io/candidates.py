"""A network from elsewhere, before it is a bundle: a Keras file or an ONNX graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from har_core.errors import ModelBundleError, on_one_line
from har_core.extras import require_training_extra
from har_core.images.preprocessing import Preprocessing
from har_core.keras_io.checks import input_side
from har_core.keras_io.loading import load_network
from har_core.keras_io.onnx_export import export_onnx
from har_core.keras_io.onnx_import import OnnxGraph
from har_core.keras_io.outputs import Ending, OutputRule, keras_ending, with_probabilities
from har_core.keras_io.scaling import InnerScaling, find_inner_scaling
from har_core.storage.files import write_atomically

# What `preprocess_input` of each family of `keras.applications` does; the longest name counts.
_USUAL: Final[dict[str, Preprocessing]] = {
    "mobilenet": "minus_one_to_one",
    "inception": "minus_one_to_one",
    "xception": "minus_one_to_one",
    "nasnet": "minus_one_to_one",
    "resnet": "caffe",
    "resnet50v2": "minus_one_to_one",
    "resnet101v2": "minus_one_to_one",
    "resnet152v2": "minus_one_to_one",
    "vgg": "caffe",
    "densenet": "torch",
}


class Candidate(Protocol):
    """A network whose input fits; what it gives is still to be looked at."""

    source: Path
    input_size: int
    takes_whole_numbers: bool
    architecture: str

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Map scaled pixels, float32 (N, S, S, 3), to outputs, float32 (N, C)."""

    def ending(self) -> Ending:
        """Return the network's last activation."""

    def inner_scaling(self) -> InnerScaling | None:
        """Tell what the network does to pixels before its first layer with weights."""

    def usual_preprocessing(self) -> tuple[str, Preprocessing] | None:
        """Return a family of networks that this one belongs to, and that family's scaling."""

    def write(
        self, keras_file: Path, onnx_file: Path, rule: OutputRule, probe: np.ndarray
    ) -> tuple[list[Path], dict[str, Any]]:
        """Write a bundle's files of the network, completed by `rule`.

        Returns
        -------
        list of Path, dict
            Which of the two were written, and what the manifest records of the conversion.
        """


def require_packages(source: Path) -> None:
    """Refuse a file that cannot be read because a package is not installed; opens nothing.

    Raises
    ------
    ModelBundleError
        If one is missing; the message says how to install it.
    """
    if source.suffix.lower() == ".onnx":
        require_training_extra("Importing an ONNX graph", ("onnx",))
    else:
        require_training_extra("Importing a Keras file")


def open_candidate(source: str | Path) -> Candidate:
    """Open a ``.keras``, ``.h5`` or ``.onnx`` file.

    Raises
    ------
    ModelBundleError
        If it cannot be loaded, or takes anything but square RGB pictures.
    """
    source = Path(source)
    return OnnxCandidate(source) if source.suffix.lower() == ".onnx" else KerasCandidate(source)


class KerasCandidate:
    """A Keras network; imports TensorFlow."""

    def __init__(self, source: Path) -> None:
        self.source = source
        self.network = load_network(source)
        self.input_size = input_side(self.network, source)
        self.takes_whole_numbers = "int" in self.network.inputs[0].dtype
        self.architecture = (
            f"imported Keras network ({len(self.network.layers)} layers, "
            f"{self.network.count_params() / 1e6:.1f} million parameters)"
        )

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """See `Candidate.run`."""
        with _running(self.source):
            return np.asarray(self.network(pixels, training=False), dtype=np.float32)

    def ending(self) -> Ending:
        """See `Candidate.ending`."""
        return keras_ending(self.network)

    def inner_scaling(self) -> InnerScaling | None:
        """See `Candidate.inner_scaling`."""
        with _running(self.source):
            return find_inner_scaling(self.network, self.input_size)

    def usual_preprocessing(self) -> tuple[str, Preprocessing] | None:
        """See `Candidate.usual_preprocessing`."""
        return usual_preprocessing(
            self.source.stem, self.network.name, *(layer.name for layer in self.network.layers)
        )

    def write(
        self, keras_file: Path, onnx_file: Path, rule: OutputRule, probe: np.ndarray
    ) -> tuple[list[Path], dict[str, Any]]:
        """See `Candidate.write`."""
        network = with_probabilities(self.network, rule)
        network.save(keras_file, include_optimizer=False)
        try:
            difference = export_onnx(network, onnx_file, probe=probe)
        except ModelBundleError as error:
            return [keras_file], {"onnx_difference": None, "onnx_error": str(error)}
        return [keras_file, onnx_file], {"onnx_difference": difference, "onnx_error": None}


@contextmanager
def _running(source: Path) -> Iterator[None]:
    """Say in one line what a network does not take, or cannot be computed here."""
    try:
        yield
    except Exception as error:  # Keras and its backend raise whatever goes wrong on the way
        raise ModelBundleError(f"Keras cannot run {source}: {on_one_line(error)}.") from error


class OnnxCandidate:
    """An ONNX graph; TensorFlow is not needed."""

    takes_whole_numbers = False

    def __init__(self, source: Path) -> None:
        self.source = source
        self._graph = OnnxGraph(source)
        self.input_size = self._graph.input_size
        self.architecture = f"imported ONNX graph ({self._graph.n_operations} operations)"

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """See `Candidate.run`."""
        return self._graph.run(pixels)

    def ending(self) -> Ending:
        """See `Candidate.ending`."""
        return self._graph.ending

    def inner_scaling(self) -> InnerScaling | None:
        """See `Candidate.inner_scaling`."""
        return self._graph.inner_scaling()

    def usual_preprocessing(self) -> tuple[str, Preprocessing] | None:
        """See `Candidate.usual_preprocessing`."""
        if self._graph.channels_first:
            return "PyTorch", "torch"
        return usual_preprocessing(self.source.stem)

    def write(
        self, keras_file: Path, onnx_file: Path, rule: OutputRule, probe: np.ndarray
    ) -> tuple[list[Path], dict[str, Any]]:
        """See `Candidate.write`; the graph stays what it was, so that there is no difference."""
        write_atomically(onnx_file, self._graph.completed(rule))
        return [onnx_file], {"onnx_difference": 0.0, "onnx_error": None}


def usual_preprocessing(*names: str) -> tuple[str, Preprocessing] | None:
    """Return the family that a network's or layer's name begins with, and its usual scaling."""
    found = [
        family
        for name in names
        for family in _USUAL
        if name.lower().replace("_", "").replace("-", "").startswith(family)
    ]
    if not found:
        return None
    family = max(found, key=len)
    return family, _USUAL[family]
