"""Model bundles: one folder per model with a manifest, checksums, and crash-safe writing."""

import contextlib
import dataclasses
import errno
import functools
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from har_core.errors import ModelBundleError
from har_core.model.manifest import (
    MANIFEST_FILE,
    MODEL_CARD_FILE,
    BundleManifest,
    check_bundle_name,
    checked_manifest,
    read_manifest,
    verifying,
)
from har_core.settings import MODELS_DIR, checkout, shipped
from har_core.storage.data import data_dir
from har_core.storage.files import sha256_of_file, write_atomically, write_synced
from har_core.storage.paths import exists, is_file, is_folder

_REPLACEMENT_TRIES: Final = 10
_CHOSEN_FILE: Final = ".default.json"


@dataclass(frozen=True)
class BundleEntry:
    """One folder of the models directory: its manifest, or why it cannot be used."""

    name: str
    path: Path
    manifest: BundleManifest | None
    error: str | None = None


def models_dir() -> Path:
    """Return the folder that bundles are written to: ``HAR_MODELS_DIR``, else ``models/``.

    The latter lies in the checkout or, where there is none, in the data folder.
    """
    return MODELS_DIR.folder() or (checkout() or data_dir()) / "models"


def models_dirs() -> list[Path]:
    """Return the folders that bundles are found in: `models_dir`, then the one that was shipped."""
    own = models_dir()
    return [own] if MODELS_DIR.value or checkout() else [own, shipped("models")]


def new_bundle_folder(
    name: str, *, overwrite: bool, root: Path | None = None, instead: str = ""
) -> Path:
    """Return the folder of a bundle that is to be written; asked before the work that it takes.

    Parameters
    ----------
    name : str
    overwrite : bool
        Whether it may be there already.
    root : Path, optional
        Folder of the bundle's; default: `models_dir`.
    instead : str
        What helps where it is there and another name does not, for the message.

    Raises
    ------
    ModelBundleError
        If the name cannot be used, or it is there and may not be.
    """
    folder = (root or models_dir()) / check_bundle_name(name)
    # First of all, or a bundle that a crash has put aside would be replaced unasked.
    restore_interrupted_replacement(folder)
    if exists(folder) and not overwrite:
        instead = instead or "choose another name (--name) or overwrite it (--overwrite)"
        raise ModelBundleError(f"{folder} exists already; {instead}.")
    if exists(folder) and not is_file(folder / MANIFEST_FILE):
        raise ModelBundleError(
            f"{folder} is no model bundle and is not overwritten; choose another name or move it."
        )
    return folder


def verify_bundle(folder: str | Path) -> BundleManifest:
    """Read a bundle's manifest and check every file that it lists against its sha256.

    Raises
    ------
    ModelBundleError
        If the manifest is invalid, or a listed file is missing, outside the bundle, or changed;
        the message names the file.
    """
    with verifying(folder) as (manifest, _):
        return manifest


def write_bundle(
    folder: str | Path,
    manifest: BundleManifest,
    files: Mapping[str, bytes | Path],
    *,
    overwrite: bool = False,
) -> BundleManifest:
    """Write a bundle to a temporary folder and rename it: a crash leaves the old or the new one.

    Parameters
    ----------
    folder : str or Path
        Destination; its last part must equal ``manifest.name``.
    manifest : BundleManifest
        Its ``files`` are computed here.
    files : mapping of str to bytes or Path
        Relative path to content, or to the file to copy.
    overwrite : bool, default False
        Replace a bundle that is already there.

    Returns
    -------
    BundleManifest
        As written, checksums included.

    Raises
    ------
    ModelBundleError
        If the manifest is invalid, or the folder exists and `overwrite` is false, or it cannot be
        written.
    ValueError
        If the folder is not named as the manifest says.
    """
    folder = Path(folder)
    check_bundle_name(manifest.name)
    if folder.name != manifest.name:
        raise ValueError(f"The folder {folder} must be named {manifest.name!r} like the bundle.")
    checked_manifest(folder, manifest)
    new_bundle_folder(manifest.name, overwrite=overwrite, root=folder.parent)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            staging.chmod(0o755)
            checksums = {}
            for relative, content in files.items():
                target = staging / relative
                target.parent.mkdir(parents=True, exist_ok=True)
                write_synced(target, content)
                checksums[relative] = sha256_of_file(target)
            manifest = dataclasses.replace(manifest, files=checksums)
            write_synced(staging / MANIFEST_FILE, manifest.to_json().encode())
            _replace_folder(folder, staging)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    except OSError as error:
        raise ModelBundleError(
            f"Cannot write the model bundle {folder}: {error.strerror or error}."
        ) from error
    return manifest


def manifest_after(folder: str | Path, before: BundleManifest) -> BundleManifest:
    """Return a bundle's manifest after minutes of work on its files, for what is changed of it.

    Meanwhile a page may have stored a temperature or another choice, which is kept by that.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    before : BundleManifest
        As it was when the work began.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read, or its files are others now, but for the card.
    """
    now = read_manifest(folder)
    if now.files | {MODEL_CARD_FILE: ""} != before.files | {MODEL_CARD_FILE: ""}:
        raise ModelBundleError(
            f"The files of {folder} have changed in the meantime; nothing was written. Start again."
        )
    return now


def update_manifest(folder: str | Path, **changes: Any) -> BundleManifest:
    """Change fields of ``bundle.json`` in one atomic step (e.g. ``temperature=1.3``).

    Returns
    -------
    BundleManifest
        As written.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read, a changed value is invalid, or writing fails.
    """
    folder = Path(folder)
    manifest = checked_manifest(folder, dataclasses.replace(read_manifest(folder), **changes))
    try:
        write_atomically(folder / MANIFEST_FILE, manifest.to_json().encode())
    except OSError as error:
        raise ModelBundleError(
            f"Cannot write {folder / MANIFEST_FILE}: {error.strerror or error}."
        ) from error
    return manifest


def update_bundle(folder: str | Path, files: Mapping[str, bytes], **changes: Any) -> BundleManifest:
    """Replace small files of a bundle and change fields of its manifest.

    A crash leaves a valid bundle that answers as before or as after: while a file is written, the
    manifest does not list it.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    files : mapping of str to bytes
        Relative path to new content.
    **changes
        Fields of the manifest.

    Raises
    ------
    ModelBundleError
        See `update_manifest`.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    checked_manifest(folder, dataclasses.replace(manifest, **changes))
    changed = {
        name
        for name, content in files.items()
        if name not in manifest.files or not _holds(folder / name, content)
    }
    listed = {name: digest for name, digest in manifest.files.items() if name not in changed}
    if len(listed) < len(manifest.files):
        update_manifest(folder, files=listed)
    for name in changed:
        try:
            write_atomically(folder / name, files[name])
        except OSError as error:
            raise ModelBundleError(
                f"Cannot write {folder / name}: {error.strerror or error}."
            ) from error
        listed[name] = sha256_of_file(folder / name)
    return update_manifest(folder, files=listed, **changes)


def _holds(path: Path, content: bytes) -> bool:
    return is_file(path) and path.read_bytes() == content


def list_bundles(folder: str | Path | None = None) -> list[BundleEntry]:
    """List the model bundles of a folder, newest first, unreadable ones last.

    Parameters
    ----------
    folder : str or Path, optional
        Default: `models_dirs`; of two bundles of one name the first counts.

    Returns
    -------
    list of BundleEntry
        Folders whose manifest cannot be read have ``manifest=None`` and an ``error``.
    """
    entries: dict[str, BundleEntry] = {}
    for root in models_dirs() if folder is None else [Path(folder)]:
        for entry in _entries_of(root):
            entries.setdefault(entry.name, entry)
    usable = [e for e in entries.values() if e.manifest is not None]
    usable.sort(key=lambda e: e.manifest.created if e.manifest else "", reverse=True)
    return usable + [e for e in entries.values() if e.manifest is None]


def _entries_of(root: Path) -> list[BundleEntry]:
    if not is_folder(root):
        return []
    try:
        names = os.listdir(root)  # noqa: PTH208 - every request lists them; this is a third of the time
    except OSError as error:
        message = f"Cannot list the models in {root}: {error.strerror or error}."
        raise ModelBundleError(message) from error
    leftovers = [n for n in names if n.startswith(".") and n.endswith(".replaced")]
    for leftover in leftovers:
        restore_interrupted_replacement(root / leftover[1 : -len(".replaced")])
    if leftovers:
        names = os.listdir(root)  # noqa: PTH208
    entries = []
    for name in sorted(names):
        stamp = _manifest_stamp(f"{root}/{name}")
        if name.startswith(".") or stamp is None:
            continue
        path = root / name
        try:
            entries.append(BundleEntry(name, path, _read_manifest_once(path, stamp)))
        except ModelBundleError as error:
            entries.append(BundleEntry(name, path, None, str(error)))
    return entries


def choose_default(name: str) -> None:
    """Let a model be the default, until a newer one than all that there are now appears.

    Raises
    ------
    ModelBundleError
        If there is no such model, or the folder of the models cannot be written.
    """
    names = [entry.name for entry in list_bundles() if entry.manifest is not None]
    if name not in names:
        raise ModelBundleError(f"There is no model {name!r} in {models_dir()}.")
    body = json.dumps({"name": name, "known": names}, ensure_ascii=False)
    path = models_dir() / _CHOSEN_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, body.encode())
    except OSError as error:
        raise ModelBundleError(f"Cannot write {path}: {error.strerror or error}.") from error


def chosen_default(usable: list[BundleEntry]) -> BundleEntry | None:
    """Return the one of these models that `choose_default` named; None if that no longer holds.

    Parameters
    ----------
    usable : list of BundleEntry
        Newest first, as from `list_bundles`.
    """
    try:
        body = json.loads((models_dir() / _CHOSEN_FILE).read_text(encoding="utf-8"))
        name, known = body["name"], set(body["known"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if usable and usable[0].name not in known:
        return None
    return next((entry for entry in usable if entry.name == name), None)


def _manifest_stamp(folder: str) -> tuple[int, ...] | None:
    """Return what changes with a manifest; (0,) without one, None if `folder` is no folder."""
    try:
        status = os.stat(f"{folder}/{MANIFEST_FILE}")  # noqa: PTH116
    except OSError:
        return (0,) if is_folder(folder) else None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino


@functools.lru_cache(maxsize=256)
def _read_manifest_once(folder: Path, stamp: tuple[int, ...]) -> BundleManifest:
    """Read a manifest once for each state that it is in; a failure is not remembered."""
    return read_manifest(folder)


def restore_interrupted_replacement(folder: Path) -> None:
    """Finish or undo a replacement of `folder` that was killed between its two renames.

    In a folder that cannot be written (or where another process is faster) nothing happens.
    """
    previous = folder.parent / f".{folder.name}.replaced"
    if exists(folder):
        shutil.rmtree(previous, ignore_errors=True)
    else:
        with contextlib.suppress(OSError, ValueError):  # the latter of a name with a NUL
            previous.rename(folder)


def _replace_folder(folder: Path, staging: Path) -> None:
    if not exists(folder):
        staging.rename(folder)
        return
    previous = folder.parent / f".{folder.name}.replaced"
    for _ in range(_REPLACEMENT_TRIES):
        folder.rename(previous)
        try:
            staging.rename(folder)
        except BaseException as error:
            if exists(previous):
                previous.rename(folder)
                raise
            if not isinstance(error, OSError):
                raise
            # Somebody who lists the models took the moment between the two for a killed
            # replacement, and put the old bundle back.
        else:
            shutil.rmtree(previous, ignore_errors=True)
            return
    raise OSError(errno.EBUSY, "the folder is in use")
