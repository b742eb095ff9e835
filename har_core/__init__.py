"""What is the person in a photograph doing? The classifier behind dashboard, REST and CLI."""

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
