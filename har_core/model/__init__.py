"""A trained model: its bundle on disk, and the classifier that answers from it."""

from har_core.model.classifier import ActionModel, ImageSource
from har_core.model.loading import find_model, load_model
from har_core.model.prediction import Prediction

__all__ = ["ActionModel", "ImageSource", "Prediction", "find_model", "load_model"]
