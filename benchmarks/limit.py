"""The physical limit: the graph's multiply–adds against the machine's matrix multiplication."""

import time
from statistics import median

import numpy as np
import onnx
from onnx import numpy_helper, shape_inference

from benchmarks.peers.running import BareSession
from benchmarks.table import Row
from har_core.model.loading import find_model
from har_core.model.manifest import ONNX_FILE

SIDE = 2048
REPEATS = 12


def measure() -> list[Row]:
    """Return how far one prediction is from the machine's peak."""
    multiply_adds = count_multiply_adds(onnx.load(find_model() / ONNX_FILE))
    bare = BareSession()
    a, b = np.random.default_rng(0).random((2, SIDE, SIDE), np.float32)
    runs: list[float] = []
    products: list[float] = []
    for _ in range(REPEATS):  # in turn, as everywhere
        for times, n, run in ((products, 1, lambda: a @ b), (runs, 25, bare.run)):
            start = time.perf_counter()
            for _ in range(n):
                run()
            times.append((time.perf_counter() - start) / n)
    peak = 2 * SIDE**3 / min(products)
    limit = 2 * multiply_adds / peak
    return [
        Row(
            f"physical limit: {multiply_adds / 1e6:.0f} M multiply–adds "
            f"at {peak / 1e9:.0f} GFLOP/s of matrix multiplication",
            "–",
            f"{1000 * limit:.1f} ms; P1 takes {median(runs) / limit:.1f} × as long",
            None,
        )
    ]


def count_multiply_adds(model: onnx.ModelProto) -> int:
    """Count the multiply–adds of convolutions, matrix products and LSTMs for one photograph."""
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    weights = {item.name: tuple(item.dims) for item in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            weights[node.output[0]] = numpy_helper.to_array(node.attribute[0].t).shape
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.input, *graph.value_info, *graph.output)
    } | weights
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            _, channels, *kernel = shapes[node.input[1]]
            total += int(np.prod(shapes[node.output[0]])) * channels * int(np.prod(kernel))
        elif node.op_type in ("MatMul", "Gemm"):
            total += int(np.prod(shapes[node.output[0]])) * shapes[node.input[0]][-1]
        elif node.op_type == "LSTM":
            length = shapes[node.input[0]][0]
            total += length * int(np.prod(shapes[node.input[1]]) + np.prod(shapes[node.input[2]]))
    return total
