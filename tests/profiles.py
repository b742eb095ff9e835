"""Colour profiles, written by hand so that tests need no one else's."""

import struct

# Primaries adapted to D50: Display P3 (SMPTE EG 432-1), Adobe RGB (1998).
P3 = ((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407))
ADOBE = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
D50 = (0.9642, 1.0, 0.8249)


def fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Write an ICC profile (version 2, ICC.1:2001-04)."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", 2) + b"x\0" + bytes(78), **tags}
    table, data = struct.pack(">I", len(tags)), b""
    offset = 132 + 12 * len(tags)
    for name, body in tags.items():
        padded = body + bytes(-len(body) % 4)
        table += name + struct.pack(">II", offset + len(data), len(body))
        data += padded
    white = b"".join(map(fixed, D50))
    head = struct.pack(
        ">I4sI4s4s4s12s4s28s12s48x",
        *(offset + len(data), b"lcms", 0x02400000, b"mntr", space, b"XYZ ", bytes(12), b"acsp"),
        *(bytes(28), white),
    )
    return head + table + data


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(fixed, values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def rgb_profile(primaries, exponent: float) -> bytes:
    tags = {b"wtpt": xyz(D50), b"cprt": b"text\0\0\0\0CC0\0"}
    for letter, primary in zip(b"rgb", primaries, strict=True):
        tags[bytes([letter]) + b"XYZ"] = xyz(primary)
        tags[bytes([letter]) + b"TRC"] = gamma(exponent)
    return profile(b"RGB ", tags)
