"""Finding and loading a model once per process."""

import os
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from har_core.errors import ModelBundleError
from har_core.extras import require_training_extra
from har_core.images.preprocessing import Preprocessing, scale_pixels
from har_core.keras_io.checks import KERAS_SUFFIXES, probe_pictures
from har_core.model import bundle
from har_core.model.class_indices import read_class_indices
from har_core.model.classifier import ActionModel
from har_core.model.engine import KerasEngine, OnnxEngine
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    GRAPH_FILES,
    INT8_NOVELTY_FILE,
    INT8_ONNX_FILE,
    KERAS_FILE,
    MANIFEST_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    BundleManifest,
    Precision,
    read_manifest,
    verifying,
)
from har_core.model.novelty.detector import NoveltyDetector, read_novelty
from har_core.model.precision import graph_to_run, wanted_precision
from har_core.settings import MODEL
from har_core.storage.data import runs_folder
from har_core.storage.paths import expanded, is_file, is_folder

_cache: dict[Path, tuple[tuple[int, int, str | None], ActionModel]] = {}
# One for each path: while one model loads for seconds, the others answer.
_locks: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
_locks_lock = threading.Lock()


def load_model(
    name_or_path: str | os.PathLike[str] | None = None,
    *,
    preprocessing: Preprocessing | None = None,
) -> ActionModel:
    """Load a model once per process; later calls return the same object.

    A bundle's files are verified against their checksums. With an ONNX graph TensorFlow is never
    imported; without one, and for plain ``.keras`` files, Keras runs the network. A bundle whose
    manifest changed on disk is loaded again.

    Parameters
    ----------
    name_or_path : str or path, optional
        Name of a bundle in `har_core.model.bundle.models_dir`, path of a bundle, or path of a
        ``.keras`` or ``.h5`` file with a ``class_indices.json`` beside it. Default: the environment
        variable ``HAR_MODEL``, else the newest bundle.
    preprocessing : {"none", "zero_to_one", "minus_one_to_one", "caffe", "torch"}, optional
        Scaling for a plain Keras file; bundles know their own. Default: ``none`` for a network that
        scales pixels itself, else ``minus_one_to_one``.

    Returns
    -------
    ActionModel

    Raises
    ------
    ModelBundleError
        If there is no such model, its files are damaged, or ``HAR_PRECISION`` is wrong.
    """
    path = find_model(name_or_path)
    with _locks_lock:
        loading = _locks[path]
    with loading:
        loaded = loaded_model(path, preprocessing)
        if loaded is not None:
            return loaded
        stamp = _stamp(path, preprocessing)
        _forget_changed()
        model = load_bundle(path) if is_folder(path) else _load_keras_file(path, preprocessing)
        _cache[path] = (stamp, model)
        return model


def loaded_model(path: Path, preprocessing: Preprocessing | None = None) -> ActionModel | None:
    """Return what `load_model` would without loading, and without waiting for who does.

    Parameters
    ----------
    path : Path
        As `find_model` returns it.
    preprocessing : str, optional
        As in `load_model`.

    Returns
    -------
    ActionModel or None
        None if it is not loaded, or changed on disk since.

    Raises
    ------
    ModelBundleError
        If there is no such model any more.
    """
    cached = _cache.get(path)
    return cached[1] if cached is not None and cached[0] == _stamp(path, preprocessing) else None


def _forget_changed() -> None:
    """Let go of models that were deleted or replaced; whoever uses one keeps it until then."""
    for path, loaded in _cache.copy().items():
        try:
            changed = loaded[0] != _stamp(path, loaded[0][2])
        except ModelBundleError:
            changed = True
        if changed and _cache.get(path) is loaded:  # and no newer one
            _cache.pop(path, None)


def _stamp(path: Path, preprocessing: str | None) -> tuple[int, int, str | None]:
    """Return what changes when a model has to be loaded again."""
    stamp_file = path / MANIFEST_FILE if is_folder(path) else path
    try:
        stat = stamp_file.stat()
    except OSError as error:
        raise ModelBundleError(f"Cannot read {stamp_file}: {error.strerror or error}.") from error
    how = wanted_precision() if is_folder(path) else preprocessing
    return (stat.st_mtime_ns, stat.st_size, how)


def find_model(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute path of the bundle folder or ``.keras`` file that `load_model` takes.

    Raises
    ------
    ModelBundleError
        If there is no such model, or none at all.
    """
    wanted = name_or_path or MODEL.value or None
    if wanted is None:
        return _newest_bundle()
    path = expanded(wanted)
    is_keras_file = path.suffix.lower() in KERAS_SUFFIXES
    if len(path.parts) == 1:
        for folder in bundle.models_dirs():
            named = folder / path
            bundle.restore_interrupted_replacement(named)
            if is_folder(named):
                return named.resolve()
    if is_folder(path) or (is_keras_file and is_file(path)):
        return path.resolve()
    if is_file(path):
        raise ModelBundleError(
            f"{wanted} is a file and no bundle; make one of it with 'har import-model'."
        )
    known = [e.name for e in bundle.list_bundles() if e.manifest is not None]
    raise ModelBundleError(
        f"There is no model {str(wanted)!r} in {bundle.models_dir()} and no such path; "
        + (f"models there: {', '.join(known)}." if known else "that folder holds no model.")
    )


def list_trials() -> list[bundle.BundleEntry]:
    """Return the models on trial, the newest run first: trained from the page, not used yet."""
    entries = []
    for file in sorted(runs_folder().glob(f"[!.]*/models/[!.]*/{MANIFEST_FILE}"), reverse=True):
        try:
            manifest = read_manifest(file.parent)
        except ModelBundleError:
            continue  # the run's own page says what is wrong with it
        entries.append(bundle.BundleEntry(file.parent.name, file.parent, manifest))
    return entries


def find_model_or_trial(name_or_path: str) -> Path:
    """Return the absolute path of a model as `find_model`, or else of one on trial of that name.

    Raises
    ------
    ModelBundleError
        See `find_model`.
    """
    try:
        return find_model(name_or_path)
    except ModelBundleError:
        for entry in list_trials():
            if entry.name == name_or_path:
                return entry.path.resolve()
        raise


def _newest_bundle() -> Path:
    usable = [e for e in bundle.list_bundles() if e.manifest is not None]
    if not usable:
        raise ModelBundleError(
            f"There is no model in {bundle.models_dir()}. Train one with 'har train', "
            "import one with 'har import-model', or set HAR_MODELS_DIR."
        )
    chosen = bundle.chosen_default(usable)
    return (chosen or usable[0]).path.resolve()


def load_bundle(
    path: Path, *, one_core: bool = False, precision: Precision | None = None
) -> ActionModel:
    """Load a bundle from its folder, without remembering it.

    Parameters
    ----------
    path : Path
        Of the bundle.
    one_core : bool, default False
        See `OnnxEngine`.
    precision : {"float32", "int8"}, optional
        What to compute with; only that graph has to be there. Default: as `graph_to_run` says.

    Raises
    ------
    ModelBundleError
        See `load_model`.
    """
    used = (ONNX_FILE, INT8_ONNX_FILE, NOVELTY_FILE, INT8_NOVELTY_FILE)
    with verifying(path, first=used) as (manifest, wait_for):
        if GRAPH_FILES[precision or "float32"] in manifest.files:
            import onnxruntime  # noqa: F401 - takes as long as checking what is used

            wait_for(*used)
            graph = path / GRAPH_FILES[precision] if precision else graph_to_run(path, manifest)
            with ThreadPoolExecutor(1) as beside:
                opening = beside.submit(OnnxEngine, graph, one_core=one_core)
                novelty = _novelty(path, manifest, graph)
                return ActionModel(manifest, opening.result(), novelty)
    if precision is not None:
        raise ModelBundleError(f"{path} holds no {GRAPH_FILES[precision]}.")
    # Of Keras files everything is checked first: reading one takes seconds.
    if KERAS_FILE not in manifest.files:
        raise ModelBundleError(f"{path} holds neither {ONNX_FILE} nor {KERAS_FILE}.")
    from har_core.keras_io.loading import load_network

    require_training_extra(f"Running {path.name} without an ONNX graph")
    network = load_network(path / KERAS_FILE)
    return ActionModel(manifest, KerasEngine(network, path / KERAS_FILE))


def _novelty(folder: Path, manifest: BundleManifest, graph: Path) -> NoveltyDetector | None:
    """Return what tells foreign pictures by the features that a graph gives."""
    if NOVELTY_FILE not in manifest.files:
        return None
    file = folder / NOVELTY_FILE
    novelty = read_novelty(file.read_bytes(), str(file))
    measure = folder / INT8_NOVELTY_FILE
    if novelty is not None and graph.name == INT8_ONNX_FILE and measure.name in manifest.files:
        novelty = novelty.with_measure(measure.read_bytes(), str(measure))
    return novelty


def _load_keras_file(path: Path, preprocessing: Preprocessing | None) -> ActionModel:
    # Imported here, because every start would wait for what few models need.
    from har_core.keras_io.candidates import KerasCandidate, require_packages
    from har_core.keras_io.outputs import rule_for_outputs, with_probabilities
    from har_core.model.importing import choose_preprocessing

    indices = path.parent / CLASS_INDICES_FILE
    if not is_file(indices):
        raise ModelBundleError(
            f"{path} needs a {CLASS_INDICES_FILE} beside it that names its classes; or make "
            "a bundle of it with 'har import-model'."
        )
    class_names = read_class_indices(indices)
    require_packages(path)
    candidate = KerasCandidate(path)
    scaling, _ = choose_preprocessing(candidate, preprocessing, default="minus_one_to_one")
    probe = scale_pixels(probe_pictures(candidate.input_size), scaling)
    rule = rule_for_outputs(candidate.run(probe), candidate.ending(), path)
    manifest = BundleManifest(
        name=path.stem,
        architecture="imported Keras model",
        input_size=candidate.input_size,
        preprocessing=scaling,
        class_names=class_names,
    )
    return ActionModel(manifest, KerasEngine(with_probabilities(candidate.network, rule), path))
