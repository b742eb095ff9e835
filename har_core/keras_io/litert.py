"""From a Keras network to LiteRT (TensorFlow Lite), the format of phones and small computers."""

import warnings
from typing import Any

import numpy as np

from har_core.errors import ModelBundleError, on_one_line
from har_core.keras_io.onnx_export import INPUT_NAME


def convert_to_litert(network: Any) -> bytes:
    """Convert a Keras network with TensorFlow's own converter, in float32 and without quantizing.

    Parameters
    ----------
    network : keras.Model
        One input, float32 (N, S, S, 3); one output (N, C).

    Returns
    -------
    bytes
        A ``.tflite`` file that takes one picture at a time, float32 (1, S, S, 3).

    Raises
    ------
    ModelBundleError
        If the network holds an operation that LiteRT lacks.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    shape = (1, *network.inputs[0].shape[1:])

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name=INPUT_NAME)])
    def run(pixels: Any) -> Any:
        return network(pixels, training=False)

    try:
        # Constants: variables inside the loop of an LSTM would be empty when it runs.
        frozen = convert_variables_to_constants_v2(
            run.get_concrete_function(), lower_control_flow=False
        )
        return tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    except Exception as error:  # the converter raises whatever its passes meet
        cause = on_one_line(error)
        raise ModelBundleError(
            f"The network {network.name!r} cannot be converted to LiteRT: {cause}."
        ) from error


def run_litert(content: bytes, pixels: np.ndarray) -> np.ndarray:
    """Run a ``.tflite`` file.

    Parameters
    ----------
    content : bytes
        From `convert_to_litert`.
    pixels : ndarray of float32, shape (N, S, S, 3)
        Scaled pixels.

    Returns
    -------
    ndarray of float32, shape (N, C)
    """
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the interpreter has a package of its own now
        interpreter = tf.lite.Interpreter(model_content=content)
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for picture in np.asarray(pixels, dtype=np.float32):
        interpreter.set_tensor(given["index"], picture[np.newaxis])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(found["index"])[0].copy())
    return np.stack(outputs)
