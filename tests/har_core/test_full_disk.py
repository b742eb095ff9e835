"""A disk that is full, or may only be read, ends in a message; the old content stays."""

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.errors import HarError, ModelBundleError
from har_core.model import bundle
from har_core.model.loading import load_model
from har_core.scan.cache import ScanCache
from har_core.scan.scanning import load_scan, scan_dataset
from har_core.storage.disk_arrays import make_disk_array
from tests.drawing import photo_bytes, write_dataset, write_tiny_bundle
from tests.kills.operations import OPERATIONS, use_folder


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAR_CACHE_DIR", "")  # `use_folder` sets them; this takes them back
    monkeypatch.setenv("HAR_MODELS_DIR", "")
    folder = tmp_path / "disk"
    folder.mkdir()
    use_folder(folder)
    return folder


@pytest.fixture
def small_disk(disk: Path) -> Iterator[Path]:
    """Mount a real disk of four megabytes, where this is allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> None:
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


@pytest.mark.parametrize("name", [name for name in OPERATIONS if "first" not in name])
def test_really_full_disk_is_a_message_and_the_old_state_stays(small_disk: Path, name: str) -> None:
    operation = OPERATIONS[name]
    operation.prepare(small_disk)
    fill(small_disk)
    with pytest.raises(HarError, match="Cannot"):
        operation.write(small_disk)
    (small_disk / "ballast").unlink()
    assert operation.read(small_disk) == "old"
    operation.write(small_disk)
    assert operation.read(small_disk) == "new"


@pytest.mark.parametrize(
    "name", [name for name in OPERATIONS if "first" not in name and "scan" not in name]
)
def test_full_disk_is_a_message_and_the_old_state_stays(
    disk: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    operation = OPERATIONS[name]
    operation.prepare(disk)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", fail)
        with pytest.raises(HarError, match="No space left on device"):
            operation.write(disk)
    assert operation.read(disk) == "old"


def test_array_that_does_not_fit_the_disk_is_refused_before_it_is_filled(small_disk: Path) -> None:
    with pytest.raises(HarError, match=r"No space left .* It needs 8 MB"):
        make_disk_array(small_disk / "pixels.npy", (8, 2**20), np.uint8)


def test_full_disk_of_the_scan_cache_is_a_message(disk: Path) -> None:
    operation = OPERATIONS["a scan cache"]
    operation.prepare(disk)
    with pytest.raises(HarError, match="full"), ScanCache(disk / "scan.sqlite") as store:
        store._db.execute("PRAGMA max_page_count = 1")
        store.store_pairs("all", np.zeros((100_000, 2)), np.zeros(100_000))
    assert operation.read(disk) == "old"


def test_scan_of_a_dataset_is_there_where_the_disk_of_its_cache_is_full(
    small_disk: Path, tmp_path: Path
) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    scanned = scan_dataset(dataset)
    fill(small_disk)
    with pytest.raises(HarError, match="Cannot use the cache"):
        scan_dataset(dataset)
    loaded = load_scan(dataset)
    assert loaded is not None
    pd.testing.assert_frame_equal(loaded, scanned)
    (dataset / "train" / "new.jpg").write_bytes(photo_bytes())
    assert load_scan(dataset) is None


def test_scan_cache_that_is_damaged_inside_is_a_message_and_heals(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "dataset")
    cache = tmp_path / "scan.sqlite"
    scan_dataset(dataset, cache=cache)
    content = bytearray(cache.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)  # the schema, on the first page, stays
    cache.write_bytes(content)
    with pytest.raises(HarError, match=r"scan\.sqlite was damaged .*Start again"):
        scan_dataset(dataset, cache=cache)
    assert scan_dataset(dataset, cache=cache)["pixels"].notna().all()


def test_models_folder_that_may_only_be_read_serves_and_says_so_when_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path))
    manifest = write_tiny_bundle(tmp_path)

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # The superuser may write what its mode forbids, so that the system's answer is injected.
    for place in ("tempfile.mkdtemp", "har_core.storage.files.write_synced", "pathlib.Path.mkdir"):
        monkeypatch.setattr(place, refuse)
    assert load_model("tiny").predict(photo_bytes()).action == "running"
    with pytest.raises(ModelBundleError, match="Read-only file system"):
        bundle.update_manifest(tmp_path / "tiny", temperature=2.0)
    with pytest.raises(ModelBundleError, match="Read-only file system"):
        bundle.write_bundle(tmp_path / "tiny", manifest, {}, overwrite=True)
    bundle.verify_bundle(tmp_path / "tiny")


def test_bundle_with_another_number_of_classes_than_outputs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path))
    write_tiny_bundle(tmp_path)
    bundle.update_manifest(tmp_path / "tiny", class_names=["one", "two"])
    with pytest.raises(ModelBundleError, match="3 outputs but 2 class names"):
        load_model("tiny")


@pytest.mark.parametrize("position", [0, 100, -1])
def test_flipped_byte_is_refused_and_other_models_still_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, position: int
) -> None:
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path))
    write_tiny_bundle(tmp_path)
    write_tiny_bundle(tmp_path, "other")
    graph = tmp_path / "tiny" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[position] ^= 1
    graph.write_bytes(content)
    with pytest.raises(ModelBundleError, match=r"model\.onnx is damaged"):
        load_model("tiny")
    assert load_model("other").predict(photo_bytes()).action == "running"
