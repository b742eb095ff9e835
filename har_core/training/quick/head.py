"""A linear head on a network's pooled feature map: fitted in seconds, written into its graph."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from har_core.analysis.standardisation import fit_scaler
from har_core.errors import ModelBundleError
from har_core.evaluation.calibration import negative_log_likelihood
from har_core.keras_io.feature_outputs import as_the_opset_wants, last_feature_map
from har_core.progress import silent
from har_core.threads import limited_threads

# Weight of the data against the penalty: C times the number of photographs, as of the regression
# in `har_core.analysis.suspects`. On the public HAR set's test split, with the shipped network's
# features: top-1 79.7 % and log loss 0.685, against 79.0 % and 0.834 with a tenth of it.
_DATA_WEIGHT: Final = 10.0
_ITERATIONS_PER_ROUND: Final = 10
_MOST_ROUNDS: Final = 20

RoundReport = Callable[[int, "LinearHead", float], None]


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Softmax of a linear map of feature vectors.

    Parameters
    ----------
    weights : ndarray of float32, shape (D, C)
    bias : ndarray of float32, shape (C,)
    """

    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """Return float64 (N, C) for feature vectors (N, D); rows sum to 1."""
        from scipy.special import softmax

        return softmax(features.astype(np.float64) @ self.weights + self.bias, axis=1)


def fit_linear_head(
    features: np.ndarray,
    codes: np.ndarray,
    *,
    on_round: RoundReport = silent,
) -> LinearHead:
    """Fit a penalised multinomial logistic regression to standardised features.

    Parameters
    ----------
    features : ndarray of float32, shape (N, D)
    codes : ndarray of int, shape (N,)
        Class of each, from 0; every class up to the largest occurs.
    on_round : callable, optional
        Called with the number of the round (from 0), the head so far, and the mean log loss on
        `features`, after every ten steps of the solver; what it raises ends the fit.

    Returns
    -------
    LinearHead
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scaler = fit_scaler(features)
    scaled = scaler.transform(features)
    regression = LogisticRegression(
        C=_DATA_WEIGHT / len(features), max_iter=_ITERATIONS_PER_ROUND, warm_start=True
    )
    head = None
    for number in range(_MOST_ROUNDS):
        with warnings.catch_warnings():
            # Each round but the last stops before it has converged; that is its purpose.
            warnings.simplefilter("ignore", ConvergenceWarning)
            with limited_threads(1):  # threads would wait for each other longer than they compute
                regression.fit(scaled, codes)
        head = _unscaled(regression, scaler)
        losses = negative_log_likelihood(codes, head.probabilities(features))
        on_round(number, head, float(losses.mean()))
        if regression.n_iter_[0] < _ITERATIONS_PER_ROUND:
            break
    assert head is not None
    return head


def _unscaled(regression: Any, scaler: Any) -> LinearHead:
    """Fold the standardisation into the weights, so that the head takes raw features."""
    coefficients, intercept = regression.coef_, regression.intercept_
    if len(coefficients) == 1:  # of two classes only the second one's logit is fitted
        coefficients = np.vstack([np.zeros_like(coefficients), coefficients])
        intercept = np.array([0.0, intercept[0]])
    weights = (coefficients / scaler.scale_).T
    bias = intercept - scaler.mean_ @ weights
    return LinearHead(weights.astype(np.float32), bias.astype(np.float32))


def replace_head(graph: Any, head: LinearHead) -> Any:
    """Return an ONNX graph whose pooled last feature map goes through another head.

    Parameters
    ----------
    graph : onnx.ModelProto
        A classifier with one input; it is left as it is.
    head : LinearHead

    Returns
    -------
    onnx.ModelProto
        With the same input, and the output ``probabilities``, float32 (N, C).

    Raises
    ------
    ModelBundleError
        If the graph has no feature map.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    tensor, axes = last_feature_map(graph)
    kept = _ancestors(graph, tensor)
    reduce = helper.make_node("ReduceMean", [tensor], ["har_pooled"], axes=list(axes), keepdims=0)
    constants = [
        numpy_helper.from_array(head.weights, "har_weights"),
        numpy_helper.from_array(head.bias, "har_bias"),
    ]
    nodes = [
        *kept,
        *as_the_opset_wants([reduce], graph),
        helper.make_node("Gemm", ["har_pooled", "har_weights", "har_bias"], ["har_logits"]),
        helper.make_node("Softmax", ["har_logits"], ["probabilities"], axis=-1),
    ]
    used = {tensor, *(name for node in kept for name in node.input)}
    old = [value for value in graph.graph.initializer if value.name in used]
    constants_of_old = {value.name for value in old}
    inputs = [v for v in graph.graph.input if v.name in used and v.name not in constants_of_old]
    output = helper.make_tensor_value_info(
        "probabilities", TensorProto.FLOAT, ["N", head.weights.shape[1]]
    )
    built = helper.make_model(
        helper.make_graph(nodes, "linear_head", inputs, [output], [*old, *constants]),
        opset_imports=graph.opset_import,
        ir_version=graph.ir_version,
    )
    try:
        onnx.checker.check_model(built)
    except onnx.checker.ValidationError as error:
        raise ModelBundleError(f"The network cannot be given another head: {error}.") from error
    return built


def _ancestors(graph: Any, tensor: str) -> list[Any]:
    """Return the nodes that a tensor is computed by, in their order."""
    wanted, kept = {tensor}, []
    for node in reversed(graph.graph.node):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]
