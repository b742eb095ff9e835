"""The TensorFlow operations that a Keras 2 file may hold between its layers, as Keras 3's."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from har_core.errors import ModelBundleError

# Every function takes its first argument by position and the others under TensorFlow's names, as
# Keras 2 wrote them.
# Only what computes numbers from numbers is here: a name that is not is refused, never looked up.
_UNARY: Final = {
    "math.abs": "abs",
    "math.exp": "exp",
    "math.log": "log",
    "math.negative": "negative",
    "math.rsqrt": "rsqrt",
    "math.sigmoid": "sigmoid",
    "math.sqrt": "sqrt",
    "math.square": "square",
    "math.tanh": "tanh",
    "nn.elu": "elu",
    "nn.relu6": "relu6",
    "nn.selu": "selu",
    "nn.silu": "silu",
    "nn.swish": "silu",
    "nn.tanh": "tanh",
    "nn.sigmoid": "sigmoid",
    "math.softplus": "softplus",
    "identity": "identity",
}
_BINARY: Final = {
    "__operators__.add": "add",
    "math.add": "add",
    "math.subtract": "subtract",
    "math.multiply": "multiply",
    "math.truediv": "true_divide",
    "math.divide": "true_divide",
    "math.divide_no_nan": "divide_no_nan",
    "math.pow": "power",
    "math.maximum": "maximum",
    "math.minimum": "minimum",
    "math.squared_difference": "squared_difference",
    "math.greater": "greater",
    "math.greater_equal": "greater_equal",
    "math.less": "less",
    "math.less_equal": "less_equal",
}
_REDUCTIONS: Final = {
    "math.reduce_mean": "mean",
    "math.reduce_sum": "sum",
    "math.reduce_max": "max",
    "math.reduce_min": "min",
    "math.reduce_std": "std",
    "math.reduce_variance": "var",
}
_INTERPOLATIONS: Final = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
_Operation = Callable[..., Any]


class _Batch(int):
    """How many pictures there are: -1 for `reshape`, and no number to compute with."""


def operation_named(function: Any) -> _Operation | None:
    """Return what computes the same as a TensorFlow function, or None if it is not among them.

    Parameters
    ----------
    function : str
        As a ``TFOpLambda`` or ``SlicingOpLambda`` of Keras 2 names it, e.g. ``"math.truediv"``.

    Returns
    -------
    callable or None
        Takes the arguments under TensorFlow's names; tensors may be Keras tensors.
    """
    if not isinstance(function, str):
        return None
    if function in _UNARY:
        return _unary(_UNARY[function])
    if function in _BINARY:
        return _binary(_BINARY[function])
    if function in _REDUCTIONS:
        return _reduction(_REDUCTIONS[function])
    return _OTHERS.get(function.removeprefix("compat.v1."))


def _ops() -> Any:
    import keras

    return keras.ops


def _constant(value: Any) -> Any:
    """Turn the lists that JSON made of constant tensors back into arrays."""
    return np.asarray(value, dtype=np.float32) if isinstance(value, list) else value


def _unary(name: str) -> _Operation:
    def compute(x: Any) -> Any:
        return x if name == "identity" else getattr(_ops(), name)(x)

    return compute


def _binary(name: str) -> _Operation:
    def compute(x: Any, y: Any) -> Any:
        if isinstance(x, _Batch) or isinstance(y, _Batch):
            raise ModelBundleError("arithmetic with the number of pictures is not supported")
        ops = _ops()
        if name == "squared_difference":
            return ops.square(ops.subtract(_constant(x), _constant(y)))
        return getattr(ops, name)(_constant(x), _constant(y))

    return compute


def _reduction(name: str) -> _Operation:
    def compute(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        axes = tuple(axis) if isinstance(axis, list) else axis
        return getattr(_ops(), name)(input_tensor, axis=axes, keepdims=bool(keepdims))

    return compute


def _getitem(tensor: Any, slice_spec: Any) -> Any:
    parts = slice_spec if isinstance(slice_spec, list) else [slice_spec]
    found = tensor[tuple(_index(part) for part in parts)]
    # The sides of a shape, without the batch, are numbers to compute with.
    is_sides = isinstance(found, np.ndarray) and not any(isinstance(n, _Batch) for n in found)
    return found.astype(np.int64) if is_sides else found


def _index(part: Any) -> Any:
    if isinstance(part, dict):
        if part.get("class_name") == "__ellipsis__":
            return Ellipsis
        ends = [part["start"], part["stop"], part["step"]]
        if all(end is None or type(end) is int for end in ends):
            return slice(*ends)
    elif part is None or type(part) is int:
        return part
    raise ModelBundleError("a slice whose ends are computed is not supported")


def _bias_add(value: Any, bias: Any, data_format: str | None = None) -> Any:
    if data_format is not None and not data_format.endswith("C"):
        raise ModelBundleError(f"the data format {data_format} is not supported")
    return _ops().add(value, _constant(bias))


def _shape(input: Any, out_type: Any = None) -> np.ndarray:
    """Return what is known of a tensor's shape."""
    return np.array([_Batch(-1) if side is None else side for side in input.shape], dtype=object)


def _reshape(tensor: Any, shape: Any) -> Any:
    sizes = [int(size) for size in shape]
    known = tensor.shape[1:]
    if sizes.count(-1) == 2 and sizes[0] == -1 and None not in known:
        # [tf.shape(x)[0], ..., -1]: the batch and one side that follows from the others.
        rest = int(np.prod(known)) // -int(np.prod(sizes[1:]))
        sizes[1:] = [rest if size == -1 else size for size in sizes[1:]]
    return _ops().reshape(tensor, sizes)


def _transpose(a: Any, perm: Any = None, conjugate: bool = False) -> Any:
    return _ops().transpose(a, perm)


def _squeeze(input: Any, axis: Any = None) -> Any:
    return _ops().squeeze(input, tuple(axis) if isinstance(axis, list) else axis)


def _cast(x: Any, dtype: Any) -> Any:
    return x if isinstance(x, _Batch) else _ops().cast(x, dtype)


def _concat(values: Any, axis: int) -> Any:
    return _ops().concatenate(values, axis=axis)


def _split(value: Any, num_or_size_splits: Any, axis: int = 0) -> Any:
    if isinstance(num_or_size_splits, list):
        sizes = np.array(num_or_size_splits)
        sizes[sizes == -1] = value.shape[axis] - sizes[sizes != -1].sum()
        return _ops().split(value, np.cumsum(sizes)[:-1].tolist(), axis=axis)
    return _ops().split(value, num_or_size_splits, axis=axis)


def _stack(values: Any, axis: int = 0) -> Any:
    plain = [int(value) if isinstance(value, _Batch) else value for value in values]
    return _ops().stack(plain, axis=axis)


def _clip(t: Any, clip_value_min: Any, clip_value_max: Any) -> Any:
    return _ops().clip(t, clip_value_min, clip_value_max)


def _l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12) -> Any:
    ops = _ops()
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(total, epsilon)))


def _pad(tensor: Any, paddings: Any, mode: str = "CONSTANT", constant_values: Any = 0) -> Any:
    kind = mode.lower()
    values = constant_values if kind == "constant" else None
    return _ops().pad(tensor, paddings, mode=kind, constant_values=values)


def _resize(
    images: Any,
    size: Any,
    method: str = "bilinear",
    preserve_aspect_ratio: bool = False,
    antialias: bool = False,
) -> Any:
    if preserve_aspect_ratio or method not in _INTERPOLATIONS:
        raise ModelBundleError("this way of resizing is not supported")
    sides = tuple(map(int, size))  # computed ones could not be saved
    return _ops().image.resize(images, sides, interpolation=method, antialias=antialias)


def _per_image_standardization(image: Any) -> Any:
    # As tf.image.per_image_standardization: a deviation of at least 1 / sqrt(values).
    ops = _ops()
    axes = (-3, -2, -1)
    mean = ops.mean(image, axis=axes, keepdims=True)
    floor = 1 / np.sqrt(np.prod([image.shape[axis] for axis in axes]))
    deviation = ops.maximum(ops.std(image, axis=axes, keepdims=True), float(floor))
    return ops.true_divide(ops.subtract(image, mean), deviation)


_OTHERS: Final[dict[str, _Operation]] = {
    "__operators__.getitem": _getitem,
    "add_n": lambda inputs: sum(inputs[1:], inputs[0]),
    "math.add_n": lambda inputs: sum(inputs[1:], inputs[0]),
    "cast": _cast,
    "clip_by_value": _clip,
    "concat": _concat,
    "expand_dims": lambda input, axis: _ops().expand_dims(input, axis),
    "image.per_image_standardization": _per_image_standardization,
    "image.resize": _resize,
    "keras.backend.batch_flatten": lambda x: _ops().reshape(x, (-1, int(np.prod(x.shape[1:])))),
    "linalg.l2_normalize": _l2_normalize,
    "math.l2_normalize": _l2_normalize,
    "nn.bias_add": _bias_add,
    "nn.gelu": lambda features, approximate=False: _ops().gelu(features, approximate),
    "nn.leaky_relu": lambda features, alpha=0.2: _ops().leaky_relu(features, alpha),
    "nn.relu": lambda features: _ops().relu(features),
    "nn.softmax": lambda logits, axis=None: _ops().softmax(logits, -1 if axis is None else axis),
    "pad": _pad,
    "reshape": _reshape,
    "reverse": lambda tensor, axis: _ops().flip(tensor, tuple(axis)),
    "shape": _shape,
    "split": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "tile": lambda input, multiples: _ops().tile(input, multiples),
    "transpose": _transpose,
    "where": lambda condition, x, y: _ops().where(condition, _constant(x), _constant(y)),
}
