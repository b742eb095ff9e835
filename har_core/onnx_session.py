"""How ONNX Runtime is asked to run a graph."""

import os
from typing import Any

from har_core.threads import cores


def open_session(
    graph: bytes, *, threads: int = 0, optimised: bool = True, quiet: bool = False
) -> Any:
    """Open an `onnxruntime.InferenceSession` that computes the same on every processor.

    Products of 8 bits saturate on x86 processors without VNNI unless ONNX Runtime is told to
    compute them without sign, which it then does on those alone, in 1.4 times the time (a Zen 3).

    Parameters
    ----------
    graph : bytes
        An ONNX model.
    threads : int, default 0
        Cores it may run on, 0 for all.
    optimised : bool, default True
        Without, an 8-bit graph computes in float32 what it says, and slowly.
    quiet : bool, default False
        Without warnings about the graph.

    Raises
    ------
    Exception
        What ONNX Runtime raises, whose exceptions share no narrower base.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not threads and cores() < (os.cpu_count() or 1):
        threads = cores()  # by itself it takes those that a container may not use, too
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.x64quantprecision", "1")
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if quiet:
        options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
