import io
import os
import struct
import threading
import zipfile
import zlib

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFile, ImageOps

import har_core
from har_core.errors import InvalidImageError
from har_core.images import decoding as images
from har_core.images import pixels as pixels_module
from har_core.images.decoding import (
    MAX_BYTES,
    decode_image,
    decode_photograph,
    decode_square,
    read_image_file,
)
from har_core.images.preprocessing import resize_image
from tests.drawing import draw_photo, encode, photo_bytes

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corner_picture() -> Image.Image:
    """48 × 32 pixels with a red, green, blue and white quarter (reading order)."""
    image = Image.new("RGB", (48, 32), WHITE)
    image.paste(RED, (0, 0, 24, 16))
    image.paste(GREEN, (24, 0, 48, 16))
    image.paste(BLUE, (0, 16, 24, 32))
    return image


def png_with_dimensions(width: int, height: int) -> bytes:
    """A PNG of a hundred bytes whose header promises any number of pixels."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def reason_of(data: bytes) -> str:
    with pytest.raises(InvalidImageError) as caught:
        decode_image(data)
    return caught.value.reason


# --- formats and modes -------------------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "TIFF", "GIF"])
def test_lossless_formats_give_the_exact_pixels(image_format):
    image = corner_picture()
    decoded = decode_image(encode(image, image_format))
    assert np.array_equal(decoded, np.asarray(image))


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP"])
def test_lossy_formats_give_the_pixels_closely(image_format):
    image = draw_photo(size=(64, 48))
    decoded = decode_image(encode(image, image_format, quality=95))
    assert decoded.shape == (48, 64, 3)
    assert np.abs(decoded.astype(int) - np.asarray(image)).mean() < 6


def test_result_is_contiguous_writable_and_owned():
    decoded = decode_image(photo_bytes())
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous and decoded.flags.writeable and decoded.flags.owndata


def test_name_does_not_matter_only_content(tmp_path):
    path = tmp_path / "really_a_png.jpg"
    path.write_bytes(encode(corner_picture(), "PNG"))
    assert np.array_equal(read_image_file(path), np.asarray(corner_picture()))


@pytest.mark.parametrize(
    ("mode", "image_format"),
    [("1", "PNG"), ("1", "TIFF"), ("L", "PNG"), ("L", "JPEG"), ("L", "GIF"), ("L", "BMP")],
)
def test_grey_and_black_and_white_become_equal_channels(mode, image_format):
    grey = Image.new("L", (40, 20), 255)
    grey.paste(0, (0, 0, 20, 20))
    decoded = decode_image(encode(grey.convert(mode), image_format))
    assert decoded[10, 5].tolist() == [0, 0, 0]
    assert decoded[10, 35].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    ("mode", "image_format"), [("RGBA", "PNG"), ("RGBA", "WEBP"), ("RGBA", "TIFF"), ("LA", "PNG")]
)
def test_transparency_is_laid_on_white(mode, image_format):
    options = {"lossless": True} if image_format == "WEBP" else {}
    image = Image.new("RGBA", (30, 10), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (10, 0, 20, 10))
    image.paste((0, 0, 0, 128), (20, 0, 30, 10))
    decoded = decode_image(encode(image.convert(mode), image_format, **options))
    assert decoded[5, 5].tolist() == [0, 0, 0]
    assert decoded[5, 15].tolist() == [255, 255, 255]
    assert decoded[5, 25].tolist() == pytest.approx([127, 127, 127], abs=1)


@pytest.mark.parametrize("image_format", ["PNG", "GIF"])
def test_palette_with_a_transparent_colour_is_laid_on_white(image_format):
    image = corner_picture().quantize(4)
    red_index = image.getpixel((0, 0))
    decoded = decode_image(encode(image, image_format, transparency=red_index))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[0, 40].tolist() == [0, 255, 0]


def test_transparent_colour_of_an_rgb_png_is_laid_on_white():
    decoded = decode_image(encode(corner_picture(), "PNG", transparency=RED))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert decoded[0, 40].tolist() == [0, 255, 0]


def test_cmyk_jpeg_is_read_as_adobe_writes_it_inverted():
    # Pillow, like Photoshop, writes CMYK JPEGs inverted and with Adobe's marker.
    data = encode(corner_picture().convert("CMYK"), "JPEG", quality=95, subsampling=0)
    assert b"Adobe" in data[:200]
    decoded = decode_image(data).astype(int)
    for (x, y), colour in {(8, 8): RED, (40, 8): GREEN, (8, 24): BLUE, (40, 24): WHITE}.items():
        assert np.abs(decoded[y, x] - colour).max() < 12


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_colour_spaces_of_tiff_become_rgb(mode):
    white = (0, 0, 0, 0) if mode == "CMYK" else (255, 128, 128)
    decoded = decode_image(encode(Image.new(mode, (8, 8), white), "TIFF"))
    assert decoded.shape == (8, 8, 3)
    assert decoded.min() >= 250


@pytest.mark.parametrize("image_format", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(image_format):
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    decoded = decode_image(encode(Image.fromarray(ramp), image_format))
    assert np.array_equal(decoded[..., 0].ravel(), np.arange(256))
    assert np.array_equal(decoded[..., 0], decoded[..., 2])


def test_big_endian_sixteen_bit_tiff_is_scaled_too():
    ramp = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)
    big_endian = Image.frombytes("I;16B", (16, 16), ramp.astype(">u2").tobytes())
    decoded = decode_image(encode(big_endian, "TIFF"))
    assert np.array_equal(decoded[..., 1].ravel(), np.arange(256))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([[0, 0.5, 1]]), [0, 128, 255]),
        (np.float32([[0, 128, 255]]), [0, 128, 255]),
        (np.float32([[0, 32768, 65535]]), [0, 128, 255]),
        (np.float32([[-5, 0, 5]]), [0, 128, 255]),
        (np.float32([[np.nan] + [1] * 10]), [0] + [255] * 10),
        (np.int32([[0, 1, 255]]), [0, 1, 255]),
        (np.int32([[0, 32896, 65535]]), [0, 128, 255]),
        (np.int32([[0, 500_000, 1_000_000]]), [0, 128, 255]),
        (np.int32([[-7, -7, -7]]), [0, 0, 0]),
    ],
)
def test_wide_grey_values_are_scaled_by_the_range_they_use(values, expected):
    decoded = decode_image(encode(Image.fromarray(values), "TIFF"))
    assert decoded[0, :, 0].tolist() == expected


# --- orientation, frames, pages ----------------------------------------------------------------


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_picture_upright(image_format, orientation):
    upright = corner_picture()
    stored_by = {
        1: lambda im: im,
        2: lambda im: im.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda im: im.rotate(180),
        4: lambda im: im.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda im: im.transpose(Image.Transpose.TRANSPOSE),
        6: lambda im: im.rotate(90, expand=True),
        7: lambda im: im.transpose(Image.Transpose.TRANSVERSE),
        8: lambda im: im.rotate(-90, expand=True),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(stored_by[orientation](upright), image_format, exif=exif.tobytes(), quality=95)
    decoded = decode_image(data)
    assert decoded.shape == (32, 48, 3)
    assert np.abs(decoded.astype(int) - np.asarray(upright)).mean() < 8


@pytest.mark.parametrize(
    "exif",
    [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0garbage" * 9, b"Exif\0\0MM\0*\0\0"],
)
def test_broken_exif_is_ignored(exif):
    assert decode_image(encode(corner_picture(), "JPEG", exif=exif)).shape == (32, 48, 3)


@pytest.mark.parametrize("orientation", [0, 9, 60000])
def test_impossible_orientation_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode_image(encode(corner_picture(), "JPEG", exif=exif.tobytes()))
    assert decoded.shape == (32, 48, 3)


@pytest.mark.parametrize("image_format", ["GIF", "TIFF", "WEBP", "PNG"])
def test_first_frame_or_page_is_read(image_format):
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if image_format == "WEBP" else {}
    data = encode(frames[0], image_format, save_all=True, append_images=frames[1:], **options)
    assert decode_image(data).tolist() == [[[255, 0, 0]] * 20] * 10


def test_multi_picture_jpeg_of_a_phone_is_read():
    second = draw_photo("sitting")
    data = encode(draw_photo("clapping"), "MPO", save_all=True, append_images=[second], quality=92)
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.format == "MPO"
    assert decode_image(data).shape == (183, 275, 3)
    expected = decode_image(photo_bytes("clapping")).astype(int)
    assert np.abs(decode_image(data) - expected).max() <= 2


# --- reduced decoding --------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [1, 6])
def test_large_jpeg_is_decoded_reduced_but_stays_well_above_the_side(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = draw_photo(size=(1000, 700))
    data = encode(image, "JPEG", quality=92, exif=exif.tobytes())
    expected = (175, 250) if orientation == 1 else (250, 175)
    assert decode_image(data, min_side=80).shape[:2] == expected
    full = resize_image(decode_image(data), 80).astype(int)
    reduced = resize_image(decode_image(data, min_side=80), 80)
    assert np.abs(reduced - full).mean() < 1.5
    both = decode_photograph(data, side=80)  # one for the network, the other for people
    assert np.array_equal(both.square, decode_square(data, 80))
    assert np.array_equal(both.image, decode_image(data))


def test_twelve_megapixels_are_decoded_at_an_eighth_for_the_network():
    for size in [(4000, 3000), (4608, 2592)]:
        data = encode(draw_photo(size=size), "JPEG")
        assert decode_image(data, min_side=224).shape == (size[1] // 8, size[0] // 8, 3)


def test_jpeg_not_much_larger_than_the_side_is_decoded_exactly():
    data = encode(draw_photo(size=(800, 626)), "JPEG")
    assert np.array_equal(decode_image(data, min_side=224), decode_image(data))


def test_other_formats_are_decoded_in_full():
    image = draw_photo(size=(400, 300))
    assert decode_image(encode(image, "PNG"), min_side=10).shape == (300, 400, 3)


def test_multi_picture_jpeg_is_decoded_reduced_too():
    image = draw_photo(size=(800, 800))
    data = encode(image, "MPO", save_all=True, append_images=[image])
    assert decode_image(data, min_side=100).shape == (200, 200, 3)


def test_prediction_of_a_large_photograph_uses_reduced_decoding(tiny_models):
    model = har_core.load_model()
    image = draw_photo("running", size=(2000, 1500))
    data = encode(image, "JPEG", quality=92)
    from_bytes = model.predict(data)
    from_pixels = model.predict(decode_image(data))
    assert from_bytes.probabilities == pytest.approx(from_pixels.probabilities, abs=0.01)


# --- straight to a square ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "format_", "orientation"),
    [
        ("RGB", "JPEG", 1),
        ("RGB", "JPEG", 6),
        ("L", "JPEG", 3),
        ("CMYK", "JPEG", 1),
        ("RGB", "PNG", 1),
        ("RGBA", "PNG", 1),
        ("P", "GIF", 1),
        ("RGB", "TIFF", 8),
    ],
)
@pytest.mark.parametrize("size", [(275, 183), (224, 224), (2000, 1400)])
def test_square_equals_decoding_and_resizing(mode, format_, orientation, size):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {} if format_ == "GIF" else {"exif": exif.tobytes()}
    data = encode(draw_photo(size=size).convert(mode), format_, **options)
    expected = resize_image(decode_image(data, min_side=224), 224)
    assert np.array_equal(decode_square(data, 224), expected)


def test_square_keeps_a_transparent_colour_white():
    image = Image.new("RGB", (60, 40), RED)
    data = encode(image, "PNG", transparency=RED)
    assert (decode_square(data, 32) == 255).all()


# --- refusals ----------------------------------------------------------------------------------


def test_empty_file_is_refused_with_reason():
    assert reason_of(b"") == "empty"


def test_file_over_the_limit_is_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(images.Image, "open", lambda *a, **k: pytest.fail("decoded"))
    with pytest.raises(InvalidImageError, match=r"20\.0 MB; at most 20 MB") as caught:
        decode_image(b"\xff\xd8\xff" + bytes(MAX_BYTES))
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("side", [7072, 12_000, 60_000, 2_000_000_000])
def test_decompression_bomb_is_refused_by_its_header(side, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr("warnings.showwarning", lambda *a, **k: None)
    with pytest.raises(InvalidImageError, match="megapixels") as caught:
        decode_image(png_with_dimensions(side, side))
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.filterwarnings("error")
def test_bomb_is_refused_the_same_where_warnings_are_errors():
    assert reason_of(png_with_dimensions(12_000, 12_000)) == "too_many_pixels"


def test_bomb_in_a_gif_is_refused_by_its_header():
    data = bytearray(encode(corner_picture(), "GIF"))
    data[6:10] = struct.pack("<HH", 60_000, 60_000)
    assert reason_of(bytes(data)) == "too_many_pixels"


def test_webp_has_a_limit_of_its_own(monkeypatch):
    monkeypatch.setattr(images, "MAX_WEBP_PIXELS", 48 * 32 - 1)
    photo = draw_photo(size=(48, 32))
    assert decode_image(encode(photo, "PNG")).shape == (32, 48, 3)
    with pytest.raises(InvalidImageError, match="megapixels of a WebP") as caught:
        decode_image(encode(photo, "WEBP"))
    assert caught.value.reason == "too_many_pixels"


def test_strips_join_without_a_seam(monkeypatch):
    monkeypatch.setattr(pixels_module, "_STRIP_PIXELS", 48 * 5)
    photo = draw_photo(size=(48, 32))
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[ExifTags.Base.Orientation] = orientation
        upright = ImageOps.exif_transpose(Image.open(io.BytesIO(encode(photo, "PNG", exif=exif))))
        assert np.array_equal(decode_image(encode(photo, "PNG", exif=exif)), np.array(upright))


def test_fifty_megapixels_are_the_limit(monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 48 * 32)
    assert decode_image(encode(corner_picture(), "PNG")).shape == (32, 48, 3)
    monkeypatch.setattr(images, "MAX_PIXELS", 48 * 32 - 1)
    assert reason_of(encode(corner_picture(), "PNG")) == "too_many_pixels"


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_truncated_file_is_refused_with_reason(image_format, kept):
    data = encode(draw_photo(), image_format)
    assert reason_of(data[: int(len(data) * kept)]) in (
        ("truncated", "damaged") if image_format == "TIFF" else ("truncated",)
    )


def test_header_without_anything_else_is_truncated():
    for image_format in ("JPEG", "PNG", "WEBP", "GIF", "BMP"):
        assert reason_of(encode(corner_picture(), image_format)[:20]) == "truncated"


def test_damaged_pixels_are_refused_with_reason():
    data = bytearray(encode(draw_photo(), "PNG"))
    middle = len(data) // 2
    data[middle : middle + 40] = b"\xff" * 40
    assert reason_of(bytes(data)) == "damaged"


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"\xef\xbb\xbf\n  <HTML><head><title>Sign in</title>",
        b"<?xml version='1.0'?><!DOCTYPE html><html xmlns='http://www.w3.org/1999/xhtml'>",
    ],
)
def test_web_page_renamed_to_jpg_is_refused_as_one(page):
    with pytest.raises(InvalidImageError, match="web page") as caught:
        decode_image(page)
    assert caught.value.reason == "html"


def _zip_bytes() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "text")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "named", "reason"),
    [
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF", "not_an_image"),
        (b"PK\3\4" + bytes(60), "unpack it", "not_an_image"),
        (_zip_bytes(), "ZIP", "not_an_image"),
        ("filename,label\nÄ.jpg,running\n".encode(), "text file", "not_an_image"),
        ("Grüße".encode("utf-16"), "text file", "not_an_image"),
        (b"BMW drives", "text file", "not_an_image"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:",
            "git lfs pull",
            "not_an_image",
        ),
        (b"data:image/png;base64,iVBORw0KGgo=", "base64", "not_an_image"),
        (b"/9j/4AAQSkZJRgABAQ\r\n", "base64", "not_an_image"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "video", "not_an_image"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "audio", "not_an_image"),
        (b"MZ\x90\0\3\0\0\0", "program", "not_an_image"),
        (bytes(range(128, 256)) * 4, "unknown data", "not_an_image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC", "truncated"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF", "truncated"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG", None),
        (b"8BPS\0\1", "Photoshop", "unsupported_format"),
        (b"P6\n2 2\n255\n" + bytes(12), "PPM", "unsupported_format"),
        (b"bplist00" + bytes(9), "iCloud leaves", "not_an_image"),
        (b"\0\0\1\0\1\0", "icon", "unsupported_format"),
        (bytes(5_000), "a row of zero bytes", "not_an_image"),
    ],
)
def test_mislabelled_file_is_refused_by_what_it_is(data, named, reason):
    with pytest.raises(InvalidImageError, match=named) as caught:
        decode_image(data)
    assert caught.value.reason == (reason or "unsupported_format")


@pytest.mark.parametrize(
    ("marker", "bits", "named"),
    [
        (0xC1, 12, "a JPEG of 12 bits a channel"),  # as medical devices write it
        (0xC3, 8, "a JPEG without loss"),
        (0xC3, 16, "a JPEG without loss"),
        (0xC5, 8, "a JPEG in several sizes"),
        (0xF7, 8, "a JPEG of the kind JPEG-LS"),
    ],
)
def test_rare_kinds_of_jpeg_are_not_called_damaged(marker, bits, named):
    data = encode(corner_picture(), "JPEG")
    at = data.index(b"\xff\xc0")
    rare = data[: at + 1] + bytes([marker]) + data[at + 2 : at + 4] + bytes([bits]) + data[at + 5 :]
    with pytest.raises(InvalidImageError, match=f"{named}, which is not read") as caught:
        decode_image(rare)
    assert caught.value.reason == "unsupported_format"


def test_real_image_of_another_format_is_refused():
    assert reason_of(encode(corner_picture(), "ICO")) == "unsupported_format"


@pytest.mark.parametrize("error", [MemoryError, OverflowError, struct.error, EOFError, IndexError])
def test_no_other_error_of_the_decoder_escapes(error, monkeypatch):
    def fail(self):
        raise error("from the decoder")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    assert reason_of(encode(corner_picture(), "BMP")) == "damaged"


def test_unusable_paths_are_refused_with_reason(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, message in {
        tmp_path / "missing.jpg": "No such file",
        tmp_path: "folder",
        tmp_path / "pipe": "regular file",
        "bad\0name.jpg": "null",
    }.items():
        with pytest.raises(InvalidImageError, match=message) as caught:
            read_image_file(path)
        assert caught.value.reason == "unreadable"


def test_large_file_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(100 * 2**30)  # sparse: takes no space
    with pytest.raises(InvalidImageError, match="at most 20 MB") as caught:
        read_image_file(path)
    assert caught.value.reason == "too_large"


def test_decoding_in_threads_gives_the_same_pixels():
    data = [photo_bytes("running", seed) for seed in range(8)]
    expected = [decode_image(d) for d in data]
    wrong = []

    def decode_all():
        for _ in range(5):
            for d, pixels in zip(data, expected, strict=True):
                if not np.array_equal(decode_image(d), pixels):
                    wrong.append(d)

    threads = [threading.Thread(target=decode_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False
