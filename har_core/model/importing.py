"""Making a model bundle from a Keras file that was trained elsewhere."""

import dataclasses
import tempfile
from pathlib import Path
from typing import cast

import numpy as np

from har_core.errors import ModelBundleError
from har_core.extras import require_training_extra
from har_core.images.preprocessing import PREPROCESSINGS, Preprocessing, scale_pixels
from har_core.keras_io.checks import check_probabilities, input_side, probe_pictures
from har_core.keras_io.loading import load_network
from har_core.keras_io.onnx_export import export_onnx
from har_core.model import bundle
from har_core.model.class_indices import format_class_indices, read_class_indices
from har_core.model.fields import check_class_names
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    KERAS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    BundleManifest,
    check_bundle_name,
)


def import_model(
    source: str | Path,
    class_indices: str | Path,
    *,
    preprocessing: str,
    name: str,
    models_folder: str | Path | None = None,
    overwrite: bool = False,
) -> BundleManifest:
    """Make a bundle from an ``.h5`` or ``.keras`` file; imports TensorFlow.

    Parameters
    ----------
    source : str or Path
        A whole Keras model, of Keras 3 or (``.h5`` only) Keras 2. Nothing in it is executed.
    class_indices : str or Path
        Its class index file, in either order; see
        `har_core.model.class_indices.read_class_indices`.
    preprocessing : {"minus_one_to_one", "zero_to_one"}
        Scaling that the network was trained with. No check can tell whether it is the right one.
    name : str
        Name of the new bundle.
    models_folder : str or Path, optional
        Where to make it. Default: `har_core.model.bundle.models_dir`.
    overwrite : bool, default False
        Replace a bundle of that name.

    Returns
    -------
    BundleManifest
        As written. ``training["onnx_error"]`` says why the bundle holds no ONNX graph and is
        served through Keras (slower, and TensorFlow is imported); it is ``None`` normally.

    Raises
    ------
    DatasetError
        If a class cannot have its name, see `har_core.model.fields.check_class_names`.
    ModelBundleError
        If the file cannot be loaded, takes anything but square RGB pictures, has another number
        of outputs than there are classes, or does not give probabilities; if `preprocessing` or
        `name` is invalid; or if the bundle exists already or cannot be written.

    See Also
    --------
    har_core.model.load_model : Loads the bundle.
    """
    require_training_extra("Importing a Keras file")
    source = Path(source)
    root = bundle.models_dir() if models_folder is None else Path(models_folder)
    folder = root / check_bundle_name(name)
    if preprocessing not in PREPROCESSINGS:
        raise ModelBundleError(
            f"The preprocessing must be {' or '.join(PREPROCESSINGS)}, not {preprocessing!r}."
        )
    scaling = cast(Preprocessing, preprocessing)
    # Also checked when writing; here it saves loading TensorFlow first.
    if folder.exists() and not overwrite:
        raise ModelBundleError(
            f"{folder} exists already; choose another name or allow overwriting."
        )
    class_names = read_class_indices(class_indices)
    check_class_names(class_names)
    network = load_network(source)
    size = input_side(network, source)
    n_outputs = network.output_shape[-1]
    if n_outputs != len(class_names):
        raise ModelBundleError(
            f"{source} has outputs of shape {network.output_shape}, but {class_indices} names "
            f"{len(class_names)} classes; give the class index file of this very model."
        )
    probe = scale_pixels(probe_pictures(size), scaling)
    check_probabilities(np.asarray(network(probe, training=False), dtype=np.float64), source)
    manifest = BundleManifest(
        name=name,
        architecture=(
            f"imported Keras network ({len(network.layers)} layers, "
            f"{network.count_params() / 1e6:.1f} million parameters)"
        ),
        input_size=size,
        preprocessing=scaling,
        class_names=class_names,
    )
    with tempfile.TemporaryDirectory() as temporary:
        keras_file = Path(temporary) / KERAS_FILE
        network.save(keras_file, include_optimizer=False)
        files: dict[str, bytes | Path] = {
            KERAS_FILE: keras_file,
            CLASS_INDICES_FILE: format_class_indices(class_names).encode(),
        }
        onnx_file = Path(temporary) / ONNX_FILE
        onnx_error, onnx_difference = None, None
        try:
            onnx_difference = export_onnx(network, onnx_file, probe=probe)
            files[ONNX_FILE] = onnx_file
        except ModelBundleError as error:
            onnx_error = str(error)
        manifest = dataclasses.replace(
            manifest,
            training={
                "imported_from": source.name,
                "imported_sha256": bundle.sha256_of_file(source),
                "onnx_difference": onnx_difference,
                "onnx_error": onnx_error,
            },
        )
        files[MODEL_CARD_FILE] = _model_card(manifest).encode()
        return bundle.write_bundle(folder, manifest, files, overwrite=overwrite)


def _model_card(manifest: BundleManifest) -> str:
    origin = manifest.training
    if origin["onnx_error"] is None:
        served = (
            f"through ONNX Runtime; its probabilities differ from Keras' by at most "
            f"{origin['onnx_difference']:.1g} (measured on drawn pictures)."
        )
    else:
        served = f"through Keras, because there is no ONNX graph: {origin['onnx_error']}"
    return f"""# {manifest.name}

An imported model; its training, its data and its accuracy are not known here. Measure it on
photographs of your own before relying on it.

- **From:** `{origin["imported_from"]}` (sha256 `{origin["imported_sha256"]}`), {manifest.created}
- **Network:** {manifest.architecture}
- **Input:** {manifest.input_size} × {manifest.input_size} RGB, scaled `{manifest.preprocessing}`
  as stated at import; a wrong scaling fails silently
- **Classes:** {", ".join(manifest.class_names)}
- **Runs** {served}
"""
