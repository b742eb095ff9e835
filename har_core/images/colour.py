"""Embedded colour profiles: the colours that they mean, in sRGB."""

import io
from functools import cache, lru_cache
from typing import Final

import numpy as np
from PIL import Image, ImageCms

# Profiles of presses have some 3 MB; a larger one is no photograph's.
_MAX_PROFILE_BYTES: Final = 4 * 2**20
_REMEMBERED: Final = 16
_SPACES: Final = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}
# sRGB profiles of different makers differ by rounding.
_SAME_LEVELS: Final = 2
_LEVELS: Final = np.arange(0, 256, 51, dtype=np.uint8)


def colour_transform(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return what turns a picture's colours into sRGB.

    Parameters
    ----------
    profile : bytes or None
        ICC profile, as embedded in a file.
    mode : {"RGB", "L", "CMYK"}
        Pillow's mode of the picture.

    Returns
    -------
    ImageCmsTransform or None
        From `mode` to RGB, usable from several threads. None where nothing is to be done: without
        a profile, with one of sRGB, and with one that is damaged or of another kind of picture,
        which is ignored, as browsers do.
    """
    if not profile or len(profile) > _MAX_PROFILE_BYTES:
        return None
    return _transform(profile, mode)


@lru_cache(_REMEMBERED)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != _SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(source, _srgb(), mode, "RGB")
    # Little CMS reads untrusted bytes here; Pillow passes on whatever that ends in.
    except Exception:
        return None
    return None if _changes_nothing(transform, mode) else transform


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    if mode == "CMYK":
        return False
    channels = len(mode)
    colours = np.stack(np.meshgrid(*[_LEVELS] * channels), axis=-1).reshape(1, -1, channels)
    plain = Image.fromarray(colours if mode == "RGB" else colours[..., 0])
    changed = np.asarray(transform.apply(plain)).astype(int)
    return bool(np.abs(changed - np.asarray(plain.convert("RGB"))).max() <= _SAME_LEVELS)
