import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from har_core.images.colour import colour_transform
from har_core.images.decoding import decode_image, decode_square
from har_core.images.preprocessing import resize_image
from har_core.images.thumbnails import thumbnail
from tests.drawing import draw_photo, encode
from tests.profiles import ADOBE, D50, P3, fixed, gamma, profile, rgb_profile, xyz

GREY = profile(b"GRAY", {b"wtpt": xyz(D50), b"kTRC": gamma(1.0)})
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
PROFILES = {"Display P3": rgb_profile(P3, 2.2), "Adobe RGB": rgb_profile(ADOBE, 2.2)}


def in_profile(image: Image.Image, icc: bytes) -> Image.Image:
    """Return the values that code the same colours in another space."""
    coded = ImageCms.profileToProfile(image, SRGB, ImageCms.ImageCmsProfile(io.BytesIO(icc)))
    assert coded is not None
    coded.info.clear()  # Pillow would embed the profile wherever it saves the picture
    return coded


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "TIFF", "WEBP", "HEIF", "AVIF"])
def test_colours_mean_what_the_profile_says(name, image_format):
    icc = PROFILES[name]
    photo = draw_photo(size=(64, 48))
    plain = decode_image(encode(photo, image_format, quality=95)).astype(int)
    coded = in_profile(photo, icc)
    decoded = decode_image(encode(coded, image_format, quality=95, icc_profile=icc)).astype(int)
    ignored = decode_image(encode(coded, image_format, quality=95)).astype(int)
    lossy = 0 if image_format in ("PNG", "TIFF") else 3
    assert np.abs(decoded - plain).mean() < 2 + lossy
    assert np.abs(ignored - plain).mean() > 5 + lossy


def test_a_turned_transparent_and_a_large_photograph_are_converted_too():
    icc = PROFILES["Display P3"]
    photo = draw_photo(size=(90, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = in_profile(photo, icc).rotate(90, expand=True)
    decoded = decode_image(encode(sideways, "PNG", exif=exif, icc_profile=icc))
    assert np.abs(decoded.astype(int) - np.asarray(photo)).mean() < 2
    glass = in_profile(photo, icc).convert("RGBA")
    glass.putpixel((0, 0), (9, 9, 9, 0))
    decoded = decode_image(encode(glass, "PNG", icc_profile=icc))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert np.abs(decoded[1:].astype(int) - np.asarray(photo)[1:]).mean() < 2
    large = encode(in_profile(draw_photo(size=(900, 700)), icc), "JPEG", icc_profile=icc)
    expected = resize_image(decode_image(large, min_side=100), 100)
    assert np.array_equal(decode_square(large, 100), expected)


def test_a_grey_profile_changes_the_tones_also_of_sixteen_bits_and_of_glass():
    ramp = np.linspace(0, 255, 256).astype(np.uint8).reshape(16, 16)
    linear = decode_image(encode(Image.fromarray(ramp), "PNG", icc_profile=GREY))
    assert linear.reshape(-1, 3)[55].tolist() == pytest.approx([128] * 3, abs=3)  # 0.2158 in sRGB
    wide = Image.fromarray(ramp.astype(np.uint16) * 257)
    assert np.array_equal(decode_image(encode(wide, "PNG", icc_profile=GREY)), linear)
    glass = Image.fromarray(ramp).convert("LA")
    glass.putpixel((0, 0), (9, 0))
    decoded = decode_image(encode(glass, "PNG", icc_profile=GREY))
    assert decoded[0, 0].tolist() == [255, 255, 255]
    assert np.array_equal(decoded[1:], linear[1:])


def test_a_press_profile_is_used_for_cmyk():
    """Only the wiring: the profile's own table decides on colours."""
    paper = (200, 180, 160)
    icc = profile(b"CMYK", {b"A2B0": _one_colour_table(paper), b"A2B1": _one_colour_table(paper)})
    data = encode(draw_photo(size=(32, 32)).convert("CMYK"), "JPEG", icc_profile=icc)
    assert decode_image(data).reshape(-1, 3).std(axis=0).max() == 0
    assert decode_image(encode(draw_photo(size=(32, 32)).convert("CMYK"), "JPEG")).std() > 0


def _one_colour_table(_: tuple[int, int, int]) -> bytes:
    """An lut8 table (ICC.1:2001-04, 6.5.9) of four inks in which every mixture is mid-grey."""
    identity = b"".join(map(fixed, (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    head = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + identity
    return head + bytes(range(256)) * 4 + bytes([128] * 3) * 16 + bytes(range(256)) * 3


@pytest.mark.parametrize(
    "icc",
    [
        *(b"garbage" * 40, bytes(200), PROFILES["Adobe RGB"][:150], PROFILES["Adobe RGB"][:300]),
        GREY,  # of another kind of picture
        SRGB.tobytes(),
    ],
)
def test_damaged_foreign_and_srgb_profiles_change_nothing(icc):
    photo = draw_photo(size=(48, 32))
    assert np.array_equal(decode_image(encode(photo, "PNG", icc_profile=icc)), np.asarray(photo))


def test_the_usual_srgb_profiles_cost_no_conversion():
    assert colour_transform(SRGB.tobytes(), "RGB") is None
    # As cameras have it: sRGB's primaries with rounded numbers and a table for a curve.
    curve = np.round(65535 * _srgb_curve(np.linspace(0, 1, 1024))).astype(">u2").tobytes()
    tags = {b"wtpt": xyz(D50), b"cprt": b"text\0\0\0\0CC0\0"}
    srgb = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
    for letter, primary in zip(b"rgb", srgb, strict=True):
        tags[bytes([letter]) + b"XYZ"] = xyz(primary)
        tags[bytes([letter]) + b"TRC"] = b"curv\0\0\0\0" + struct.pack(">I", 1024) + curve
    assert colour_transform(profile(b"RGB ", tags), "RGB") is None
    assert colour_transform(PROFILES["Display P3"], "RGB") is not None
    assert colour_transform(None, "RGB") is None


def _srgb_curve(values: np.ndarray) -> np.ndarray:
    """The transfer function of IEC 61966-2-1."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def test_thumbnails_are_converted_and_made_anew_of_another_photograph(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    icc = PROFILES["Adobe RGB"]
    photo = draw_photo(size=(200, 150))
    (tmp_path / "a.png").write_bytes(encode(in_profile(photo, icc), "PNG", icc_profile=icc))
    made = thumbnail(tmp_path / "a.png")
    assert made is not None
    decoded = decode_image(made).astype(int)
    assert np.abs(decoded - np.asarray(photo)).mean() < 5
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (200, 150), "white"), "PNG"))
    made = thumbnail(tmp_path / "a.png")
    assert made is not None and decode_image(made).min() > 250
