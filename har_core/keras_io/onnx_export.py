"""From a Keras network to an ONNX graph that is proven to give the same probabilities."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError, on_one_line
from har_core.extras import load_onnx
from har_core.onnx_session import open_session
from har_core.storage.files import write_atomically
from har_core.wording import counted

INPUT_NAME: Final = "pixels"
OUTPUT_NAME: Final = "probabilities"
OPSET: Final = 17
# The largest difference of a probability that two runtimes of one network may show.
TOLERANCE: Final = 1e-4
_BATCH_SIZE: Final = 32


def export_onnx(
    network: Any,
    path: str | Path,
    *,
    probe: np.ndarray,
) -> float:
    """Convert a Keras network to ONNX, compare both on real input, and write it if they agree.

    Parameters
    ----------
    network : keras.Model
        One input, float32 (N, S, S, 3); one output (N, C).
    path : str or Path
        Destination; replaced in one step, or left alone if anything fails.
    probe : ndarray of float32, shape (N, S, S, 3)
        Scaled pixels on which both run: photographs, because on noise the outputs hardly differ.

    Returns
    -------
    float
        The largest absolute difference found.

    Raises
    ------
    ModelBundleError
        If the network holds an operation that ONNX (or its runtime) lacks, if the results differ
        by more than `TOLERANCE`, or if `path` cannot be written.
    ValueError
        If `probe` is empty or does not fit the network's input.
    """
    probe = np.ascontiguousarray(probe, dtype=np.float32)
    input_shape = _single_input_shape(network)
    if probe.ndim != 4 or len(probe) == 0 or probe.shape[1:] != input_shape[1:]:
        raise ValueError(f"The probe has shape {probe.shape}; the network takes {input_shape}.")
    graph = _convert(network, input_shape)
    difference = _largest_difference(network, graph, probe)
    # Written so that NaN counts as a difference.
    if not difference <= TOLERANCE:
        raise ModelBundleError(
            f"The ONNX graph of {network.name!r} differs from the Keras network by up to "
            f"{difference:.2g} in a probability (allowed: {TOLERANCE:.2g}); it was not written. "
            "Serve the model through Keras instead."
        )
    try:
        write_atomically(path, graph)
    except OSError as error:
        raise ModelBundleError(f"Cannot write {path}: {error.strerror or error}.") from error
    return difference


def _single_input_shape(network: Any) -> tuple[int | None, ...]:
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ModelBundleError(
            f"The network {network.name!r} has {counted(len(network.inputs), 'input')} and "
            f"{counted(len(network.outputs), 'output')}; only one of each can be exported."
        )
    return tuple(network.inputs[0].shape)


def _convert(network: Any, input_shape: tuple[int | None, ...]) -> bytes:
    import tensorflow as tf

    load_onnx()
    import tf2onnx

    # A traced function, not `tf2onnx.convert.from_keras`: that one relies on attributes that
    # Keras 3 dropped. The fixed signature lets tf2onnx turn the LSTM into one LSTM operation
    # instead of a loop.
    signature = [tf.TensorSpec((None, *input_shape[1:]), tf.float32, name=INPUT_NAME)]

    @tf.function(input_signature=signature)
    def run(pixels: Any) -> dict[str, Any]:
        return {OUTPUT_NAME: tf.cast(network(pixels, training=False), tf.float32)}

    try:
        model, _ = tf2onnx.convert.from_function(run, input_signature=signature, opset=OPSET)
    except Exception as error:  # tf2onnx raises whatever its handlers meet; there is no base class
        raise ModelBundleError(
            f"The network {network.name!r} cannot be converted to ONNX: {on_one_line(error)}."
        ) from error
    _store_captured(model.graph, run.get_concrete_function())
    # tf2onnx calls the batch dimension "unk__123", with another number in each run.
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model.SerializeToString()


def _store_captured(graph: Any, traced: Any) -> None:
    """Store the constants, such as the means of a `Normalization`, that tf2onnx asks for."""
    from onnx import numpy_helper

    captured = {inner.name: outer for outer, inner in traced.graph.captures}
    for value in [value for value in graph.input if value.name in captured]:
        graph.input.remove(value)
        array = np.asarray(captured[value.name])
        graph.initializer.append(numpy_helper.from_array(array, value.name))


def _largest_difference(network: Any, graph: bytes, probe: np.ndarray) -> float:
    try:
        session = open_session(graph)
        difference = 0.0
        for start in range(0, len(probe), _BATCH_SIZE):
            batch = probe[start : start + _BATCH_SIZE]
            (served,) = session.run([OUTPUT_NAME], {INPUT_NAME: batch})
            trained = np.asarray(network(batch, training=False), dtype=np.float32)
            difference = max(difference, float(np.abs(served - trained).max()), key=_nan_is_largest)
    except Exception as error:  # onnxruntime's exceptions share no narrower base
        raise ModelBundleError(
            f"ONNX Runtime cannot run the graph of {network.name!r}: {on_one_line(error)}."
        ) from error
    return difference


def _nan_is_largest(value: float) -> float:
    return np.inf if np.isnan(value) else value
