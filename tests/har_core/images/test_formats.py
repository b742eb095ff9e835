import struct

import numpy as np
import pytest
from PIL import Image

from har_core.errors import InvalidImageError
from har_core.images import decode_image
from har_core.images import decoding as decoding_module
from har_core.images.formats import PHOTO_FORMATS, is_passed_over, is_photograph_name
from har_core.images.signatures import identify_content, identify_file
from tests.drawing import draw_photo, encode


@pytest.mark.parametrize("entry", PHOTO_FORMATS, ids=lambda entry: entry.name)
def test_every_format_is_known_by_content_and_decoded(entry):
    photo = draw_photo(size=(64, 48))
    data = encode(photo, entry.pillow)
    assert identify_content(data) == ("readable", entry.name)
    decoded = decode_image(data).astype(int)
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded - np.asarray(photo)).mean() < 12


def test_an_avif_that_calls_itself_a_picture_of_any_kind_first_is_decoded():
    data = encode(draw_photo(size=(64, 48)), "AVIF")
    as_others_write_it = data[:8] + b"mif1" + data[12:]
    assert b"avif" in data[16:40]
    assert identify_content(as_others_write_it) == ("readable", "AVIF")
    assert np.array_equal(decode_image(as_others_write_it), decode_image(data))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("character", ["é", "語", "🚲"])
def test_a_text_is_known_wherever_its_last_characters_lie(character, encoding):
    for before in range(1016, 1024):
        text = "a" * (before // (2 if encoding == "utf-16" else 1)) + character + "bc"
        for data in (text.encode(encoding), text[-4:].encode(encoding)):
            assert identify_content(data) == ("other", "a text file")


@pytest.mark.parametrize("image_format", ["HEIF", "AVIF", "JPEG2000"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9])
def test_new_formats_that_are_cut_short_are_refused(image_format, kept):
    data = encode(draw_photo(), image_format)
    with pytest.raises(InvalidImageError) as caught:
        decode_image(data[: int(len(data) * kept)])
    assert caught.value.reason in ("truncated", "damaged")
    assert "object at 0x" not in str(caught.value)


def test_a_phone_s_heic_is_turned_upright_once():
    photo = draw_photo(size=(64, 48))
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = decode_image(encode(photo.rotate(90, expand=True), "HEIF", exif=exif.tobytes()))
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded.astype(int) - np.asarray(photo)).mean() < 12


@pytest.mark.parametrize(
    ("image_format", "limit"), [("HEIF", "MAX_PIXELS"), ("AVIF", "MAX_PIXELS")]
)
def test_limits_hold_for_the_new_formats(image_format, limit, monkeypatch):
    data = encode(draw_photo(size=(64, 48)), image_format)
    monkeypatch.setattr(decoding_module, limit, 64 * 48 - 1)
    with pytest.raises(InvalidImageError, match="megapixels") as caught:
        decode_image(data)
    assert caught.value.reason == "too_many_pixels"


def test_jpeg_2000_has_a_limit_of_its_own(monkeypatch):
    data = encode(draw_photo(size=(64, 48)), "JPEG2000")
    monkeypatch.setattr(decoding_module, "MAX_JPEG2000_PIXELS", 64 * 48 - 1)
    with pytest.raises(InvalidImageError, match="megapixels of a JPEG 2000"):
        decode_image(data)


@pytest.mark.parametrize(
    "name", ["a.jpg", "A.JPEG", "b.jfif", "c.jpe", "d.HEIC", "e.avif", "f.jp2"]
)
def test_usual_names_of_photographs(name):
    assert is_photograph_name(name)
    assert not is_passed_over(name)


@pytest.mark.parametrize(
    "name",
    [
        *("._a.jpg", ".DS_Store", "Thumbs.db", "THUMBS.DB", "desktop.ini", "__MACOSX", ".a.jpg"),
        *("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
    ],
)
def test_what_systems_leave_behind_is_passed_over(name):
    assert is_passed_over(name)


# --- camera raw --------------------------------------------------------------------------------


def tiff(entries: list[tuple[int, int, int, int]], order: str = "<", rest: bytes = b"") -> bytes:
    """A TIFF header and one directory; entries are tag, type, count and value or offset."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    fields = b""
    for tag, kind, count, value in entries:
        field = struct.pack(f"{order}I", value)
        if kind == 3 and count == 1:
            field = struct.pack(f"{order}HH", value, 0)
        fields += struct.pack(f"{order}HHI", tag, kind, count) + field
    return head + struct.pack(f"{order}H", len(entries)) + fields + bytes(4) + rest


def with_sub_directory(order: str, entries: list[tuple[int, int, int, int]], make: bytes) -> bytes:
    """A small preview first, the raw data in a directory below it, as cameras write it."""
    first = [
        (254, 4, 1, 1),
        (256, 3, 1, 160),
        (257, 3, 1, 120),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (271, 2, len(make), 8 + 2 + 12 * 7 + 4),
        (330, 4, 1, 8 + 2 + 12 * 7 + 4 + len(make)),
    ]
    below = tiff(entries, order)[8:]
    return tiff(first, order, make + below)


NEF = [(256, 3, 1, 320), (259, 3, 1, 34713), (262, 3, 1, 32803)]
ARW = [(256, 3, 1, 320), (259, 3, 1, 32767), (262, 3, 1, 32803)]
RAW_FILES = {
    "Nikon NEF": with_sub_directory(">", NEF, b"NIKON CORPORATION\0"),
    "Sony ARW": with_sub_directory("<", ARW, b"SONY\0\0"),
    "DNG": tiff([(256, 3, 1, 160), (259, 3, 1, 1), (50706, 1, 4, 0x0401)]),
    "Canon CR2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(400),
    "Canon CR3": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(100),
    "Fujifilm RAF": b"FUJIFILMCCD-RAW 0201" + bytes(200),
    "Panasonic RW2": b"IIU\0\x18\0\0\0" + bytes(200),
    "Olympus ORF": b"IIRO\x08\0\0\0" + bytes(200),
}


@pytest.mark.parametrize("name", RAW_FILES)
def test_camera_raw_is_named_as_such(name):
    with pytest.raises(InvalidImageError, match=rf"camera raw file \({name}\)") as caught:
        decode_image(RAW_FILES[name])
    assert caught.value.reason == "unsupported_format"
    assert "JPEG" in str(caught.value)


def test_preview_in_a_raw_file_is_not_taken_for_the_photograph():
    data = encode(draw_photo(size=(64, 48)), "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    with pytest.raises(InvalidImageError, match=r"camera raw file \(DNG\)"):
        decode_image(data)


@pytest.mark.parametrize("order", ["<", ">"])
def test_hostile_directories_end(order):
    rng = np.random.default_rng(0)
    for _ in range(300):
        entries = [
            (int(rng.choice([259, 262, 271, 330, 50706])), *map(int, rng.integers(0, 20, 3)))
            for _ in range(6)
        ]
        identify_content(tiff(entries, order, rng.bytes(60)))


def test_directories_that_name_thousands_of_others_are_not_followed():
    class Watched(bytes):
        asked = 0

        def __len__(self) -> int:
            type(self).asked += 1
            return super().__len__()

    starts = [8 + 2402 * number for number in range(7)]
    values_at = starts[-1] + 2402
    directory = struct.pack("<H", 200) + 200 * struct.pack("<HHII", 330, 4, 200, values_at)
    values = struct.pack("<200I", *starts, *range(2**31, 2**31 + 193))
    data = Watched(b"II*\0" + struct.pack("<I", starts[0]) + 7 * directory + values)
    identify_content(data)
    assert data.asked < 50_000


def test_an_ordinary_tiff_is_no_raw_file():
    for compression in ("tiff_lzw", "jpeg", "tiff_adobe_deflate"):
        data = encode(draw_photo(size=(40, 30)), "TIFF", compression=compression)
        assert identify_content(data) == ("readable", "TIFF")


def test_a_file_is_identified_at_its_path(tmp_path):
    (tmp_path / "a").write_bytes(encode(draw_photo(), "PNG"))
    assert identify_file(tmp_path / "a").description == "PNG"
    assert identify_file(tmp_path).category == "unknown"
    assert identify_file(tmp_path / ("n" * 300)).category == "unknown"
