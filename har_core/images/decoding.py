"""From bytes to a validated RGB array: limits, one recipe for every way in, errors."""

import functools
import io
import os
import stat
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from har_core.errors import InvalidImageError
from har_core.images.damage.refusals import explain_failure, refuse_affected
from har_core.images.formats import PHOTO_FORMATS
from har_core.images.jpeg import decode_jpeg, reduction_for, warns_of_damage
from har_core.images.outsized import has_outsized_texts, without_texts
from har_core.images.pixels import is_plain_rgb, share_without_number, to_rgb, to_upright_rgb
from har_core.images.preprocessing import resize_image
from har_core.images.signatures import identify_content
from har_core.storage.names import real_path

MAX_BYTES: Final = 20 * 2**20
MAX_PIXELS: Final = 50_000_000
# WebP's decoder holds 16 bytes a pixel at its peak, JPEG 2000's 26, the others at most 10.
MAX_WEBP_PIXELS: Final = 30_000_000
MAX_JPEG2000_PIXELS: Final = 20_000_000
# Of a damaged photograph; docs/performance.md says how often an answer changes with such a share.
MAX_AFFECTED_SHARE: Final = 0.1
_HEIC: Final = "HEIC"
_FORMATS: Final = tuple(entry.pillow for entry in PHOTO_FORMATS if entry.name != _HEIC)
# Larger ones are decoded one at a time, or a few requests together would take gigabytes.
_LARGE_PIXELS: Final = 16_000_000
_ONE_LARGE: Final = threading.Lock()
# How much larger than the wanted side a JPEG is decoded. The decoder averages squares of pixels,
# which resizing with antialiasing would do as well: for the network's 224 pixels it adds a blur of
# at most a fifth of a pixel (docs/performance.md). 12 megapixels, 4:3 or 16:9, fit 1/8.
_REDUCED_DECODING_MARGIN: Final = 1.4
_TIFF: Final = (b"II", b"MM")

# Pillow warns of broken EXIF data and the like, with its source line, on people's terminals.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


class DecodedPhotograph(NamedTuple):
    """A decoded photograph, as `decode_photograph` returns it.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3), or None
        As from `decode_image`; None if it was not wanted.
    square : ndarray of uint8, shape (side, side, 3), or None
        As from `decode_square`; None if it was not wanted.
    warning : str
        What is wrong with the file, in a sentence; ``""`` for a sound one.
    affected_share : float or None
        About how much of the picture that concerns, from 0 to `MAX_AFFECTED_SHARE`; None for a
        sound file.
    """

    image: np.ndarray | None
    square: np.ndarray | None
    warning: str
    affected_share: float | None


def decode_image(data: bytes, *, min_side: int | None = None) -> np.ndarray:
    """Decode a photograph.

    Parameters
    ----------
    data : bytes
        The content of a JPEG (also a phone's multi-picture one), PNG, WebP, HEIC, AVIF, JPEG 2000,
        BMP, TIFF (first page) or GIF (first frame) file; what it is called does not matter.
    min_side : int, optional
        What the photograph will be shrunk to. A JPEG much larger than that is decoded at 1/2, 1/4
        or 1/8 of its size, with both sides at least 1.4 times `min_side`: several times faster for
        a 12-megapixel photograph. One less than 2.8 times as large is decoded exactly. Default:
        full size.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
        RGB, upright (EXIF orientation applied), an embedded colour profile converted to sRGB,
        transparency on white, 16-bit and float grey scaled to 8 bits. C-contiguous and owned by
        the caller.

    Raises
    ------
    InvalidImageError
        If the bytes are no such image, are cut short, are damaged or no numbers in more than
        `MAX_AFFECTED_SHARE` of the picture, or exceed `MAX_BYTES` or `MAX_PIXELS`
        (`MAX_WEBP_PIXELS`, `MAX_JPEG2000_PIXELS`); the limits are checked before a pixel is
        decoded.

    Examples
    --------
    >>> decode_image(Path("photo.jpg").read_bytes()).shape  # doctest: +SKIP
    (183, 275, 3)
    """
    image = decode_photograph(data, min_side=min_side).image
    assert image is not None
    return image


def decode_square(data: bytes, side: int) -> np.ndarray:
    """Decode a photograph and resize it as a network sees it, without keeping the aspect ratio.

    Parameters
    ----------
    data : bytes
        See `decode_image`.
    side : int
        Side of the result in pixels.

    Returns
    -------
    ndarray of uint8, shape (side, side, 3)
        What ``resize_image(decode_image(data, min_side=side), side)`` gives, in less time: an
        ordinary photograph is resized before it is copied out of the decoder. Every way in uses
        this one recipe, so that a photograph has one answer.

    Raises
    ------
    InvalidImageError
        See `decode_image`.
    """
    square = decode_photograph(data, side=side, with_image=False).square
    assert square is not None
    return square


def decode_photograph(
    data: bytes,
    *,
    side: int | None = None,
    min_side: int | None = None,
    with_image: bool = True,
) -> DecodedPhotograph:
    """Decode a photograph for a network, for people, or for both, in as few passes as that takes.

    Parameters
    ----------
    data : bytes
        See `decode_image`.
    side : int, optional
        Also make the square of `decode_square`, which does not depend on the other parameters.
    min_side : int, optional
        Of the image, see `decode_image`.
    with_image : bool, default True
        Make the image of `decode_image`.

    Returns
    -------
    DecodedPhotograph

    Raises
    ------
    InvalidImageError
        See `decode_image`.
    """
    if len(data) == 0:
        raise InvalidImageError("The file is empty (0 bytes).", "empty")
    if len(data) > MAX_BYTES:
        raise too_large(len(data))
    try:
        try:
            return _decode(data, side, min_side, with_image)
        except ValueError as error:
            if not has_outsized_texts(data, error):
                raise
            return _decode(without_texts(data), side, min_side, with_image)
    except InvalidImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InvalidImageError(
            f"The image has far more than {MAX_PIXELS // 10**6} megapixels (a decompression "
            "bomb?); send a smaller version.",
            "too_many_pixels",
        ) from error
    # Decoders meet untrusted bytes here and raise whatever their arithmetic ends in: OSError,
    # SyntaxError, ValueError, RuntimeError, struct.error, EOFError, IndexError, MemoryError, …
    except Exception as error:
        raise explain_failure(data, error) from error


def _decode(
    data: bytes, side: int | None, min_side: int | None, with_image: bool
) -> DecodedPhotograph:
    square = image = None
    with _open(data) as opened:
        _check_dimensions(opened)
        profile = opened.info.get("icc_profile")
        reductions = [_reduction(opened, side), _reduction(opened, min_side)]
        with _ONE_LARGE if opened.width * opened.height > _LARGE_PIXELS else nullcontext():
            loaded, warning = _load(data, opened, reductions[side is None])
            orientation = _exif_orientation(opened)  # some decoders turn the picture themselves
            if side is not None:
                square = _square(loaded, orientation, profile, side)
            if with_image:
                if side is not None and reductions[0] != reductions[1]:
                    loaded, warning = _load(data, opened, reductions[1])
                image = to_upright_rgb(loaded, orientation, profile)
            share, told = _judge_jpeg(data, warning) if warning else _judge_numbers(loaded)
    return DecodedPhotograph(image, square, told, share)


def _open(data: bytes) -> Image.Image:
    """Open a picture without decoding it."""
    if data.startswith(_TIFF) or data[4:8] == b"ftyp":
        kind = identify_content(data)
        if kind.category == "image":  # camera raw, of which Pillow would read the small preview
            raise explain_failure(data, ValueError())
        if kind.description == _HEIC:
            _register_heic()
            return Image.open(io.BytesIO(data), formats=("HEIF",))
    return Image.open(io.BytesIO(data), formats=_FORMATS)


@functools.cache
def _register_heic() -> None:
    """Teach Pillow HEIC when it is first met: loading the library takes a tenth of a second."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)


def _reduction(image: Image.Image, side: int | None) -> int:
    """Return by how much the file is decoded smaller, for pictures of at least a side."""
    if side is None or image.format not in ("JPEG", "MPO"):
        return 1
    return reduction_for(image.size, round(side * _REDUCED_DECODING_MARGIN))


def _load(data: bytes, opened: Image.Image, reduction: int) -> tuple[Image.Image, str]:
    """Decode the pixels; also return the decoder's warning."""
    if opened.format not in ("JPEG", "MPO"):
        opened.load()
        return opened, ""
    try:
        return decode_jpeg(data, opened.mode, opened.size, reduction)
    except ValueError as error:  # a rare kind, a damaged header, or beyond repair: Pillow says
        image = Image.open(io.BytesIO(data), formats=("JPEG",))
        image.draft(None, (image.width // reduction, image.height // reduction))
        image.load()
        return image, str(error) if warns_of_damage(str(error)) else ""


def _square(image: Image.Image, orientation: int, profile: bytes | None, side: int) -> np.ndarray:
    if is_plain_rgb(image, orientation):
        return resize_image(to_rgb(image, profile), side)
    return resize_image(to_upright_rgb(image, orientation, profile), side)


def _judge_jpeg(data: bytes, warning: str) -> tuple[float, str]:
    """Say how much of a JPEG is affected by what its decoder warned of, or refuse it."""
    from har_core.images.damage.jpeg import affected_share  # few photographs need it

    share = affected_share(data)
    if share > MAX_AFFECTED_SHARE:
        raise refuse_affected(data, share, warning)
    much = f"about {max(share, 0.01):.0%}" if share else "little or nothing"
    return share, (
        f"The JPEG file is damaged, which concerns {much} of the picture ({warning}). Better "
        "download or copy it again."
    )


def _judge_numbers(image: Image.Image) -> tuple[float | None, str]:
    """Say how much of a picture of floats is NaN or infinite, or refuse it."""
    share = share_without_number(image)
    much = f"About {max(share, 0.01):.0%} of the picture's pixels hold no number (NaN or infinity)"
    if share > MAX_AFFECTED_SHARE:
        raise InvalidImageError(f"{much}. Export it again, best with 8 bits a channel.", "damaged")
    return (share, f"{much} and are shown black.") if share else (None, "")


def read_image_file(path: str | os.PathLike[str], *, min_side: int | None = None) -> np.ndarray:
    """Read and decode a photograph from a file; see `decode_image`.

    Raises
    ------
    InvalidImageError
        Also if the file does not exist, is no regular file, or cannot be read.
    """
    return decode_image(read_bytes(path), min_side=min_side)


def read_square(path: str | os.PathLike[str], side: int) -> np.ndarray:
    """Read a photograph from a file as a network sees it; see `decode_square`, `read_bytes`."""
    return decode_square(read_bytes(path), side)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a photograph's file.

    Raises
    ------
    InvalidImageError
        If the file does not exist, is no regular file, is larger than `MAX_BYTES`, or cannot be
        read.
    """
    try:
        file = Path(real_path(path))
        status = file.stat()
        # Reading a pipe or a device could wait for ever.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InvalidImageError(f"Cannot read {path}: it is {kind}.", "unreadable")
        if status.st_size > MAX_BYTES:
            raise too_large(status.st_size)
        return file.read_bytes()
    except OSError as error:
        message = f"Cannot read {path}: {error.strerror or error}."
        raise InvalidImageError(message, "unreadable") from error
    except ValueError as error:  # a NUL character in the path
        raise InvalidImageError(f"Cannot read {str(path)!r}: {error}.", "unreadable") from error


def too_large(n_bytes: int) -> InvalidImageError:
    """Return the error of a file of more than `MAX_BYTES`."""
    return InvalidImageError(
        f"The file has {n_bytes / 2**20:.1f} MB; at most {MAX_BYTES // 2**20} MB are read. "
        "Send a smaller version.",
        "too_large",
    )


def _check_dimensions(image: Image.Image) -> None:
    width, height = image.size
    limits = {"WEBP": (MAX_WEBP_PIXELS, "WebP"), "JPEG2000": (MAX_JPEG2000_PIXELS, "JPEG 2000")}
    limit, name = limits.get(image.format or "", (MAX_PIXELS, ""))
    if width * height > limit:
        of_format = f" of a {name}" if name else ""
        raise InvalidImageError(
            f"The image has {width} × {height} pixels ({width * height / 1e6:.0f} megapixels); "
            f"at most {limit // 10**6} megapixels{of_format} are decoded. Send a smaller version.",
            "too_many_pixels",
        )


def _exif_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; broken EXIF counts as none."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # Pillow's EXIF parser fails like its image parsers, see `decode_image`
        return 1
    return orientation if isinstance(orientation, int) else 1
