"""Ratios to bare ONNX Runtime (P1) that are wanted, whether measured at length or in a minute."""

from typing import Final

ONE_JPEG: Final = 1.25
PREDICT_BATCH: Final = 0.92
COMMAND: Final = 0.88
REST: Final = 0.8
