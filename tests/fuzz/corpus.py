"""Sound files of every kind that is read, for the fuzzer to damage."""

import io
import struct
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from PIL import ExifTags, Image

from tests.drawing import draw_photo, encode
from tests.profiles import P3, rgb_profile


@cache
def small_files() -> dict[str, bytes]:
    """Return small pictures by name: every format, its colour modes, compressions and frames."""
    photo = draw_photo(size=(60, 44))
    frames = {"save_all": True, "append_images": [photo.rotate(90), photo.rotate(180)]}
    grey16 = Image.fromarray((np.arange(60 * 44).reshape(44, 60) * 20).astype(np.uint16))
    floats = Image.fromarray(np.linspace(0, 1, 60 * 44, dtype=np.float32).reshape(44, 60))
    palette = photo.convert("P", palette=Image.Palette.ADAPTIVE)
    rgba = photo.convert("RGBA")
    rgba.putalpha(photo.convert("L"))
    files = {
        "jpeg": encode(photo, "JPEG"),
        "jpeg progressive": encode(photo, "JPEG", progressive=True),
        "jpeg grey": encode(photo.convert("L"), "JPEG"),
        "jpeg cmyk": encode(photo.convert("CMYK"), "JPEG"),
        "jpeg exif": encode(photo, "JPEG", exif=_exif(6)),
        "mpo": _multi_picture_jpeg(),
        "png": encode(photo, "PNG"),
        "png rgba": encode(rgba, "PNG"),
        "png palette": encode(palette, "PNG", transparency=3),
        "png 16-bit": encode(grey16, "PNG"),
        "png 1-bit": encode(photo.convert("1"), "PNG"),
        "png animated": encode(photo, "PNG", **frames),
        "png exif and text": encode(photo, "PNG", exif=_exif(8), icc_profile=b"x" * 200),
        "webp": encode(photo, "WEBP"),
        "webp lossless": encode(rgba, "WEBP", lossless=True),
        "webp animated": encode(photo, "WEBP", **frames),
        "webp exif": encode(photo, "WEBP", exif=_exif(3)),
        "bmp": encode(photo, "BMP"),
        "bmp palette": encode(palette, "BMP"),
        "bmp 1-bit": encode(photo.convert("1"), "BMP"),
        "bmp rle": _run_length_bmp(),
        "gif": encode(palette, "GIF"),
        "gif animated": encode(photo, "GIF", **frames),
        "gif transparent": encode(rgba, "GIF"),
        "tiff pages": encode(photo, "TIFF", **frames),
        "tiff 16-bit": encode(grey16, "TIFF"),
        "tiff float": encode(floats, "TIFF"),
        "tiff cmyk": encode(photo.convert("CMYK"), "TIFF"),
        "tiff big": encode(photo, "TIFF", big_tiff=True),
        "jpeg restarts": encode(photo, "JPEG", restart_marker_blocks=2),
        "jpeg profile": encode(photo, "JPEG", icc_profile=rgb_profile(P3, 2.2)),
        "png profile": encode(rgba, "PNG", icc_profile=rgb_profile(P3, 2.2)),
        "heic": encode(photo, "HEIF"),
        "heic rgba": encode(rgba, "HEIF"),
        "avif": encode(photo, "AVIF"),
        "avif rgba": encode(rgba, "AVIF"),
        "jpeg 2000": encode(photo, "JPEG2000"),
        "jpeg 2000 codestream": encode(photo, "JPEG2000", no_jp2=True),
        "jpeg 2000 rgba": encode(rgba, "JPEG2000"),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        files[f"tiff {compression}"] = encode(photo, "TIFF", compression=compression)
    files["tiff group4"] = encode(photo.convert("1"), "TIFF", compression="group4")
    return files


HEAVY: dict[str, Callable[[], bytes]] = {
    "heic 50 megapixels": lambda: encode(
        _plain("RGB"), "HEIF", quality=10, enc_params={"preset": "ultrafast"}
    ),
    "avif 50 megapixels": lambda: encode(_plain("RGB"), "AVIF", quality=10, speed=10),
    "jpeg 2000 20 megapixels": lambda: encode(_plain("RGBA", 4_472), "JPEG2000"),
    "jpeg 50 megapixels": lambda: encode(_plain("RGB"), "JPEG", exif=_exif(6)),
    "jpeg cmyk 50 megapixels": lambda: encode(_plain("CMYK"), "JPEG"),
    "png rgb 50 megapixels": lambda: encode(_plain("RGB"), "PNG", compress_level=1),
    "png rgba 50 megapixels": lambda: encode(_plain("RGBA"), "PNG", compress_level=1),
    "png grey-alpha 50 megapixels": lambda: encode(_plain("LA"), "PNG", compress_level=1),
    "png 16-bit 50 megapixels": lambda: encode(_plain("I;16"), "PNG", compress_level=1),
    "png 1-bit 50 megapixels": lambda: encode(_plain("1"), "PNG"),
    "png palette 50 megapixels": lambda: encode(_plain("P"), "PNG", transparency=0),
    "gif 50 megapixels": lambda: encode(_plain("P"), "GIF", transparency=0),
    "webp 30 megapixels": lambda: encode(_plain("RGBA", 5_477), "WEBP", quality=1, method=0),
    "webp lossless 30 megapixels": lambda: encode(_plain("RGBA", 5_477), "WEBP", lossless=True),
    "tiff float 50 megapixels": lambda: encode(_plain("F"), "TIFF", compression="tiff_lzw"),
    "tiff int 50 megapixels": lambda: encode(_plain("I"), "TIFF", compression="tiff_lzw"),
    "tiff cmyk 50 megapixels": lambda: encode(_plain("CMYK"), "TIFF", compression="tiff_lzw"),
}


@cache
def heavy_file(name: str) -> bytes:
    """Return one of `HEAVY`: few bytes that unpack to as many pixels as are allowed."""
    return HEAVY[name]()


def nested_exif_files(rng: np.random.Generator) -> Iterator[bytes]:
    """Yield JPEGs whose EXIF directories point to each other, to themselves and far outside."""
    photo = encode(draw_photo(size=(60, 44)), "JPEG")
    while True:
        body = b"Exif\0\0" + _hostile_directories(rng)
        yield photo[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + photo[2:]


def _plain(mode: str, side: int = 7_071) -> Image.Image:
    return Image.new(mode, (side, side))


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "a camera"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.01
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    return exif


def _hostile_directories(rng: np.random.Generator) -> bytes:
    """Return a TIFF header and directories whose entries lead anywhere."""
    order = "<" if rng.random() < 0.5 else ">"
    out = io.BytesIO()
    out.write((b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8))
    pointers = [0x8769, 0x8825, 0xA005, 0x0112, 0x927C, 0x014A, 0x0111]
    for _ in range(int(rng.integers(1, 30))):
        entries = int(rng.integers(1, 8))
        out.write(struct.pack(f"{order}H", entries))
        for _ in range(entries):
            tag = int(rng.choice(pointers)) if rng.random() < 0.8 else int(rng.integers(0, 65536))
            kind = int(rng.integers(0, 18))
            count = int(rng.choice([0, 1, 2, 65535, 2**31, 2**32 - 1]))
            target = int(rng.choice([0, 8, out.tell(), 60000, 2**32 - 1]))
            out.write(struct.pack(f"{order}HHII", tag, kind, count, target))
        out.write(struct.pack(f"{order}I", int(rng.choice([0, 8, out.tell() + 4, 2**32 - 1]))))
    return out.getvalue()[:60_000]


def _multi_picture_jpeg() -> bytes:
    """Write pictures of its own: saving as MPO leaves settings on them that spoil a TIFF."""
    first, *others = (draw_photo(seed=seed, size=(60, 44)) for seed in range(3))
    return encode(first, "MPO", save_all=True, append_images=others)


def _run_length_bmp() -> bytes:
    """Write an 8-bit run-length encoded BMP, which Pillow reads but does not write."""
    width, height = 60, 44
    rows = b"".join(bytes([width, row % 256]) + b"\0\0" for row in range(height)) + b"\0\1"
    palette = b"".join(bytes([i, 255 - i, i // 2, 0]) for i in range(256))
    offset = 14 + 40 + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(rows), 0, 0, 256, 0)
    return struct.pack("<2sIHHI", b"BM", offset + len(rows), 0, 0, offset) + info + palette + rows
