"""Loading Keras model files without executing anything that they contain."""

import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from har_core.errors import ZIP_DAMAGE, ModelBundleError
from har_core.images.signatures import identify_content
from har_core.keras_io.legacy_h5 import modernize_config, wrote_keras_2

_HDF5_SUFFIXES: Final = (".h5", ".hdf5")
_HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURE: Final = b"PK\3\4"
_MAX_CONFIG_BYTES: Final = 64 * 2**20

# Layers that run code or read files from outside the network when they are built or called.
_REFUSED: Final = {
    "Lambda": "a Lambda layer, which holds Python code",
    "__lambda__": "a Python lambda",
    "TFSMLayer": "a TFSMLayer, which runs a TensorFlow graph of another file",
    "TorchModuleWrapper": "a TorchModuleWrapper, which holds pickled code",
    "JaxLayer": "a JaxLayer, which holds code",
    "FlaxLayer": "a FlaxLayer, which holds code",
    "TFOpLambda": "a bare TensorFlow operation, which Keras 3 cannot rebuild",
    "SlicingOpLambda": "a bare TensorFlow operation, which Keras 3 cannot rebuild",
    "TensorFlowOpLayer": "a bare TensorFlow operation, which Keras 3 cannot rebuild",
}

Config = dict[str, Any]


def load_network(path: str | Path) -> Any:
    """Load a ``.keras`` or ``.h5`` file as an uncompiled Keras model.

    The configuration is inspected before Keras sees the file: nothing but Keras' own layers is
    built, so nothing that the file contains is executed. Files written by Keras 2 (TensorFlow
    ≤ 2.15) are translated in a temporary copy; the file itself is never changed.

    Parameters
    ----------
    path : str or Path
        A whole model (architecture and weights).

    Returns
    -------
    keras.Model
        With one input and one output of known shape.

    Raises
    ------
    ModelBundleError
        If the file is missing, no whole model, damaged, or refused as unsafe; the message names
        the layer in question.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".keras", *_HDF5_SUFFIXES):
        raise ModelBundleError(f"{path} is no model file: its name must end in .keras or .h5.")
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise ModelBundleError(f"Cannot read {path}: {error.strerror or error}.") from error
    _check_content(path, head)
    network = _load_keras_archive(path) if suffix == ".keras" else _load_hdf5(path)
    inputs = getattr(network, "inputs", None)
    if not inputs or len(inputs) != 1 or len(network.outputs) != 1:
        raise ModelBundleError(
            f"The network in {path} must have one input and one output of known shape; build it "
            "with an Input layer and save it again."
        )
    return network


def refuse_unsafe_config(config: Config, source: str | Path) -> None:
    """Refuse a model configuration that asks for anything but Keras' own objects.

    Parameters
    ----------
    config : dict
        Parsed ``config.json`` or ``model_config``.
    source : str or Path
        What to call it in the error message.

    Raises
    ------
    ModelBundleError
        Naming the layer, and why it is refused.
    """
    # A list of work instead of recursion: the nesting is the file's choice.
    pending: list[tuple[Any, str]] = [
        # How the model was compiled is not loaded; a custom loss there does no harm.
        ({k: v for k, v in config.items() if k != "compile_config"}, "the model")
    ]
    while pending:
        item, owner = pending.pop()
        if isinstance(item, list):
            pending.extend((value, owner) for value in item)
        elif isinstance(item, dict):
            if "class_name" in item:
                owner = _owner(item, owner)
                reason = _reason_to_refuse(item)
                if reason:
                    raise ModelBundleError(
                        f"{source} is refused: {owner} is {reason}. Nothing in a model file is "
                        "executed; rebuild the model from Keras' own layers and save it again."
                    )
            pending.extend((value, owner) for value in item.values())


def _owner(item: Config, owner: str) -> str:
    inner = item.get("config")
    name = item.get("name") or (inner.get("name") if isinstance(inner, dict) else None)
    return f"the layer {name!r}" if isinstance(name, str) else owner


def _reason_to_refuse(item: Config) -> str | None:
    class_name, module = item["class_name"], item.get("module")
    registered = item.get("registered_name")
    if not isinstance(class_name, str):
        return "not a valid configuration"
    if class_name in _REFUSED:
        return _REFUSED[class_name]
    if ">" in class_name or (isinstance(registered, str) and ">" in registered):
        return f"custom code ({registered or class_name})"
    if module is not None and (
        not isinstance(module, str) or module.partition(".")[0] not in ("keras", "builtins")
    ):
        return f"code from the module {module!r}"
    own_names = (None, "", "function", class_name, item.get("config"))
    if "registered_name" in item and registered not in own_names:
        return f"custom code ({registered})"
    # Keras writes the module of its own classes; only functions are from "builtins".
    own_module = class_name == "function" or class_name.startswith("__")
    if "module" in item and module in (None, "builtins") and not own_module:
        return f"custom code ({class_name})"
    return None


def _check_content(path: Path, head: bytes) -> None:
    is_zip, is_hdf5 = head.startswith(_ZIP_SIGNATURE), head.startswith(_HDF5_SIGNATURE)
    if path.suffix.lower() == ".keras":
        expected, other, right_name = is_zip, is_hdf5, ".h5"
    else:
        expected, other, right_name = is_hdf5, is_zip, ".keras"
    if expected:
        return
    if other:
        raise ModelBundleError(f"{path} has the content of a {right_name} file; rename it so.")
    what = "empty" if not head else identify_content(head).description
    if head.startswith(b"version https://git-lfs"):
        what = "a Git LFS pointer (run 'git lfs pull')"
    raise ModelBundleError(f"{path} is {what}, not a Keras model file; get the file again.")


def _load_keras_archive(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if "config.json" not in names or not any(n.startswith("model.weights") for n in names):
                raise ModelBundleError(
                    f"{path} is a ZIP archive but no Keras model: it lacks config.json or "
                    "model.weights.h5. Save it with model.save('NAME.keras')."
                )
            texts = [archive.getinfo(n) for n in ("config.json", "metadata.json") if n in names]
            if any(text.file_size > _MAX_CONFIG_BYTES for text in texts):
                raise ModelBundleError(f"The configuration in {path} is unreasonably large.")
            config = _parse(archive.read("config.json"), path)
            metadata = {}
            if "metadata.json" in names:
                metadata = _parse(archive.read("metadata.json"), path)
    except (*ZIP_DAMAGE, OSError) as error:
        raise ModelBundleError(f"{path} is damaged: {error}. Get the file again.") from error
    version = metadata.get("keras_version")
    if isinstance(version, str) and version.startswith("2."):
        raise ModelBundleError(
            f"{path} was written by Keras {version}, whose .keras files Keras 3 does not read; "
            "load it there and save it as .h5, which is read."
        )
    refuse_unsafe_config(config, path)
    return _with_clear_errors(path, lambda: _keras_load(path))


def _load_hdf5(path: Path) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            version = _text(file.attrs.get("keras_version"))
            stored = _text(file.attrs.get("model_config"))
            holds_weights = "layer_names" in file.attrs or "layers" in file
    except (OSError, RuntimeError, ValueError) as error:
        raise ModelBundleError(f"{path} is damaged: {error}. Get the file again.") from error
    if stored is None:
        raise ModelBundleError(
            f"{path} holds only weights, not the network; save the whole model with "
            "model.save('NAME.keras')."
            if holds_weights
            else f"{path} is an HDF5 file but holds no Keras model."
        )
    config = _parse(stored, path)
    refuse_unsafe_config(config, path)
    if version is not None and version.startswith("1."):
        raise ModelBundleError(
            f"{path} was written by Keras {version}; load it with Keras 2 and save it again first."
        )
    if not wrote_keras_2(version):
        return _with_clear_errors(path, lambda: _keras_load(path))

    def load_translated_copy() -> Any:
        translated = json.dumps(modernize_config(config))
        with tempfile.TemporaryDirectory() as folder:
            copied = Path(folder) / "model.h5"
            shutil.copyfile(path, copied)
            with h5py.File(copied, "r+") as file:
                del file.attrs["model_config"]
                file.attrs["model_config"] = translated
            return _keras_load(copied)

    return _with_clear_errors(path, load_translated_copy)


def _text(attribute: Any) -> str | None:
    """Return an HDF5 attribute as text; old files hold bytes."""
    if isinstance(attribute, bytes):
        return attribute.decode("utf-8")
    return None if attribute is None else str(attribute)


def _parse(text: str | bytes, path: Path) -> Config:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelBundleError(f"The configuration in {path} is damaged: {error}.") from error
    if not isinstance(config, dict):
        raise ModelBundleError(f"The configuration in {path} is damaged: it is no JSON object.")
    return config


def _keras_load(path: Path) -> Any:
    import keras

    return keras.saving.load_model(path, compile=False, safe_mode=True)


def _with_clear_errors(path: Path, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except ModelBundleError as error:
        raise ModelBundleError(f"Cannot load {path}: {error}") from error
    # Keras builds what the file says and raises whatever goes wrong on the way.
    except Exception as error:
        cause = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelBundleError(
            f"Keras cannot load {path}: {cause}. If the file is whole, save it again as .keras "
            "with the Keras version that wrote it."
        ) from error
