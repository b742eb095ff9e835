"""What a finished model learns about itself: what is foreign to it, and how sure it may sound."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.analysis.features import FeatureCache
from har_core.dataset.table import load_dataset
from har_core.errors import DatasetError, InvalidImageError, ModelBundleError
from har_core.evaluation.answers import refit_rules
from har_core.evaluation.documents import updated_card
from har_core.evaluation.store import list_evaluations, read_evaluation
from har_core.images.decoding import decode_square, read_bytes, read_square
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.feature_outputs import (
    MAP_OUTPUT,
    POOLED_OUTPUTS,
    Features,
    add_feature_outputs,
)
from har_core.model.bundle import manifest_after, verify_bundle, write_bundle
from har_core.model.engine import OnnxEngine, keep_probabilities
from har_core.model.fields import IN_SCOPE
from har_core.model.manifest import (
    INT8_NOVELTY_FILE,
    INT8_ONNX_FILE,
    MODEL_CARD_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    PREDICTIONS_FILE,
    BundleManifest,
)
from har_core.model.novelty.detector import (
    FEWEST_HELD_OUT,
    MOST_REFERENCES,
    fit_novelty,
    read_novelty,
)
from har_core.model.records import read_parquet, read_splits
from har_core.model.temperature import apply_temperature
from har_core.onnx_session import open_session
from har_core.progress import Progress, silent
from har_core.storage.checksums import sha256_of_files

_BATCH: Final = 8
_THREADS: Final = 2
_HELD_BACK: Final = 0.1
_STEP: Final = "Learning what is foreign"


def learn_novelty(
    graph: bytes,
    manifest: BundleManifest,
    photographs: pd.DataFrame,
    predictions: pd.DataFrame,
    *,
    progress: Progress = silent,
) -> dict[str, bytes]:
    """Run a network on its training and validation photographs to learn what is foreign to it.

    Training photographs are what others are compared with; the validation photographs say how far
    ordinary ones lie. Where there are too few of these (a refit has none), a tenth of the training
    photographs serves, by near-duplicate group, which then nothing is compared with. Once that is
    settled, the photographs that the bundle records predictions of are judged, for its evaluation.

    Parameters
    ----------
    graph : bytes
        ``model.onnx``.
    manifest : BundleManifest
        Of its input size and scaling.
    photographs : DataFrame
        In the order of ``splits.parquet``: ``path`` (None where there is no file), ``split``,
        ``sha256`` and ``duplicate_group``.
    predictions : DataFrame
        What ``predictions.parquet`` holds; with ``sha256``, or it stays as it is.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    dict of str to bytes
        ``model.onnx`` with further outputs, ``novelty.npz``, and ``predictions.parquet`` with a
        column ``in_scope``; empty if the network has no feature map, or there are too few
        photographs.
    """
    try:
        extended = add_feature_outputs(graph)
    except ModelBundleError:
        return {}
    present = photographs["path"].notna().to_numpy()
    training = np.flatnonzero(present & photographs["split"].eq("train").to_numpy())
    held_out = np.flatnonzero(present & photographs["split"].eq("validation").to_numpy())
    split = "validation"
    rng = np.random.default_rng(0)
    if len(held_out) < FEWEST_HELD_OUT:
        split = "train"
        groups = photographs["duplicate_group"].to_numpy()[training]
        known = np.unique(groups)
        aside = rng.permutation(known)[: int(len(known) * _HELD_BACK)]
        is_aside = np.isin(groups, aside)
        training, held_out = training[~is_aside], training[is_aside]
    if len(training) > MOST_REFERENCES:
        training = np.sort(rng.permutation(training)[:MOST_REFERENCES])
    if not len(training) or len(held_out) < FEWEST_HELD_OUT:
        return {}
    recorded = photographs["sha256"].isin(set(predictions.get("sha256", ())) - {""}).to_numpy()
    others = np.setdiff1d(np.flatnonzero(present & recorded), held_out)
    rows = np.concatenate([training, held_out, others])
    features = _look_at(photographs.iloc[rows], extended, manifest, progress)
    n = len(training)
    validation = features.take(slice(n, n + len(held_out)))
    detector = fit_novelty(features.take(slice(n)), training, validation, split)
    if detector is None:
        return {}
    learned = {ONNX_FILE: extended, NOVELTY_FILE: detector.to_bytes()}
    if "sha256" in predictions:
        judged = detector.judge(features.take(slice(n, None))).in_scope
        of_content = dict(zip(photographs["sha256"].to_numpy()[rows[n:]], judged, strict=True))
        in_scope = predictions["sha256"].map(of_content).astype("boolean")
        table = predictions.assign(**{IN_SCOPE: in_scope})
        learned[PREDICTIONS_FILE] = table.to_parquet(index=False, compression="zstd")
    return learned


def measure_novelty(
    novelty: bytes, graph: Path, size: int, paths: Sequence[str]
) -> dict[str, bytes]:
    """Measure by an 8-bit graph how foreign held-out photographs look: rounding moves all scores.

    Parameters
    ----------
    novelty : bytes
        ``novelty.npz``.
    graph : Path
        ``model.int8.onnx``.
    size : int
        Of its input.
    paths : sequence of str
        The validation photographs.

    Returns
    -------
    dict of str to bytes
        ``novelty.int8.npz``; empty if there are too few photographs, or either file is of before
        there were all features.
    """
    engine, detector = OnnxEngine(graph), read_novelty(novelty, NOVELTY_FILE)
    if detector is None or not engine.has_features or len(paths) < FEWEST_HELD_OUT:
        return {}
    pooled = [engine.run_with_features(read_square(path, size)[np.newaxis])[1] for path in paths]
    held_out = Features(*(np.concatenate(part) for part in zip(*pooled, strict=True)))
    return {INT8_NOVELTY_FILE: detector.measured_on(held_out).measure_to_bytes()}


def calibrate_bundle(
    folder: str | Path, dataset: str | Path, *, progress: Progress = silent
) -> BundleManifest:
    """Fit novelty, shown confidence and answer sets of a model that exists, and store them in it.

    Training does this for a new model; the command is for older ones. Only the photographs that
    the model was trained and validated on are used, found in the dataset by their content.

    Parameters
    ----------
    folder : str or Path
        Of the bundle; it is replaced in one step.
    dataset : str or Path
        Folder with the photographs that it was trained on.
    progress : callable, optional
        Called with (what is being done, done, total).

    Returns
    -------
    BundleManifest
        As written.

    Raises
    ------
    ModelBundleError
        If the bundle is damaged, records no splits, or cannot be written.
    DatasetError
        If the dataset holds fewer than half of the model's training photographs.
    """
    folder = Path(folder)
    manifest = verify_bundle(folder)
    splits = read_splits(folder)
    if splits is None or ONNX_FILE not in manifest.files:
        raise ModelBundleError(
            f"The model {manifest.name!r} does not record its splits or has no {ONNX_FILE}; only a "
            "model that was trained here can be calibrated."
        )
    photographs = splits.assign(path=find_photographs(splits, dataset, progress))
    trained = photographs["split"].eq("train")
    found = int((trained & photographs["path"].notna()).sum())
    if found < trained.sum() / 2:
        raise DatasetError(
            f"{dataset} holds {found:,} of the {int(trained.sum()):,} photographs that "
            f"{manifest.name!r} was trained on; give the folder that it was trained with."
        )
    graph = (folder / ONNX_FILE).read_bytes()
    predictions = pd.DataFrame()
    if PREDICTIONS_FILE in manifest.files:
        predictions = read_parquet(folder / PREDICTIONS_FILE)
    learned = learn_novelty(graph, manifest, photographs, predictions, progress=progress)
    if learned and INT8_ONNX_FILE in manifest.files:
        held_out = photographs.loc[photographs["split"].eq("validation"), "path"].dropna().tolist()
        learned |= measure_novelty(
            learned[NOVELTY_FILE], folder / INT8_ONNX_FILE, manifest.input_size, held_out
        )
    manifest = manifest_after(folder, manifest)
    rules = refit_rules(folder, manifest, manifest.temperature)
    changed = dataclasses.replace(manifest, answers=rules.to_dict())
    files: dict[str, bytes | Path] = {name: folder / name for name in manifest.files}
    if learned:
        files.pop(INT8_NOVELTY_FILE, None)  # it measured by the detector that was
    files |= learned
    if manifest.metrics.get("split") == "test" and "test" in list_evaluations(folder, manifest):
        result = read_evaluation(folder, "test").raw.calibrated(manifest.temperature, rules)
        changed = dataclasses.replace(changed, metrics={**manifest.metrics, **result.headline()})
    if MODEL_CARD_FILE in manifest.files:
        card = (folder / MODEL_CARD_FILE).read_text(encoding="utf-8")
        files[MODEL_CARD_FILE] = updated_card(card, manifest, changed).encode()
    return write_bundle(folder, changed, files, overwrite=True)


def find_photographs(
    splits: pd.DataFrame, dataset: str | Path, progress: Progress
) -> list[str | None]:
    """Return the path of each recorded photograph, None where the dataset lacks its content."""
    paths = load_dataset(dataset)["path"].dropna().tolist()
    known = dict(zip(sha256_of_files(paths, progress), paths, strict=True))
    return [known.get(sha256) for sha256 in splits["sha256"]]


def _look_at(
    photographs: pd.DataFrame, graph: bytes, manifest: BundleManifest, progress: Progress
) -> Features:
    """Return the pooled features of photographs.

    What an analysis of the dataset and the next quick training ask of the network is remembered on
    the way: it would take them as long again.
    """
    session = open_session(graph, threads=1)
    source, answer = session.get_inputs()[0].name, session.get_outputs()[0].name
    paths, hashes = photographs["path"].to_numpy(), photographs["sha256"].to_numpy()
    identity = {ONNX_FILE: hashlib.sha256(graph).hexdigest()}

    def run(start: int) -> tuple[Features, list[str], np.ndarray, np.ndarray]:
        here = slice(start, start + _BATCH)
        decoded, meant = zip(*_decode(paths[here], hashes[here], manifest.input_size), strict=True)
        batch = scale_pixels(np.stack(decoded), manifest.preprocessing)
        outputs = (answer, MAP_OUTPUT, *POOLED_OUTPUTS)
        probabilities, maps, *pooled = session.run(outputs, {source: batch})
        means = maps.mean(axis=(1, 2), dtype=np.float32)
        answers = apply_temperature(keep_probabilities(probabilities), 1.0)
        known = np.array(meant)
        return Features(*pooled), hashes[here][known].tolist(), means[known], answers[known]

    progress(_STEP, 0, len(paths))
    batches = []
    with (
        FeatureCache(dataclasses.replace(manifest, files=identity), may_forget=True) as cache,
        ThreadPoolExecutor(_THREADS) as pool,
    ):
        try:
            for features, contents, means, answers in pool.map(run, range(0, len(paths), _BATCH)):
                batches.append(features)
                cache.store(contents, means, answers)
                progress(_STEP, min(len(batches) * _BATCH, len(paths)), len(paths))
        finally:
            pool.shutdown(cancel_futures=True)  # `progress` may have raised
    return Features(*map(np.concatenate, zip(*batches, strict=True)))


def _decode(paths: np.ndarray, hashes: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield pixels, and whether they still are of the photograph that is meant."""
    for path, sha256 in zip(paths, hashes, strict=True):
        try:
            data = read_bytes(path)
            yield decode_square(data, size), hashlib.sha256(data).hexdigest() == sha256
        except InvalidImageError as error:
            raise DatasetError(f"{path} cannot be read any more: {error}") from error
