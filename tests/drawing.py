"""Drawn stand-ins for photographs and a tiny ONNX network, so that tests need no real ones."""

import dataclasses
import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pillow_heif
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw

from har_core.model import bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    INT8_ONNX_FILE,
    ONNX_FILE,
    BundleManifest,
    read_manifest,
)

CLASS_NAMES = ("clapping", "running", "sitting")
COLOURS = {"clapping": (200, 40, 40), "running": (40, 180, 40), "sitting": (50, 60, 200)}


def draw_photo(
    label: str = "running", seed: int = 0, size: tuple[int, int] = (275, 183)
) -> Image.Image:
    """Draw an RGB picture whose dominant colour belongs to its class, different for each seed."""
    rng = np.random.default_rng([seed, CLASS_NAMES.index(label)])
    image = Image.new("RGB", size, COLOURS[label])
    pen = ImageDraw.Draw(image)
    for _ in range(12):
        x, y = rng.integers(0, size[0]), rng.integers(0, size[1])
        w, h = rng.integers(10, 90, 2)
        jitter = rng.integers(-60, 60, 3)
        fill = tuple(int(c) for c in np.clip(np.array(COLOURS[label]) + jitter, 0, 255))
        shape = pen.ellipse if rng.random() < 0.5 else pen.rectangle
        shape((int(x), int(y), int(x + w), int(y + h)), fill=fill)
    return image


def encode(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    """Encode a picture into the bytes of a file."""
    buffer = io.BytesIO()
    if image_format == "HEIF":  # Pillow itself does not know it
        pillow_heif.from_pillow(image).save(buffer, **options)
    else:
        image.save(buffer, image_format, **options)
    return buffer.getvalue()


@functools.lru_cache(maxsize=2000)
def photo_bytes(label: str = "running", seed: int = 0, **options: Any) -> bytes:
    """Draw a picture and return it as the bytes of a JPEG."""
    return encode(draw_photo(label, seed, **options), "JPEG", quality=92)


def write_dataset(folder: Path, per_class: int = 4) -> Path:
    """Write train.csv and train/ with drawn pictures, `per_class` of each of the three classes."""
    (folder / "train").mkdir(parents=True)
    rows = ["filename,label"]
    for label in CLASS_NAMES:
        for seed in range(per_class):
            name = f"{label}_{seed}.jpg"
            (folder / "train" / name).write_bytes(photo_bytes(label, seed))
            rows.append(f"{name},{label}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return folder


COLOUR_WEIGHTS = np.array([[4.0, -2, -2], [-2, 4, -2], [-2, -2, 4]], np.float32)


def colour_network(weights: np.ndarray = COLOUR_WEIGHTS) -> bytes:
    """Return an ONNX graph that tells classes by mean colour: pool, (3, C) matrix, softmax."""
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    outputs = ["N", weights.shape[1]]
    graph = helper.make_graph(
        nodes,
        "colour",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 224, 224, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, outputs)],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def conv_network(n_classes: int = 3, seed: int = 0, logits: np.ndarray | None = None) -> bytes:
    """Return an ONNX graph with a 7×7×12 feature map behind a bottleneck of 6 channels.

    Classes follow from the mean colour as in `colour_network`, which the map's first channels hold.
    """
    rng = np.random.default_rng(seed)
    first = rng.normal(0, 0.1, (6, 3, 32, 32)).astype(np.float32)
    first[:3] = np.eye(3, dtype=np.float32)[:, :, np.newaxis, np.newaxis] / 32**2
    second = rng.normal(0, 0.3, (12, 6, 1, 1)).astype(np.float32)
    second[:3] = np.eye(3, 6, dtype=np.float32)[:, :, np.newaxis, np.newaxis]
    bias = np.zeros(12, np.float32)
    bias[:3] = 1  # keeps colours above the ReLU
    weights = np.zeros((12, n_classes), np.float32)
    weights[:3] = COLOUR_WEIGHTS if logits is None else logits
    nodes = [
        helper.make_node("Transpose", ["pixels"], ["nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", "first"], ["narrow"], strides=[32, 32]),
        helper.make_node("Conv", ["narrow", "second", "bias"], ["wide"]),
        helper.make_node("Relu", ["wide"], ["map"]),
        helper.make_node("ReduceMean", ["map"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 224, 224, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", n_classes])],
        [
            numpy_helper.from_array(array, name)
            for name, array in (
                ("first", first),
                ("second", second),
                ("bias", bias),
                ("weights", weights),
            )
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def network_of_codes(weights: np.ndarray = COLOUR_WEIGHTS) -> bytes:
    """Return `colour_network` for pixels as they are, as an 8-bit graph: it scales them itself."""
    model = onnx.load_from_string(colour_network(weights))
    graph = model.graph
    source = graph.input[0]
    constants = ("scale", np.float32(1 / 127.5)), ("one", np.float32(1))
    graph.initializer.extend(numpy_helper.from_array(np.asarray(v), n) for n, v in constants)
    steps = [
        helper.make_node("Cast", ["codes"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["values", "scale"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "one"], [source.name]),
    ]
    for position, step in enumerate(steps):
        graph.node.insert(position, step)
    source.name = "codes"
    source.type.tensor_type.elem_type = TensorProto.UINT8
    return model.SerializeToString()


@functools.cache
def tiny_network() -> bytes:
    """Return `colour_network`, which many tests write."""
    return colour_network()


def write_tiny_bundle(models_folder: Path, name: str = "tiny", **fields: Any) -> BundleManifest:
    """Write a real bundle around `colour_network`."""
    manifest = BundleManifest(
        name=name,
        architecture="mean colour → softmax",
        input_size=224,
        preprocessing="minus_one_to_one",
        class_names=CLASS_NAMES,
        **fields,
    )
    files = {
        ONNX_FILE: tiny_network(),
        CLASS_INDICES_FILE: format_class_indices(CLASS_NAMES).encode(),
    }
    return bundle.write_bundle(models_folder / name, manifest, files)


def give_8_bits(folder: Path, weights: np.ndarray = COLOUR_WEIGHTS) -> Path:
    """Give a tiny bundle an 8-bit graph, with weights of its own if they shall differ."""
    files = {name: (folder / name).read_bytes() for name in (ONNX_FILE, CLASS_INDICES_FILE)}
    files[INT8_ONNX_FILE] = network_of_codes(weights)
    manifest = dataclasses.replace(read_manifest(folder), files={})
    bundle.write_bundle(folder, manifest, files, overwrite=True)
    return folder


def write_small_backbone(path: Path) -> Path:
    """Write a random stand-in for MobileNetV2: its shapes and names, five convolutions.

    What a run costs in tests is compiling 150 layers, and not what it does with them.
    """
    import keras

    keras.utils.set_random_seed(0)
    x = pixels = keras.Input((224, 224, 3))
    names = ("Conv1", "block_0_project", "block_1_project", "block_2_project", "Conv_1")
    for name, channels in zip(names, (4, 8, 8, 8, 1280), strict=True):
        x = keras.layers.Conv2D(channels, 3, strides=2, padding="same", name=name)(x)
        x = keras.layers.BatchNormalization(name=f"{name}_BN")(x)
        x = keras.layers.ReLU(6.0)(x)
    keras.Model(pixels, x).save(path)
    return path
