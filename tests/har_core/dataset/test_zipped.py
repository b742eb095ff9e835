import io
import stat
import zipfile

import numpy as np
import pytest

from har_core.dataset.table import load_dataset
from har_core.dataset.zipped import unpack_dataset
from har_core.errors import DatasetError
from tests.drawing import photo_bytes

CSV = b"filename,label\na.jpg,running\nb.jpg,sitting\n"


def zipped(entries: dict[str, bytes], *, compression=zipfile.ZIP_DEFLATED) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize("prefix", ["", "holiday/", "holiday/deeper/", "./", ".\\", "./holiday/"])
def test_a_zip_becomes_a_dataset_folder(tmp_path, prefix):
    photo = photo_bytes("running")
    archive = zipped(
        {
            f"{prefix}train.csv": CSV,
            f"{prefix}train/a.jpg": photo,
            f"{prefix}train/b.jpg": photo,
            "__MACOSX/train/._a.jpg": b"junk",
            f"{prefix}__MACOSX/train/b.jpg": b"junk",
            f"{prefix}.thumbnails/a.jpg": b"junk",
            f"{prefix}.DS_Store": b"junk",
            f"{prefix}notes.txt": b"ignored",
        }
    )
    table = load_dataset(unpack_dataset(archive, tmp_path))
    assert table["label"].tolist() == ["running", "sitting"]
    assert table["path"].notna().all()
    assert sorted(p.name for p in (tmp_path / "train").iterdir()) == ["a.jpg", "b.jpg"]


def test_the_only_table_is_used_whatever_its_name(tmp_path):
    unpack_dataset(zipped({"labels.csv": CSV, "a.jpg": photo_bytes()}), tmp_path)
    assert load_dataset(tmp_path)["path"].notna().tolist() == [True, False]


def test_the_zip_of_kaggle_is_read_with_both_its_folders(tmp_path):
    outer = "Human Action Recognition"
    entries = {
        f"{outer}/Training_set.csv": CSV,
        f"{outer}/Testing_set.csv": b"filename\na.jpg\n",
        f"{outer}/train/a.jpg": photo_bytes("running"),
        f"{outer}/train/b.jpg": photo_bytes("sitting"),
        f"{outer}/test/a.jpg": photo_bytes("clapping"),
    }
    table = load_dataset(unpack_dataset(zipped(entries), tmp_path))
    assert list(table["filename"]) == ["a.jpg", "b.jpg"]
    assert list(table["path"]) == [str(tmp_path / "train" / name) for name in ("a.jpg", "b.jpg")]


@pytest.mark.parametrize("outer", ["", "mine/", "mine/data/"])
@pytest.mark.parametrize("splits", [[""], ["train/"], ["train/", "val/"]])
def test_class_folders_are_read(tmp_path, outer, splits):
    names = [f"{outer}{split}{label}/{n}.jpg" for split in splits for label in "ab" for n in (1, 2)]
    table = load_dataset(unpack_dataset(zipped(dict.fromkeys(names, photo_bytes())), tmp_path))
    assert set(table["label"]) == {"a", "b"}
    assert len(table) == len(names)
    assert ("split" in table) == (len(splits) > 1)


def test_a_photograph_without_a_suffix_is_unpacked(tmp_path):
    entries = {"train.csv": b"filename,label\na,running\n", "train/a": photo_bytes()}
    assert load_dataset(unpack_dataset(zipped(entries), tmp_path))["path"].notna().all()


def test_a_name_in_two_folders_is_not_guessed(tmp_path):
    entries = {"train.csv": CSV, "x/a.jpg": photo_bytes(), "y/a.jpg": photo_bytes("sitting")}
    table = load_dataset(unpack_dataset(zipped(entries), tmp_path))
    assert list(table["problem"]) == ["several files fit: x/a.jpg, y/a.jpg", "missing"]


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "train/../../evil.jpg", "/etc/evil.jpg", "..\\evil.jpg"]
)
def test_an_entry_that_leads_out_is_refused(tmp_path, name):
    inside = tmp_path / "inside"
    inside.mkdir()
    with pytest.raises(DatasetError, match="leads out"):
        unpack_dataset(zipped({"train.csv": CSV, name: photo_bytes()}), inside)
    assert list(tmp_path.rglob("*evil*")) == []


def test_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("train/a.jpg")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    buffer = zipped({"train.csv": CSV})
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DatasetError, match="is a link"):
        unpack_dataset(buffer, tmp_path)


def test_a_bomb_is_stopped_while_unpacking(tmp_path):
    """A megabyte of zeros for each kilobyte sent; the limit is hit long before the end."""
    bomb = zipped({"train.csv": CSV, "a.jpg": bytes(64 * 2**20)})
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(DatasetError, match="more than is allowed"):
        unpack_dataset(bomb, tmp_path)
    assert sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file()) <= 21 * 2**20


def test_many_files_count_together(tmp_path):
    photos = {f"{i}.jpg": bytes(2**20) for i in range(12)}
    with pytest.raises(DatasetError, match="more than is allowed"):
        unpack_dataset(zipped({"train.csv": CSV, **photos}), tmp_path, max_bytes=8 * 2**20)


def encrypted() -> io.BytesIO:
    buffer = zipped({"train.csv": CSV, "a.jpg": photo_bytes()})
    content = bytearray(buffer.getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(signature, start + 4)
    return io.BytesIO(bytes(content))


def damaged() -> io.BytesIO:
    buffer = zipped({"train.csv": CSV, "a.jpg": photo_bytes()})
    content = bytearray(buffer.getvalue())
    middle = len(content) // 2
    content[middle : middle + 64] = bytes(64)
    return io.BytesIO(bytes(content))


@pytest.mark.parametrize(
    ("archive", "named"),
    [
        (lambda: io.BytesIO(b"no zip"), "is a text file, no ZIP archive; pack"),
        (lambda: io.BytesIO(bytes(500)), "is a row of zero bytes"),
        (lambda: io.BytesIO(photo_bytes()), r"is a picture \(JPEG\), no ZIP archive"),
        (lambda: io.BytesIO(b"Rar!\x1a\7\0"), "is a RAR archive, no ZIP archive"),
        (lambda: io.BytesIO(zipped({"a.jpg": photo_bytes()}).getvalue()[:-200]), "is cut short"),
        (lambda: zipped({"data/inner.zip": b"PK"}), "another archive, data/inner.zip"),
        (damaged, "no usable ZIP"),
        (encrypted, "encrypted"),
        (lambda: zipped({"a.jpg": b"x"}), "There is no train.csv"),
        (lambda: zipped({"a.jpg": b"x", "t.xlsx": b"PK"}), r"Not read: t\.xlsx; save the table"),
        (lambda: zipped({"a.csv": CSV, "b.csv": CSV, "a.jpg": b"x"}), "a.csv, b.csv"),
        (lambda: zipped({"train.csv": CSV}), "no photographs"),
        (lambda: zipped({"train.csv": CSV, "a.jpg": b"1", "./a.jpg": b"2"}), "twice"),
        (lambda: zipped({"train.csv": CSV, "a.jpg": b"1", "a.jpg/b.jpg": b"2"}), "Cannot unpack"),
        (lambda: zipped({"train.csv": CSV, f"{'a' * 300}.jpg": b"x"}), "Cannot unpack"),
    ],
)
def test_unusable_archives_are_named(tmp_path, archive, named):
    with pytest.raises(DatasetError, match=named):
        unpack_dataset(archive(), tmp_path)


def test_a_directory_of_countless_entries_is_not_read(tmp_path, monkeypatch):
    archive = zipped({f"{number}.jpg": b"" for number in range(41)})
    monkeypatch.setattr(zipfile, "ZipFile", None)  # would hold an object for each
    with pytest.raises(DatasetError, match="more than 10 entries"):
        unpack_dataset(archive, tmp_path, max_entries=10)


def test_too_many_entries_are_refused(tmp_path):
    archive = zipped({"train.csv": CSV} | {f"{i}.jpg": b"x" for i in range(20)})
    with pytest.raises(DatasetError, match="21 entries"):
        unpack_dataset(archive, tmp_path, max_entries=10)


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_damage_anywhere_is_a_message(tmp_path, compression):
    whole = zipped({"train.csv": CSV, "train/a.jpg": bytes(500)}, compression=compression)
    rng, failed = np.random.default_rng(0), 0
    for number in range(300):
        content = bytearray(whole.getvalue())
        for position in rng.integers(0, len(content), 3):
            content[position] = rng.integers(0, 256)
        destination = tmp_path / str(number)
        destination.mkdir()
        try:
            unpack_dataset(io.BytesIO(content), destination)
        except DatasetError:
            failed += 1
    assert failed > 100


def test_annotations_larger_than_any_table_are_ignored(tmp_path, monkeypatch):
    monkeypatch.setattr("har_core.dataset.zipped.MAX_BYTES", 100_000)
    annotations = b'{"images": [' + b" " * 100_000 + b"]}"
    archive = zipped({"a/1.jpg": photo_bytes(), "b/2.jpg": photo_bytes(), "all.json": annotations})
    unpack_dataset(archive, tmp_path)
    assert not (tmp_path / "all.json").exists()
    assert list(load_dataset(tmp_path)["label"]) == ["a", "b"]
