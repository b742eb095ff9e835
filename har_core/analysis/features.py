"""What a model sees in photographs: pooled feature vectors, and its probabilities, remembered."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from har_core.errors import DatasetError, InvalidImageError, ModelBundleError
from har_core.extras import load_onnx
from har_core.images.decoding import decode_square, read_bytes
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.feature_outputs import as_kept, last_feature_map
from har_core.model import bundle
from har_core.model.engine import keep_probabilities
from har_core.model.manifest import ONNX_FILE, BundleManifest
from har_core.model.temperature import apply_temperature
from har_core.onnx_session import open_session
from har_core.progress import Progress, silent
from har_core.storage.cache import cache_dir
from har_core.storage.database import CacheDatabase

# Change it when a stored value changes its meaning: older caches are not used then.
_CONTENT: Final = "means of the network's own last map, probabilities at temperature 1"
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS photographs"
    " (sha256 TEXT PRIMARY KEY, features BLOB, probabilities BLOB)",
)
_BATCH: Final = 32


@dataclass(frozen=True)
class PhotoFeatures:
    """Feature vectors and probabilities of photographs that a model has seen.

    Parameters
    ----------
    sha256 : list of str
        Content of each photograph, unique.
    features : ndarray of float32, shape (N, D)
        The last feature map of the network, averaged over the picture.
    probabilities : ndarray of float64, shape (N, C)
        At temperature 1, so that they stay valid when the bundle's is changed; rows sum to 1.
    class_names : tuple of str
        Of the C columns.
    """

    sha256: list[str]
    features: np.ndarray
    probabilities: np.ndarray
    class_names: tuple[str, ...]

    def rows_of(self, hashes: Sequence[str]) -> np.ndarray:
        """Return the row of each content, -1 where it is unknown; int64."""
        return pd.Index(self.sha256).get_indexer(pd.Index(hashes))


class FeatureNetwork:
    """A bundle's network, with its last feature map as a second output.

    Parameters
    ----------
    folder : Path
        A bundle with an ONNX graph.

    Raises
    ------
    ModelBundleError
        If the bundle is damaged, has no ONNX graph, or that has no feature map.
    """

    def __init__(self, folder: Path) -> None:
        onnx = load_onnx()
        self.manifest = bundle.verify_bundle(folder)
        if ONNX_FILE not in self.manifest.files:
            raise ModelBundleError(
                f"The model {self.manifest.name!r} has no {ONNX_FILE}, which comparing "
                "photographs needs; choose another model."
            )
        graph = onnx.load(folder / ONNX_FILE)
        name, self._spatial_axes = last_feature_map(graph)
        if name not in {output.name for output in graph.graph.output}:
            graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        try:
            self._session = open_session(graph.SerializeToString())
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelBundleError(
                f"The feature map {name} of {folder / ONNX_FILE} cannot be read: {error}."
            ) from error
        self._input = self._session.get_inputs()[0].name
        self._outputs = [self._session.get_outputs()[0].name, name]

    def run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return features, and probabilities at temperature 1, of photographs.

        Parameters
        ----------
        pixels : ndarray of uint8, shape (N, S, S, 3)
            RGB, with S the bundle's input size.

        Returns
        -------
        features : ndarray of float32, shape (N, D)
        probabilities : ndarray of float64, shape (N, C)
            NaN where the network gives none.
        """
        batch = scale_pixels(pixels, self.manifest.preprocessing)
        probabilities, maps = self._session.run(self._outputs, {self._input: batch})
        features = maps.mean(axis=self._spatial_axes, dtype=np.float32)
        return features, apply_temperature(keep_probabilities(probabilities), 1.0)


class FeatureCache(CacheDatabase):
    """Features on disk, by content, of one model; see `CacheDatabase`.

    Parameters
    ----------
    manifest : BundleManifest
        Another network or scaling of the same name has another cache.
    may_forget : bool
        See `CacheDatabase`.
    """

    def __init__(self, manifest: BundleManifest, *, may_forget: bool = False) -> None:
        identity = "\n".join(
            [_CONTENT, manifest.files.get(ONNX_FILE, ""), manifest.preprocessing]
        ).encode()
        name = f"{manifest.name}-{hashlib.sha256(identity).hexdigest()[:16]}.sqlite"
        super().__init__(cache_dir() / "features" / name, _SCHEMA, may_forget=may_forget)

    def known(self) -> set[str]:
        """Return the contents whose features are stored."""
        return {sha256 for (sha256,) in self._db.execute("SELECT sha256 FROM photographs")}

    def store(self, hashes: Sequence[str], features: np.ndarray, probabilities: np.ndarray) -> None:
        """Record the features and probabilities of some contents, where both are finite."""
        sound = np.isfinite(features).all(axis=1) & np.isfinite(probabilities).all(axis=1)
        found = zip(hashes, as_kept(features), probabilities, sound, strict=True)
        rows = [
            (sha256, vector.tobytes(), row.astype(np.float64).tobytes())
            for sha256, vector, row, is_sound in found
            if is_sound
        ]
        with self._db:
            self._db.executemany("INSERT OR REPLACE INTO photographs VALUES (?, ?, ?)", rows)

    def load(self, hashes: Sequence[str], class_names: tuple[str, ...]) -> PhotoFeatures:
        """Return what is stored of these contents, in their order."""
        wanted = dict.fromkeys(hashes)
        columns = ("sha256", "features", "probabilities")
        rows = {row[0]: row for row in self.rows_of(wanted, "photographs", columns)}
        found = [rows[sha256] for sha256 in wanted if sha256 in rows]
        features = [np.frombuffer(row[1], np.float16) for row in found]
        probabilities = [np.frombuffer(row[2]) for row in found]
        return PhotoFeatures(
            [row[0] for row in found],
            np.array(features, np.float32) if found else np.empty((0, 1), np.float32),
            np.array(probabilities) if found else np.empty((0, len(class_names))),
            class_names,
        )


def compute_features(
    folder: Path,
    photographs: pd.DataFrame,
    *,
    may_forget: bool = False,
    progress: Progress = silent,
) -> PhotoFeatures:
    """Run a model over a scanned dataset; what it has seen before is not run again.

    Parameters
    ----------
    folder : Path
        Model bundle with an ONNX graph.
    photographs : DataFrame
        From `har_core.scan.scanning.scan_dataset`.
    may_forget : bool
        Go on where nothing can be kept.
    progress : callable, optional
        Called with (what is being done, done, total); what it raises cancels the work, and what
        was computed is kept.

    Returns
    -------
    PhotoFeatures
        Of the usable photographs' contents.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be used for this.
    DatasetError
        If there is no usable photograph, or one has vanished or changed since the scan.
    """
    network = FeatureNetwork(folder)
    usable = photographs[photographs["pixels"].notna()].drop_duplicates("sha256")
    if usable.empty:
        raise DatasetError("The dataset has no usable photographs to compare.")
    hashes = list(usable["sha256"])
    with FeatureCache(network.manifest, may_forget=may_forget) as cache:
        known = cache.known()
        pending = usable[~usable["sha256"].isin(known)]
        done = len(usable) - len(pending)
        progress("Looking at photographs", done, len(usable))
        size = network.manifest.input_size
        for contents, pixels in _decoded_batches(pending, size):
            features, probabilities = network.run(pixels)
            cache.store(contents, features, probabilities)
            done += len(contents)
            progress("Looking at photographs", done, len(usable))
        found = cache.load(hashes, network.manifest.class_names)
    if not found.sha256:
        raise ModelBundleError(
            f"The model {network.manifest.name!r} gives no probabilities for any photograph; "
            "choose another."
        )
    return found


def _decoded_batches(
    photographs: pd.DataFrame, size: int
) -> Iterator[tuple[list[str], np.ndarray]]:
    """Yield contents and pixels; the next batch is decoded while the network runs."""

    def read(path: str, sha256: str) -> np.ndarray:
        again = f"{path} has changed since it was looked at last; scan the dataset again."
        try:
            data = read_bytes(path)
            # Or another photograph's features would be remembered as this one's.
            if hashlib.sha256(data).hexdigest() != sha256:
                raise DatasetError(again)
            return decode_square(data, size)
        except InvalidImageError as error:
            raise DatasetError(f"{again} ({error})") from error

    paths, hashes = list(photographs["path"]), list(photographs["sha256"])

    with ThreadPoolExecutor(2) as pool:

        def submit(start: int) -> list[Future[np.ndarray]]:
            here = slice(start, start + _BATCH)
            return [
                pool.submit(read, *item) for item in zip(paths[here], hashes[here], strict=True)
            ]

        ahead = submit(0)
        for start in range(0, len(paths), _BATCH):
            current, ahead = ahead, submit(start + _BATCH)
            yield hashes[start : start + _BATCH], np.stack([f.result() for f in current])
