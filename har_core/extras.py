"""What not every installation has: the extras ``train`` (TensorFlow) and ``scale`` (Ray)."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

from har_core.errors import HarError, ModelBundleError

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


def _missing(packages: Sequence[str]) -> list[str]:
    return [name for name in packages if find_spec(name) is None]
