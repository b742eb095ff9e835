"""Which part of a picture decided: a map of 7×7 cells, without TensorFlow."""

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from PIL import Image, ImageFilter
from PIL.PngImagePlugin import PngInfo

from har_core.errors import ModelBundleError
from har_core.extras import load_onnx
from har_core.model.classifier import ActionModel, ImageSource
from har_core.model.engine import no_answer
from har_core.model.manifest import ONNX_FILE
from har_core.storage.paths import is_file

CELLS: Final = 7
Method = Literal["occlusion", "gradient"]
_REACH: Final = 1  # a window is 3×3 cells
_BLUR: Final = 48 / 224  # radius of the filling's local average, as a share of the side
_BATCH: Final = 4
_MAKER: Final = ("Software", "har predict --explain")


@dataclass(frozen=True, eq=False)
class Explanation:
    """How much each part of a picture matters to one class.

    Parameters
    ----------
    action : str
        The class.
    method : {"occlusion", "gradient"}
        Of occlusion, cells are points of probability: how far it falls when the area around the
        cell is hidden, negative where it rises. Of the gradient they are in [0, 1], without unit.
    cells : ndarray of float64, shape (7, 7)
        Row by row from the top left.
    """

    action: str
    method: Method
    cells: np.ndarray


def explain(model: ActionModel, source: ImageSource, action: str | None = None) -> Explanation:
    """Hide one window of the picture after the other and see how far the probability falls.

    The area of 3×3 cells around each of 7×7 is replaced by its local average (Zeiler & Fergus
    2014, arXiv:1311.2901), which takes 50 runs of the network. A cell's effect is the mean over
    the windows that hide it.

    Parameters
    ----------
    model : ActionModel
    source : bytes, path, or ndarray
        As in `ActionModel.predict`.
    action : str, optional
        The class to explain; default: the most probable one.

    Returns
    -------
    Explanation

    Raises
    ------
    InvalidImageError
        If the source is no usable photograph, or the network's output for it is none.
    ValueError
        If the model has no such class.
    """
    pixels = model.prepare(source)
    filled = _fill(pixels)
    windows = _windows()
    whole = model.predict_probabilities(pixels[np.newaxis])[0]
    index = _class_index(model, action, whole)
    falls = np.empty(len(windows))
    for start in range(0, len(windows), _BATCH):
        masks = windows[start : start + _BATCH]
        hidden = np.stack([np.where(_enlarged(m, len(pixels)), filled, pixels) for m in masks])
        falls[start : start + len(masks)] = (
            whole[index] - model.predict_probabilities(hidden)[:, index]
        )
    covers = windows.reshape(len(windows), -1).astype(np.float64)
    cells = (covers.T @ falls) / covers.sum(axis=0)
    if not np.isfinite(cells).all():
        raise no_answer(model.name)
    return Explanation(model.class_names[index], "occlusion", cells.reshape(CELLS, CELLS))


def gradient_map(
    model: ActionModel, folder: Path, source: ImageSource, action: str | None = None
) -> Explanation | None:
    """Multiply the last feature map by the class's gradient, as "gradient × input" does.

    The LSTM between map and classes is differentiated here, in NumPy; one run of the network. The
    gradient is that of the class's logit less the mean of all (Shrikumar et al. 2016,
    arXiv:1605.01713); a cell's value is the sum of the products' sizes over the channels.

    Parameters
    ----------
    model : ActionModel
    folder : Path
        Of its bundle, for the head's weights.
    source, action
        As in `explain`.

    Returns
    -------
    Explanation or None
        None if the network has no feature map as an output, or another head than LSTM and softmax.
    """
    maps = model.feature_map(model.prepare(source))
    if maps is None:  # of a Keras file, too, beside which there is no graph
        return None
    head = _read_head(folder / ONNX_FILE, (folder / ONNX_FILE).stat().st_mtime_ns)
    if head is None:
        return None
    sequence = maps.reshape(-1, maps.shape[-1]).astype(np.float64)
    if sequence.shape[1] != head.kernel.shape[1]:
        return None
    states, last = head.forward(sequence)
    index = _class_index(model, action, last @ head.weights + head.bias)
    gradient = head.backward(states, head.weights[:, index] - head.weights.mean(axis=1))
    heat = np.abs(sequence * gradient).sum(axis=1)
    heat = heat / max(float(heat.max()), 1e-12)
    return Explanation(model.class_names[index], "gradient", heat.reshape(maps.shape[:2]))


def overlay(pixels: np.ndarray, explanation: Explanation) -> bytes:
    """Draw a map over a picture: the cells that matter keep their light, the others are dimmed.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (H, W, 3)
    explanation : Explanation

    Returns
    -------
    bytes
        A PNG of the picture's size.
    """
    picture = Image.fromarray(pixels)
    heat = np.clip(explanation.cells, 0, None)
    heat = heat / max(float(heat.max()), 1e-12)
    small = Image.fromarray((255 * heat).astype(np.uint8))
    mask = np.asarray(small.resize(picture.size, Image.Resampling.BICUBIC), np.float64) / 255
    warm = np.array([255.0, 120.0, 0.0])
    shade = pixels * (0.35 + 0.45 * mask[..., np.newaxis])
    glow = 0.35 * mask[..., np.newaxis] * warm
    buffer = io.BytesIO()
    maker = PngInfo()
    maker.add_text(*_MAKER)
    drawn = Image.fromarray(np.clip(shade + glow, 0, 255).astype(np.uint8))
    drawn.save(buffer, "PNG", pnginfo=maker)
    return buffer.getvalue()


def is_overlay(path: Path) -> bool:
    """Tell whether a file is a picture that `overlay` drew, which may be replaced by another."""
    if not is_file(path):
        return False
    with path.open("rb") as file:
        return "\0".join(_MAKER).encode() in file.read(100)  # it stands first


def _class_index(model: ActionModel, action: str | None, scores: np.ndarray) -> int:
    if action is None:
        return int(np.argmax(scores))
    if action not in model.class_names:
        raise ValueError(f"The model {model.name!r} has no class {action!r}.")
    return model.class_names.index(action)


def _fill(pixels: np.ndarray) -> np.ndarray:
    """Return the picture's local average, which hides what is there without a sharp edge."""
    blur = ImageFilter.BoxBlur(round(_BLUR * len(pixels)))
    return np.asarray(Image.fromarray(pixels).filter(blur))


def _windows() -> np.ndarray:
    """Return which cells each window hides: bool, shape (49, 7, 7)."""
    rows = np.arange(CELLS)
    near = np.abs(rows[:, np.newaxis] - rows) <= _REACH
    return (near[:, np.newaxis, :, np.newaxis] & near[np.newaxis, :, np.newaxis, :]).reshape(
        CELLS**2, CELLS, CELLS
    )


def _enlarged(cells: np.ndarray, side: int) -> np.ndarray:
    """Return a mask of cells as one of pixels: bool, shape (side, side, 1)."""
    positions = np.arange(side) * CELLS // side
    return cells[np.ix_(positions, positions)][..., np.newaxis]


@dataclass(frozen=True, eq=False)
class _Head:
    """An LSTM and a softmax layer with ONNX's layout of gates: input, output, forget, cell."""

    kernel: np.ndarray
    recurrent: np.ndarray
    offset: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def forward(self, sequence: np.ndarray) -> tuple[list[tuple[np.ndarray, ...]], np.ndarray]:
        """Return the gates, cells and outputs of each step, and the last hidden state."""
        n = self.recurrent.shape[1]
        hidden, cell = np.zeros(n), np.zeros(n)
        states: list[tuple[np.ndarray, ...]] = []
        for drive in sequence @ self.kernel.T + self.offset:
            z = drive + self.recurrent @ hidden
            write, read, keep = (_sigmoid(z[i * n : (i + 1) * n]) for i in range(3))
            content, before = np.tanh(z[3 * n :]), cell
            cell = keep * before + write * content
            hidden = read * np.tanh(cell)
            states.append((write, read, keep, content, before, np.tanh(cell)))
        return states, hidden

    def backward(self, states: list[tuple[np.ndarray, ...]], slope: np.ndarray) -> np.ndarray:
        """Return the gradient of a logit by the sequence, given that by the last hidden state."""
        of_hidden, of_cell = slope, np.zeros_like(slope)
        gradients = []
        for write, read, keep, content, before, out in reversed(states):
            of_cell = of_cell + of_hidden * read * (1 - out**2)
            z = np.concatenate(
                [
                    of_cell * content * write * (1 - write),
                    of_hidden * out * read * (1 - read),
                    of_cell * before * keep * (1 - keep),
                    of_cell * write * (1 - content**2),
                ]
            )
            gradients.append(z @ self.kernel)
            of_hidden, of_cell = z @ self.recurrent, of_cell * keep
        return np.array(gradients[::-1])


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


@lru_cache(maxsize=4)
def _read_head(path: Path, modified_ns: int) -> _Head | None:
    """Read the weights of an LSTM head from a graph; None if it ends otherwise."""
    onnx = load_onnx()
    from onnx import numpy_helper

    try:
        graph: Any = onnx.load(path).graph
    except Exception as error:  # protobuf's exceptions share no narrower base
        raise ModelBundleError(f"Cannot read {path}: {error}.") from error
    constants = {tensor.name: tensor for tensor in graph.initializer}

    def constant(node: Any) -> np.ndarray | None:
        found = [constants[name] for name in node.input if name in constants]
        return numpy_helper.to_array(found[0]).astype(np.float64) if len(found) == 1 else None

    nodes = list(graph.node)
    layers = [node for node in nodes if node.op_type == "LSTM"]
    softmax = next((i for i, node in enumerate(nodes) if node.op_type == "Softmax"), None)
    if len(layers) != 1 or softmax is None or len(layers[0].input) < 4:
        return None
    made_by = {name: node for node in nodes for name in node.output}
    add = made_by.get(nodes[softmax].input[0])
    product = next((made_by[n] for n in add.input if n in made_by), None) if add else None
    if add is None or product is None or (add.op_type, product.op_type) != ("Add", "MatMul"):
        return None
    bias, weights = constant(add), constant(product)
    if bias is None or weights is None or any(n not in constants for n in layers[0].input[1:4]):
        return None
    kernel, recurrent, offsets = (
        numpy_helper.to_array(constants[name]).astype(np.float64)[0]
        for name in layers[0].input[1:4]
    )
    return _Head(kernel, recurrent, offsets.reshape(2, -1).sum(axis=0), weights, bias.ravel())
