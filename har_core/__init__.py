"""What is the person in a photograph doing? The classifier behind dashboard, REST and CLI."""

import os

# ONNX Runtime would tell its makers of every use, and keep a number of this machine in the home
# folder; it looks when it is imported, so this stands before everything that does.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

from har_core.errors import DatasetError, HarError, InvalidImageError, ModelBundleError
from har_core.model import ActionModel, Prediction, load_model

__all__ = [
    "ActionModel",
    "DatasetError",
    "HarError",
    "InvalidImageError",
    "ModelBundleError",
    "Prediction",
    "load_model",
]
