"""Damage as disks, networks and attackers do it; every input follows from a seed and its number."""

import struct
import zlib
from typing import Final

import numpy as np

from har_core.images.decoding import MAX_BYTES
from tests.fuzz.corpus import HEAVY, heavy_file, nested_exif_files, small_files

_ABSURD: Final = (0, 1, 2, 255, 256, 32767, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# One input in so many is as large, or unpacks to as much, as is allowed; these take a second.
_NOISE_EVERY: Final = 400
_HEAVY_EVERY: Final = 200


def make_input(seed: int, number: int) -> tuple[str, bytes]:
    """Return what an input is and its bytes; the same for the same seed and number."""
    rng = np.random.default_rng([seed, number])
    if number % _NOISE_EVERY == 0:
        return _noise(rng)
    if number % _HEAVY_EVERY == 1:
        name = sorted(HEAVY)[number // _HEAVY_EVERY % len(HEAVY)]
        data = heavy_file(name)
        return (name, data) if rng.random() < 0.5 else (f"{name}, damaged", _damage(data, rng))
    if number % 50 == 2:
        return "jpeg with hostile exif", next(nested_exif_files(rng))
    if number % 500 == 3:
        return "empty", b""
    files = small_files()
    name = sorted(files)[int(rng.integers(len(files)))]
    kind = rng.random()
    if kind < 0.15:
        other = sorted(files)[int(rng.integers(len(files)))]
        return f"{name} with the header of {other}", _swap_header(files[name], files[other], rng)
    if kind < 0.40:
        return f"{name} with absurd fields", _set_absurd_fields(files[name], rng)
    data = files[name]
    for _ in range(int(rng.integers(1, 4))):
        data = _damage(data, rng)
    return f"{name}, damaged", data


def _damage(data: bytes, rng: np.random.Generator) -> bytes:
    if not data:
        return data
    damaged = bytearray(data)
    # Half of the damage hits the header, where the parsers decide most.
    span = len(damaged) if rng.random() < 0.5 else min(len(damaged), 128)
    start = int(rng.integers(0, span))
    length = int(rng.integers(1, 16))
    kind = rng.integers(0, 7)
    if kind == 0:
        return bytes(damaged[:start])
    if kind == 1:
        del damaged[start : start + length]
    elif kind == 2:
        damaged[start:start] = rng.bytes(length)
    elif kind == 3:
        damaged[start : start + length] = rng.choice([b"\0", b"\xff", b"\x7f"]) * length
    elif kind == 4:
        damaged[start:] = damaged[: len(damaged) - start]
    elif kind == 5:
        end = min(len(damaged), start + int(rng.integers(1, 2000)))
        damaged[end:end] = damaged[start:end] * int(rng.integers(1, 20))
    else:
        for position in rng.integers(0, span, length):
            damaged[position] ^= 1 << int(rng.integers(0, 8))
    return _perhaps_sealed(bytes(damaged), rng)


def _swap_header(data: bytes, other: bytes, rng: np.random.Generator) -> bytes:
    length = int(rng.integers(2, min(len(data), len(other), 200)))
    return other[:length] + data[length if rng.random() < 0.5 else 0 :]


def _set_absurd_fields(data: bytes, rng: np.random.Generator) -> bytes:
    """Overwrite two- and four-byte fields of the header with the values that parsers trip over."""
    damaged = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = int(rng.choice([2, 4]))
        start = int(rng.integers(0, min(len(damaged), 200) - size))
        value = int(rng.choice(_ABSURD)) % 2 ** (8 * size)
        order = "little" if rng.random() < 0.5 else "big"
        damaged[start : start + size] = value.to_bytes(size, order)
    return _perhaps_sealed(bytes(damaged), rng)


def _perhaps_sealed(data: bytes, rng: np.random.Generator) -> bytes:
    """Repair the checksums of a damaged PNG half of the time, so that its content is looked at."""
    if not data.startswith(_PNG_SIGNATURE) or rng.random() < 0.5 or len(data) > 2**20:
        return data
    sealed, position = bytearray(data), len(_PNG_SIGNATURE)
    while position + 12 <= len(sealed):
        (length,) = struct.unpack_from(">I", sealed, position)
        end = position + 8 + length
        if end + 4 > len(sealed):
            break
        struct.pack_into(">I", sealed, end, zlib.crc32(sealed[position + 4 : end]))
        position = end + 4
    return bytes(sealed)


def _noise(rng: np.random.Generator) -> tuple[str, bytes]:
    """Return 20 MB of noise, bare or behind the beginning of a picture."""
    noise = rng.bytes(MAX_BYTES - 4096)
    kind = int(rng.integers(0, 3))
    if kind == 0:
        return "20 MB of noise", noise
    files = small_files()
    name = sorted(files)[int(rng.integers(len(files)))]
    data = files[name][:4096]
    if kind == 1:
        return f"20 MB of noise behind the beginning of {name}", data[: len(data) // 2] + noise
    return f"20 MB of noise behind {name}", data + noise
