import dataclasses
import json
from pathlib import Path

import pytest

from har_core.errors import ModelBundleError
from har_core.model import bundle
from har_core.model.bundle import list_bundles, update_manifest, verify_bundle, write_bundle
from har_core.model.loading import load_model
from har_core.model.manifest import MANIFEST_FILE, BundleManifest, read_manifest
from har_core.storage.files import write_atomically

METRIC = {"value": 0.8, "low": 0.7, "high": 0.9}


@pytest.fixture
def models(tmp_path) -> Path:
    return tmp_path / "models"


def manifest_of(name: str = "a", **fields) -> BundleManifest:
    given = {
        "architecture": "drawn",
        "input_size": 224,
        "preprocessing": "zero_to_one",
        "class_names": ("calling", "clapping"),
        **fields,
    }
    return BundleManifest(name=name, **given)


def write(models: Path, name: str = "a", content: bytes = b"graph", overwrite=False, **fields):
    files = {"model.onnx": content, "evaluation/predictions.parquet": b"table"}
    manifest = manifest_of(name, **fields)
    return write_bundle(models / name, manifest, files, overwrite=overwrite)


def edit_manifest(folder: Path, **changes) -> None:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def leftovers(models: Path) -> list[str]:
    return [path.name for path in models.iterdir() if path.name.startswith(".")]


# --- writing and verifying ---------------------------------------------------------------------


def test_written_bundle_verifies_and_reads_back_equal(models, tmp_path):
    copied = tmp_path / "big.bin"
    copied.write_bytes(b"from a file")
    manifest = manifest_of(metrics={"n": 3}, training={"seed": 1}, temperature=1.25)
    files = {"model.keras": copied, "deep/er/file.txt": b"from memory"}
    written = write_bundle(models / "a", manifest, files)
    assert verify_bundle(models / "a") == read_manifest(models / "a") == written
    assert set(written.files) == set(files)
    assert (models / "a" / "model.keras").read_bytes() == b"from a file"
    assert dataclasses.replace(written, files={}) == manifest
    assert (models / "a").stat().st_mode & 0o055 == 0o055  # others may read it
    assert leftovers(models) == []


def test_damaged_file_is_named(models):
    write(models)
    path = models / "a" / "evaluation" / "predictions.parquet"
    path.write_bytes(b"tablf")
    with pytest.raises(ModelBundleError, match=r"predictions\.parquet is damaged"):
        verify_bundle(models / "a")


def test_missing_file_is_named(models):
    write(models)
    (models / "a" / "model.onnx").unlink()
    with pytest.raises(ModelBundleError, match=r"model\.onnx is missing from .* 'a'"):
        verify_bundle(models / "a")


@pytest.mark.parametrize("escape", ["../outside.txt", "/etc/hostname", "sub/../../outside.txt"])
def test_listed_file_outside_the_bundle_is_refused(models, escape):
    write(models)
    (models / "outside.txt").write_text("secret")
    edit_manifest(models / "a", files={escape: "0" * 64})
    with pytest.raises(ModelBundleError, match="outside it"):
        verify_bundle(models / "a")


def test_link_out_of_the_bundle_is_refused(models):
    write(models)
    (models / "outside.txt").write_text("secret")
    (models / "a" / "link").symlink_to(models / "outside.txt")
    edit_manifest(models / "a", files={"link": "0" * 64})
    with pytest.raises(ModelBundleError, match="outside it"):
        verify_bundle(models / "a")


@pytest.mark.parametrize("path", ["", "evaluation", "nul\0character"])
def test_listed_path_that_is_no_file_is_a_clear_error(models, path):
    write(models)
    edit_manifest(models / "a", files={path: "0" * 64})
    with pytest.raises(ModelBundleError, match="Cannot read"):
        verify_bundle(models / "a")


@pytest.mark.parametrize("name", ["", ".hidden", "../a", "a/b", "ä", "a b", "x" * 65, "-a", "a\n"])
def test_invalid_name_is_refused(models, name):
    with pytest.raises(ModelBundleError, match="cannot be a model name"):
        write_bundle(models / name, manifest_of(name), {})
    assert not models.exists()


def test_folder_must_be_named_like_the_bundle(models):
    with pytest.raises(ValueError, match="must be named 'a'"):
        write_bundle(models / "b", manifest_of("a"), {})


def test_bundle_that_could_not_be_read_back_is_not_written(models):
    with pytest.raises(ModelBundleError, match="invalid value for class_names"):
        write(models, class_names=("only one",))
    assert not models.exists()


# --- replacing ---------------------------------------------------------------------------------


def test_existing_bundle_is_replaced_only_on_request(models):
    write(models, content=b"old")
    with pytest.raises(ModelBundleError, match="exists already"):
        write(models, content=b"new")
    assert (models / "a" / "model.onnx").read_bytes() == b"old"
    write(models, content=b"new", overwrite=True)
    verify_bundle(models / "a")
    assert (models / "a" / "model.onnx").read_bytes() == b"new"
    assert leftovers(models) == []


def test_failure_while_writing_leaves_the_old_bundle(models, tmp_path):
    write(models, content=b"old")
    files = {"model.onnx": b"new", "model.keras": tmp_path / "does not exist"}
    with pytest.raises(ModelBundleError, match="Cannot write the model bundle"):
        write_bundle(models / "a", manifest_of(), files, overwrite=True)
    verify_bundle(models / "a")
    assert (models / "a" / "model.onnx").read_bytes() == b"old"
    assert leftovers(models) == []


def test_failure_of_the_second_rename_brings_the_old_bundle_back(models, monkeypatch):
    write(models, content=b"old")
    rename = Path.rename

    def fail_for_staging(self, target):
        if self.name.startswith(".a.") and not self.name.endswith(".replaced"):
            raise OSError("disk says no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_staging)
    with pytest.raises(ModelBundleError, match="disk says no"):
        write(models, content=b"new", overwrite=True)
    verify_bundle(models / "a")
    assert leftovers(models) == []


def test_listing_the_models_between_the_renames_does_not_lose_the_new_bundle(models, monkeypatch):
    write(models, content=b"old")
    rename, listed = Path.rename, []

    def list_before_staging_arrives(self, target):
        if self.name.startswith(".a.") and not self.name.endswith(".replaced") and not listed:
            listed.append(list_bundles(models))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", list_before_staging_arrives)
    write(models, content=b"new", overwrite=True)
    verify_bundle(models / "a")
    assert [entry.name for entry in listed[0]] == ["a"]
    assert (models / "a" / "model.onnx").read_bytes() == b"new"
    assert leftovers(models) == []


class Killed(BaseException):
    """Stands in for SIGKILL: nothing after it runs."""


@pytest.fixture
def killed_between_renames(models, monkeypatch) -> Path:
    """A models folder whose bundle "a" was being replaced when the process died."""
    write(models, content=b"old")
    with monkeypatch.context() as patch:

        def die(folder: Path, staging: Path) -> None:
            folder.rename(folder.parent / f".{folder.name}.replaced")
            raise Killed

        patch.setattr(bundle, "_replace_folder", die)
        with pytest.raises(Killed):
            write(models, content=b"new", overwrite=True)
    assert leftovers(models) == [".a.replaced"]
    return models


def test_crash_between_the_renames_is_recovered_when_listing(killed_between_renames):
    (entry,) = list_bundles(killed_between_renames)
    assert entry.name == "a" and entry.error is None
    verify_bundle(entry.path)
    assert leftovers(killed_between_renames) == []


def test_crash_between_the_renames_is_recovered_when_loading(killed_between_renames, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(killed_between_renames))
    with pytest.raises(ModelBundleError, match="ONNX Runtime cannot load"):
        load_model("a")  # its graph is no real one, but it was found
    verify_bundle(killed_between_renames / "a")


def test_crash_between_the_renames_does_not_allow_overwriting(killed_between_renames):
    with pytest.raises(ModelBundleError, match="exists already"):
        write(killed_between_renames, content=b"new")
    assert (killed_between_renames / "a" / "model.onnx").read_bytes() == b"old"


def test_crash_after_the_renames_leaves_the_new_bundle(models):
    write(models, content=b"new")
    old = models / ".a.replaced"
    old.mkdir()
    (old / "model.onnx").write_bytes(b"old")
    assert [entry.name for entry in list_bundles(models)] == ["a"]
    assert (models / "a" / "model.onnx").read_bytes() == b"new"
    assert leftovers(models) == []


def test_bundle_that_cannot_be_restored_does_not_spoil_the_list(models, monkeypatch):
    write(models, name="b")
    (models / ".a.replaced").mkdir()

    def refuse(self, target):
        raise PermissionError("read-only")

    monkeypatch.setattr(Path, "rename", refuse)
    assert [entry.name for entry in list_bundles(models)] == ["b"]


# --- manifests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2; this version reads format 1"),
        ({"name": "../a"}, "invalid value for name"),
        ({"input_size": "224"}, "invalid value for input_size"),
        ({"input_size": 0}, "invalid value for input_size"),
        ({"preprocessing": "imagenet"}, "invalid value for preprocessing"),
        ({"class_names": "abc"}, "invalid value for class_names"),
        ({"class_names": ["a", "a"]}, "invalid value for class_names"),
        ({"class_names": [["a"], ["b"]]}, "invalid value for class_names"),
        ({"temperature": 0}, "invalid value for temperature"),
        ({"temperature": float("nan")}, "invalid value for temperature"),
        ({"temperature": float("inf")}, "invalid value for temperature"),
        ({"created": None}, "invalid value for created"),
        ({"files": ["model.onnx"]}, "invalid value for files"),
        ({"files": {"model.onnx": 1}}, "invalid value for files"),
        ({"training": None, "metrics": []}, "invalid value for training, metrics"),
        ({"architecture": None}, "invalid value for architecture"),
        ({"training": {"unrecorded": None}}, r"invalid value for training\.unrecorded"),
        ({"training": {"unrecorded": "older"}}, r"invalid value for training\.unrecorded"),
        ({"training": {"unrecorded": [1]}}, r"invalid value for training\.unrecorded"),
        ({"training": {"photographs": 10}}, r"invalid value for training\.photographs"),
        ({"training": {"photographs": {"a": "1"}}}, r"invalid value for training\.photographs"),
        ({"training": {"settings": "mine"}}, r"invalid value for training\.settings"),
        ({"metrics": {"n": "3", "split": 1}}, r"invalid value for metrics\.n, metrics\.split"),
        ({"metrics": {"top1": METRIC}}, r"invalid value for metrics\.n, metrics\.split"),
        ({"metrics": {"n": 3, "split": "test", "top1": 0.8}}, r"invalid value for metrics\.top1"),
        (
            {"metrics": {"n": 3, "split": "test", "top1": {**METRIC, "low": None}}},
            r"invalid value for metrics\.top1",
        ),
        ({"answers": {"n": "many"}}, "invalid value for answers"),
    ],
)
def test_invalid_manifest_names_the_field(models, changes, message):
    write(models)
    edit_manifest(models / "a", **changes)
    with pytest.raises(ModelBundleError, match=message):
        read_manifest(models / "a")


def test_manifest_without_a_field_names_it(models):
    write(models)
    path = models / "a" / MANIFEST_FILE
    body = json.loads(path.read_text())
    del body["preprocessing"], body["created"]
    path.write_text(json.dumps(body))
    with pytest.raises(ModelBundleError, match="lacks created, preprocessing"):
        read_manifest(models / "a")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_damaged_manifest_is_named(models, content):
    write(models)
    (models / "a" / MANIFEST_FILE).write_bytes(content)
    with pytest.raises(ModelBundleError, match=r"bundle\.json"):
        read_manifest(models / "a")


def test_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(ModelBundleError, match="is not a model bundle"):
        read_manifest(tmp_path)


def test_field_added_by_a_later_version_is_ignored(models):
    written = write(models)
    edit_manifest(models / "a", licence="MIT")
    assert read_manifest(models / "a") == written


def test_update_changes_only_what_is_asked(models):
    written = write(models)
    updated = update_manifest(models / "a", temperature=1.5, metrics={"n": 10})
    assert updated == read_manifest(models / "a")
    assert updated == dataclasses.replace(written, temperature=1.5, metrics={"n": 10})
    verify_bundle(models / "a")


def test_update_with_an_invalid_value_changes_nothing(models):
    written = write(models)
    with pytest.raises(ModelBundleError, match="invalid value for temperature"):
        update_manifest(models / "a", temperature=-1.0)
    assert read_manifest(models / "a") == written


# --- listing -----------------------------------------------------------------------------------


def test_bundles_are_listed_newest_first_and_damaged_ones_last_with_their_error(models):
    write(models, "older", created="2026-01-01T00:00:00+00:00")
    write(models, "newer", created="2026-02-01T00:00:00+00:00")
    write(models, "aaa_damaged")
    (models / "aaa_damaged" / MANIFEST_FILE).write_text("{")
    (models / "empty_folder").mkdir()
    (models / ".hidden").mkdir()
    (models / "README.md").write_text("not a bundle")
    entries = list_bundles(models)
    assert [e.name for e in entries] == ["newer", "older", "aaa_damaged", "empty_folder"]
    assert [e.manifest is None for e in entries] == [False, False, True, True]
    assert "bundle.json" in entries[2].error and "not a model bundle" in entries[3].error
    assert entries[0].error is None


def test_missing_models_folder_holds_no_bundles(tmp_path):
    assert list_bundles(tmp_path / "nowhere") == []


def test_environment_overrides_the_models_folder(models, monkeypatch):
    write(models)
    monkeypatch.setenv("HAR_MODELS_DIR", str(models))
    assert [entry.name for entry in list_bundles()] == ["a"]


# --- single files ------------------------------------------------------------------------------


def test_failed_atomic_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    write_atomically(path, b"old")

    def fail(descriptor):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_manifest_that_could_not_be_read_for_a_moment_is_read_again(models, monkeypatch):
    write(models)
    read = read_manifest

    def fail(folder):
        raise ModelBundleError("Too many open files.")

    monkeypatch.setattr(bundle, "read_manifest", fail)
    (entry,) = list_bundles(models)
    assert "Too many open files" in entry.error
    monkeypatch.setattr(bundle, "read_manifest", read)
    (entry,) = list_bundles(models)
    assert entry.manifest.name == "a"


@pytest.mark.parametrize("n_written", range(4))
def test_a_kill_while_files_are_replaced_leaves_a_valid_bundle(models, monkeypatch, n_written):
    """The manifest without the file is written, then the file, then the manifest with it."""
    write(models)
    folder, written = models / "a", []

    def die_after(path, content):
        if len(written) == n_written:
            raise KeyboardInterrupt
        written.append(path)
        write_atomically(path, content)

    monkeypatch.setattr(bundle, "write_atomically", die_after)
    try:
        bundle.update_bundle(folder, {"evaluation/predictions.parquet": b"new"}, temperature=2.0)
    except KeyboardInterrupt:
        assert n_written < 3
    found = verify_bundle(folder)
    assert found.temperature == (2.0 if n_written == 3 else 1.0)
    assert len(written) == n_written
