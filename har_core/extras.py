"""What not every installation has: the extras ``train`` (TensorFlow) and ``scale`` (Ray)."""

import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final

from har_core.errors import HarError, ModelBundleError
from har_core.interrupts import held_back

# TensorFlow 2.21 says this on any machine without a GPU, and of an ordinary processor, however
# little it was asked to log.
_CHATTER: Final = re.compile(
    rb"WARNING: All log messages before absl|"
    rb"[IE]\d{4} .*"
    rb"(Could not find cuda drivers|failed call to cuInit|oneDNN custom operations are on)"
)
_redirecting = threading.Lock()  # stderr is the whole process's
_TRAINING: Final = ("tensorflow", "keras", "tf2onnx", "h5py")


def require_training_extra(purpose: str, packages: Sequence[str] = _TRAINING) -> None:
    """Refuse work that needs TensorFlow where it is not installed; imports nothing.

    Parameters
    ----------
    purpose : str
        What needs it, as the subject of the message.
    packages : sequence of str, optional
        Which of the extra's it needs; default: TensorFlow and what goes with it.

    Raises
    ------
    ModelBundleError
        If a package of the extra is missing; the message says how to install it.
    """
    if missing := _missing(packages):
        raise ModelBundleError(
            f"{purpose} needs {', '.join(missing)}: pip install 'har-dashboard[train]'"
        )


def require_scale_extra(purpose: str, packages: Sequence[str]) -> None:
    """Refuse work that needs a package of the extra ``scale``; see `require_training_extra`.

    Raises
    ------
    HarError
        If a package is missing; the message says how to install it.
    """
    if missing := _missing(packages):
        raise HarError(f"{purpose} needs {', '.join(missing)}: pip install 'har-dashboard[scale]'")


def load_keras() -> None:
    """Import Keras and its backend, and keep from the terminal what it says of the machine."""
    if "keras" in sys.modules:
        return
    with _without(_CHATTER):
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()  # says it, too, when it is first asked


def load_onnx() -> Any:
    """Import ONNX and return it; an interrupt waits, which would end the process inside its C++."""
    with held_back(signal.SIGINT, signal.SIGTERM):
        import onnx
    return onnx


@contextmanager
def _without(lines: re.Pattern[bytes]) -> Iterator[None]:
    """Pass on what is written to stderr, by C++ too, but for some lines, when the block ends."""
    with _redirecting:
        try:
            stderr = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        with tempfile.TemporaryFile() as said:
            os.dup2(said.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(stderr, 2)
                said.seek(0)
                for line in said:
                    if not lines.match(line):
                        os.write(stderr, line)
                os.close(stderr)


def _missing(packages: Sequence[str]) -> list[str]:
    return [name for name in packages if find_spec(name) is None]
