"""JPEGs whose damage decoders paper over, and sound files that only look damaged."""

import io
import struct
import zlib

import numpy as np
import pytest
import simplejpeg
from PIL import Image, PngImagePlugin

from har_core.errors import InvalidImageError
from har_core.images.damage import jpeg
from har_core.images.damage.jpeg import affected_share
from har_core.images.decoding import MAX_AFFECTED_SHARE, decode_image, decode_photograph
from tests.drawing import draw_photo, encode

END = b"\xff\xd9"
FOREIGN = np.random.default_rng(1).bytes(200).replace(b"\xff", b"")


def photograph(**options) -> bytes:
    """A JPEG with as much detail everywhere, so that bytes and rows are in proportion."""
    noise = np.random.default_rng(0).integers(0, 256, (192, 256, 3)).astype(np.uint8)
    return encode(Image.fromarray(noise), "JPEG", quality=90, **options)


def scan_of(data: bytes) -> slice:
    """Where the entropy-coded data of the (last) scan lie."""
    start = data.rfind(b"\xff\xda")
    return slice(start + 2 + int.from_bytes(data[start + 2 : start + 4], "big"), len(data) - 2)


def damaged_at(data: bytes, share: float, damage: bytes, *, instead: int | None = None) -> bytes:
    """Put other bytes at some share of the scan."""
    scan = scan_of(data)
    at = scan.start + int(share * (scan.stop - scan.start))
    return data[:at] + damage + data[at + (len(damage) if instead is None else instead) :]


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("kept", [0.05, 0.4, 0.8, 0.97])
def test_missing_data_with_an_end_marker_are_measured(options, kept):
    data = photograph(**options)
    scan = scan_of(data)
    cut = data[: scan.start + int(kept * (scan.stop - scan.start))].rstrip(b"\xff") + END
    assert affected_share(cut) == pytest.approx(1 - kept, abs=0.03)


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_files_are_measured_too(mode):
    with Image.open(io.BytesIO(photograph())) as image:
        data = encode(image.convert(mode), "JPEG", quality=90)
    assert affected_share(data) == 0
    scan = scan_of(data)
    half = data[: (scan.start + scan.stop) // 2].rstrip(b"\xff") + END
    assert affected_share(half) == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("damage", [bytes(64), b"\xfe" * 90, FOREIGN])
def test_wrong_data_are_found_where_they_begin(damage):
    share = affected_share(damaged_at(photograph(), 0.5, damage))
    assert share == pytest.approx(0.5, abs=0.05)


def test_damage_ends_at_the_next_restart_marker():
    data = photograph(restart_marker_rows=1, subsampling=0)  # 24 rows of blocks
    share = affected_share(damaged_at(data, 0.5, bytes(64)))
    assert 0 < share <= 2 / 24


@pytest.mark.parametrize("side", [64, 4096])
def test_a_multitude_of_restart_markers_is_not_walked_through(side, monkeypatch):
    walks = []
    monkeypatch.setattr(jpeg, "_sound_units", lambda *_: walks.append(1) or 0)
    grey = encode(Image.new("L", (side, side)), "JPEG")
    start = grey.index(b"\xff\xda")
    every_unit = grey[:start] + b"\xff\xdd\0\4\0\1" + grey[start : scan_of(grey).start]
    assert affected_share(every_unit + b"\x11\xff\xd0" * 300_000 + END) > 0
    assert len(walks) <= min((side // 8) ** 2, 30_000)


def test_sound_and_merely_padded_files_are_not_affected():
    data = photograph()
    for sound in (data, data[:-2] + bytes(40) + END, data + b"trailer", data[:-2]):
        assert affected_share(sound) == 0


def test_what_cannot_be_told_counts_as_lost():
    assert affected_share(b"\xff\xd8\xff") == 1
    assert affected_share(encode(draw_photo(), "PNG")) == 1
    progressive = photograph(progressive=True)
    assert affected_share(progressive[: progressive.find(b"\xff\xda") + 60]) == 1


def test_a_photograph_that_is_mostly_grey_is_refused():
    """Pillow shows it without a word."""
    scan = scan_of(data := photograph())
    cut = data[: (scan.start + scan.stop) // 2].rstrip(b"\xff") + END
    with Image.open(io.BytesIO(cut)) as opened:
        opened.load()
    with pytest.raises(InvalidImageError, match=r"about 5.% of the picture") as caught:
        decode_image(cut)
    assert caught.value.reason == "truncated"


def test_a_photograph_that_lacks_little_is_read_with_a_warning():
    data = photograph()
    scan = scan_of(data)
    little = MAX_AFFECTED_SHARE / 2
    cut = data[: scan.stop - int(little * (scan.stop - scan.start))].rstrip(b"\xff") + END
    for damaged in (cut, data[:-2], data[:-2] + bytes(40) + END):
        decoded = decode_photograph(damaged, side=64)
        assert "damaged" in decoded.warning and decoded.warning.endswith(".")
        assert decoded.affected_share is not None
        assert decoded.affected_share <= MAX_AFFECTED_SHARE
    sound = decode_photograph(data, side=64)
    assert sound.warning == "" and sound.affected_share is None
    assert np.array_equal(decode_image(cut)[:96], decode_image(data)[:96])


def test_wrong_data_in_the_middle_are_refused_as_damage():
    data = damaged_at(photograph(), 0.5, bytes(64))
    with pytest.raises(ValueError, match="Corrupt"):
        simplejpeg.decode_jpeg(data)
    with pytest.raises(InvalidImageError):
        decode_image(data)


# --- pictures that were handled as text ---------------------------------------------------------

AS_TEXT = {
    "lf to crlf": lambda data: data.replace(b"\n", b"\r\n"),
    "cr to lf": lambda data: data.replace(b"\r", b"\n"),
    "replaced": lambda data: data.decode("utf-8", "replace").encode(),
    "latin": lambda data: data.decode("latin-1").encode(),
    "powershell": lambda data: data.decode("cp437").encode("utf-16"),
}


@pytest.mark.parametrize("conversion", AS_TEXT)
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_a_picture_that_was_changed_as_text_is_told_as_such(image_format, conversion):
    noise = np.random.default_rng(0).integers(0, 256, (96, 128, 3)).astype(np.uint8)
    data = encode(Image.fromarray(noise), image_format)
    with pytest.raises(InvalidImageError, match=f"^The {image_format} file was .* text") as caught:
        decode_image(AS_TEXT[conversion](data))
    assert caught.value.reason == "damaged"


def test_a_png_shows_other_line_ends_by_its_signature():
    data = encode(draw_photo(size=(8, 8)), "PNG")
    for changed in (data.replace(b"\r\n", b"\n"), data.replace(b"\n", b"\r")):
        with pytest.raises(InvalidImageError, match="The PNG file was changed in transfer"):
            decode_image(changed)


def test_cut_and_flat_pictures_are_not_taken_for_text():
    xmp = PngImagePlugin.PngInfo()
    xmp.add_text("XML:com.adobe.xmp", (" " * 99 + "\n") * 200)
    flat = Image.new("RGB", (400, 400), (10, 10, 10))
    cut = encode(flat, "PNG", pnginfo=xmp)[:20_000]
    for data in (cut, encode(flat, "BMP")[:90_000], photograph()[:5000]):
        with pytest.raises(InvalidImageError, match="cut short"):
            decode_image(data)


def segment_longer_by(data: bytes, marker: bytes, more: bytes) -> bytes:
    """Put bytes behind the first segment of a kind."""
    at = data.index(marker)
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:end] + more + data[end:]


def test_a_warning_of_the_header_is_not_lost():
    """The decoder gives up on such a file, and Pillow shows it without a word."""
    data = photograph()
    for marker, more in ((b"\xff\xe0", b"abc"), (b"\xff\xdb", bytes(3))):
        padded = decode_photograph(segment_longer_by(data, marker, more))
        assert "3 extraneous bytes" in padded.warning and padded.affected_share == 0
        assert np.array_equal(padded.image, decode_image(data))
    for marker in (b"\xff\xdb", b"\xff\xc4"):
        with pytest.raises(InvalidImageError, match="100% of the picture"):
            decode_image(segment_longer_by(data, marker, b"abc"))


# --- pictures of floats -------------------------------------------------------------------------


def test_pixels_that_are_no_numbers_are_told_or_refused():
    values = np.linspace(0, 1, 100, dtype=np.float32).reshape(10, 10)
    values[0, :5], values[1, 0] = np.nan, np.inf
    told = decode_photograph(encode(Image.fromarray(values), "TIFF"), side=8)
    assert told.warning == (
        "About 6% of the picture's pixels hold no number (NaN or infinity) and are shown black."
    )
    assert told.affected_share == pytest.approx(0.06)
    values[:2] = np.nan
    with pytest.raises(InvalidImageError, match="About 20% of the picture's pixels hold no number"):
        decode_image(encode(Image.fromarray(values), "TIFF"))


# --- sound pictures with outsized metadata -----------------------------------------------------


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("before_pixels", [True, False])
def test_a_png_with_a_huge_text_is_sound(compressed, before_pixels):
    text = PngImagePlugin.PngInfo()
    text.add_text("workflow", "x" * 3_000_000, zip=compressed)
    text.add_itxt("prompt", "y" * 3_000_000, zip=compressed)
    photo = draw_photo(size=(40, 30))
    data = encode(photo, "PNG", pnginfo=text)
    if not before_pixels:
        chunks = png_chunk(b"zTXt", b"late\0\0" + zlib.compress(bytes(3_000_000)))
        data = encode(photo, "PNG")[:-12] + chunks + png_chunk(b"IEND", b"")
    assert np.array_equal(decode_image(data), np.asarray(photo))


def test_a_png_with_many_texts_or_a_huge_profile_is_sound():
    photo = draw_photo(size=(40, 30))
    head, rest = encode(photo, "PNG")[:33], encode(photo, "PNG")[33:]
    text = png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))
    profile = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2_000_000)))
    for data in (head + text * 80 + rest, head + profile + rest):
        assert np.array_equal(decode_image(data), np.asarray(photo))


def test_a_jpeg_with_megabytes_of_metadata_is_sound():
    photo = draw_photo(size=(40, 30))
    data = encode(photo, "JPEG")
    segment = b"\xff\xed\xff\xff" + b"Photoshop 3.0\0" + bytes(65533 - 14)
    padded = data[:2] + segment * 100 + data[2:]
    assert np.array_equal(decode_image(padded), decode_image(data))
    assert decode_photograph(padded).warning == ""
