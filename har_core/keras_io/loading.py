"""Loading Keras model files without executing anything that they contain."""

import io
import json
import shlex
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from har_core.errors import ZIP_DAMAGE, ModelBundleError, on_one_line
from har_core.extras import load_keras
from har_core.images.signatures import identify_content
from har_core.keras_io.checks import KERAS_SUFFIXES
from har_core.keras_io.legacy_graph import rebuild_network
from har_core.keras_io.legacy_weights import group_in, load_archive_weights, load_weights
from har_core.keras_io.operations import with_modules
from har_core.keras_io.safety import Config, refuse_unsafe_config
from har_core.storage.paths import is_file, is_folder
from har_core.wording import counted

_HDF5_SIGNATURE: Final = b"\x89HDF\r\n\x1a\n"
_ZIP_SIGNATURE: Final = b"PK\3\4"
_OF_PYTORCH: Final = (".pt", ".pth", ".safetensors", ".ckpt")
_MAX_CONFIG_BYTES: Final = 64 * 2**20
# Weights hardly shrink when they are compressed; what unpacks to more than this, and to more than
# a hundred times of what is stored, is no network.
_MOST_UNPACKED: Final = 256 * 2**20
_MOST_EXPANSION: Final = 100
_BUILD_AGAIN: Final = (
    "build the network in code with Keras 3, give it the weights with "
    "set_weights(old.get_weights()) and save it as .keras"
)


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
    if suffix not in KERAS_SUFFIXES:
        raise ModelBundleError(_other_kind(path, suffix))
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except (OSError, ValueError) as error:  # the latter of a path with a NUL
        cause = getattr(error, "strerror", None) or error
        raise ModelBundleError(f"Cannot read {path}: {cause}.") from error
    _check_content(path, head)
    load_keras()
    network = _load_keras_archive(path) if suffix == ".keras" else _load_hdf5(path)
    inputs = getattr(network, "inputs", None)
    if not inputs:
        raise ModelBundleError(
            f"The network in {path} must have one input and one output of known shape; build it "
            "with an Input layer and save it again."
        )
    if len(inputs) != 1 or len(network.outputs) != 1:
        raise ModelBundleError(
            f"The network in {path} has {counted(len(inputs), 'input')} and "
            f"{counted(len(network.outputs), 'output')}; only one of each is supported. Save what "
            "gives the classes alone: keras.Model(model.inputs, model.outputs[0])"
        )
    if isinstance(getattr(network, "output", None), dict):
        import keras

        network = keras.Model(network.inputs, network.outputs[0], name=network.name)
    for layer in network._flatten_layers():
        if getattr(layer, "stateful", False):
            raise ModelBundleError(
                f"{path} is refused: the layer {layer.name!r} is stateful, so that answers depend "
                "on the photographs before; build it with stateful=False and save it again."
            )
    return network


def _other_kind(path: Path, suffix: str) -> str:
    if suffix == ".pb" or is_file(path / "saved_model.pb"):
        folder = path if is_folder(path) else path.parent
        what, given = "a SavedModel", f"--saved-model {shlex.quote(str(folder))}"
    elif suffix == ".tflite":
        what, given = "a LiteRT file", f"--tflite {shlex.quote(str(path))}"
    elif suffix in _OF_PYTORCH:
        return f"{path} is of PyTorch, which is not read; use torch.onnx.export and import that."
    else:
        return f"{path} is no model file: its name must end in .keras, .h5 or .onnx."
    return (
        f"{path} is {what}, which is not read; make an ONNX graph of it: "
        f"python -m tf2onnx.convert {given} --output m.onnx"
    )


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
            for entry in archive.infolist():
                if entry.file_size > max(_MOST_UNPACKED, _MOST_EXPANSION * entry.compress_size):
                    raise ModelBundleError(
                        f"{entry.filename} in {path} would unpack to unreasonably much."
                    )
            config = _parse(archive.read("config.json"), path)
            metadata = {}
            if "metadata.json" in names:
                metadata = _parse(archive.read("metadata.json"), path)
    except (*ZIP_DAMAGE, OSError) as error:
        raise ModelBundleError(f"{path} is damaged: {error}. Get the file again.") from error
    version = metadata.get("keras_version")
    if isinstance(version, str) and version.startswith("2."):
        refuse_unsafe_config(config, path, keras_2=True)
        return _with_clear_errors(path, lambda: _rebuilt_archive(path, config), _BUILD_AGAIN)
    refuse_unsafe_config(config, path)
    return _with_clear_errors(path, lambda: _load_archive(path), _BUILD_AGAIN)


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
    keras_2 = version is None or version.startswith("2.")
    refuse_unsafe_config(config, path, keras_2=keras_2)
    if version is not None and version.startswith("1."):
        raise ModelBundleError(
            f"{path} was written by Keras {version}; load it with Keras 2 and save it again first."
        )
    if keras_2:
        return _with_clear_errors(path, lambda: _rebuilt(path, config), _BUILD_AGAIN)
    advice = f"save it as .keras with Keras {version}, which is read"
    return _with_clear_errors(path, lambda: _load_copy(path, config), advice)


def _rebuilt(path: Path, config: Config) -> Any:
    """Load a file of Keras 2; one without a version is old, too."""
    import h5py

    network = rebuild_network(config)
    with h5py.File(path, "r") as file:
        load_weights(network, group_in(file, "model_weights") or file)
    return network.layer


def _load_archive(path: Path) -> Any:
    if path.suffix == ".keras":
        return _keras_load(path)
    with tempfile.TemporaryDirectory() as folder:  # Keras takes no .KERAS
        copied = Path(folder) / "model.keras"
        shutil.copyfile(path, copied)
        return _keras_load(copied)


def _rebuilt_archive(path: Path, config: Config) -> Any:
    """Load a ``.keras`` file of Keras 2."""
    import h5py

    network = rebuild_network(config)
    with zipfile.ZipFile(path) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "r") as file:
        load_archive_weights(network, file)
    return network.layer


def _load_copy(path: Path, config: Config) -> Any:
    """Let Keras load a copy, under a name that it takes and with its operations' modules."""
    import h5py

    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder) / "model.h5"
        shutil.copyfile(path, copied)
        with h5py.File(copied, "r+") as file:
            del file.attrs["model_config"]
            file.attrs["model_config"] = json.dumps(with_modules(config))
        return _keras_load(copied)


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


def _with_clear_errors(path: Path, load: Callable[[], Any], advice: str) -> Any:
    try:
        return load()
    except ModelBundleError as error:
        raise ModelBundleError(f"Cannot load {path}: {error}") from error
    # Keras builds what the file says and raises whatever goes wrong on the way.
    except Exception as error:
        cause = on_one_line(error) or type(error).__name__
        raise ModelBundleError(
            f"Keras cannot load {path}: {cause}. If the file is whole, {advice}."
        ) from error
