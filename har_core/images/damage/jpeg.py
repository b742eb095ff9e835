"""How much of a damaged JPEG still shows what it should.

Decoders go on behind damage: with grey where data are missing, with false colours and shifted
blocks where they are wrong. Walking through the Huffman codes, without computing a pixel, tells
from where on that is so: a code that does not exist, a block with more than 64 coefficients, an
average brighter than white. ITU-T T.81, annexes B, C and F, describes the format.
"""

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

# At 0.3 s a megabyte; what lies behind is not looked at.
_MAX_WALKED_BYTES: Final = 8 * 2**20
_SEGMENT_BYTES: Final = 300  # take as long as beginning with a segment
_CHUNK_BYTES: Final = 2**18
# Ten blocks of 64 coefficients of at most 26 bits.
_MAX_UNIT_BYTES: Final = 10 * 64 * 26 // 8
_BLOCK: Final = 64
_END_OF_BLOCK: Final = 256
_NO_CODE: Final = 4096
_MAX_DC_BITS: Final = 11
_MAX_AVERAGE: Final = 1024
_SEQUENTIAL: Final = (0xC0, 0xC1)
_PROGRESSIVE: Final = 0xC2
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_START_OF_SCAN: Final = b"\xff\xda"
_METADATA: Final = (*range(0xE0, 0xF0), 0xFE)


def affected_share(data: bytes) -> float:
    """Estimate which share of a JPEG's picture is not what it should be.

    Parameters
    ----------
    data : bytes
        Content of a JPEG file, of whose damage the decoder has warned.

    Returns
    -------
    float
        In [0, 1]: the blocks from the first impossible one on, up to the next restart marker. 0 if
        there is none, as with superfluous bytes behind the picture, and for a progressive JPEG
        whose first scan is complete, which shows everything with less detail. 1 if it cannot be
        told.
    """
    try:
        header = _read_header(data)
        if header.process == _PROGRESSIVE:
            return 0.0 if data.find(_START_OF_SCAN, header.end) > 0 else 1.0
        return _walk(data, header)
    except (struct.error, IndexError, KeyError, ValueError, ZeroDivisionError):
        return 1.0


class _Component(NamedTuple):
    across: int
    down: int
    quantisation: int


class _Block(NamedTuple):
    """What a block of one component is decoded with, tables by the next 16 bits."""

    component: int
    dc_bits: Sequence[int]
    dc_sizes: Sequence[int]
    ac_bits: Sequence[int]
    ac_steps: Sequence[int]
    highest: int


@dataclass
class _Header:
    process: int = 0
    height: int = 0
    width: int = 0
    restart_interval: int = 0
    components: dict[int, _Component] = field(default_factory=dict)
    codes: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    averages: dict[int, int] = field(default_factory=dict)
    scan: list[tuple[int, int, int]] = field(default_factory=list)
    end: int = 0


def _read_header(data: bytes) -> _Header:
    """Read the segments up to the first scan (annex B)."""
    header = _Header()
    position = 2
    matters = False
    while True:
        found = data.index(b"\xff", position)  # as libjpeg does, which passes over the rest
        if matters and data[position:found].strip(b"\0"):
            raise ValueError("A segment is longer than it says: what it holds is shifted.")
        position = found
        marker = data[position + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:
            position += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, position + 2)
        body = data[position + 4 : position + 2 + length]
        position += 2 + length
        matters = marker not in _METADATA
        if marker == 0xC4:
            while body:
                n_codes = sum(body[1:17])
                header.codes[body[0]] = (body[1:17], body[17 : 17 + n_codes])
                body = body[17 + n_codes :]
        elif marker == 0xDB:
            while body:
                size = 1 + (body[0] >> 4)
                header.averages[body[0] & 15] = int.from_bytes(body[1 : 1 + size], "big")
                body = body[1 + _BLOCK * size :]
        elif marker == 0xDD:
            (header.restart_interval,) = struct.unpack(">H", body)
        elif marker in (*_SEQUENTIAL, _PROGRESSIVE):
            header.process = marker
            header.height, header.width = struct.unpack_from(">HH", body, 1)
            for at in range(6, 6 + 3 * body[5], 3):
                sampling = body[at + 1]
                header.components[body[at]] = _Component(sampling >> 4, sampling & 15, body[at + 2])
        elif marker == 0xDA:
            rows = [body[at : at + 2] for at in range(1, 1 + 2 * body[0], 2)]
            header.scan = [(row[0], row[1] >> 4, row[1] & 15) for row in rows]
            header.end = position
            return header


def _walk(data: bytes, header: _Header) -> float:
    """Return the share of a sequential JPEG's units (MCUs) that are affected."""
    if header.process not in _SEQUENTIAL or len(header.scan) != len(header.components):
        return 1.0
    widest = max(component.across for component in header.components.values())
    tallest = max(component.down for component in header.components.values())
    if len(header.scan) == 1:  # one block at a time, whatever the sampling (A.2.2)
        widest = tallest = 1
    n_units = -(-header.height // (8 * tallest)) * -(-header.width // (8 * widest))
    blocks = _blocks(header)
    marker = _MARKER.search(data, header.end)
    scan = data[header.end : marker.start() if marker else len(data)]
    interval = header.restart_interval or n_units
    sound = begun = walked = 0
    for segment in _RESTART.split(scan, n_units // interval + 1):
        expected = min(interval, n_units - begun)
        begun += expected
        if not expected:  # more of them than the picture has
            break
        if walked > _MAX_WALKED_BYTES:
            sound += expected
            continue
        walked += len(segment) + _SEGMENT_BYTES
        sound += _sound_units(segment.replace(b"\xff\0", b"\xff"), expected, blocks)
    return 1 - sound / n_units


def _blocks(header: _Header) -> list[_Block]:
    tables = {number: _decoding_table(*codes) for number, codes in header.codes.items()}
    blocks = []
    for number, (name, dc, ac) in enumerate(header.scan):
        component = header.components[name]
        dc_bits, symbols = tables[dc]
        ac_bits, ac_symbols = tables[16 + ac]
        highest = _MAX_AVERAGE // header.averages[component.quantisation] + 2
        block = _Block(
            number,
            dc_bits.tolist(),
            np.where(symbols <= _MAX_DC_BITS, symbols, _NO_CODE).tolist(),
            np.where(ac_bits > 0, ac_bits + (ac_symbols & 15), 0).tolist(),
            _steps(ac_symbols).tolist(),
            highest,
        )
        alone = len(header.scan) == 1
        blocks += [block] * (1 if alone else component.across * component.down)
    return blocks


def _decoding_table(counts: bytes, symbols: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the length and the symbol of the code that 16 bits begin with, both (65536,)."""
    bits = np.zeros(65536, np.int64)
    found = np.full(65536, _NO_CODE, np.int64)
    start = at = 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[at : at + count]:
            bits[start : start + (1 << (16 - length))] = length
            found[start : start + (1 << (16 - length))] = symbol
            start += 1 << (16 - length)
        at += count
    return bits, found


def _steps(symbols: np.ndarray) -> np.ndarray:
    """Return by how many coefficients each symbol of an AC table leads on (F.1.2.2)."""
    run, size = symbols >> 4, symbols & 15
    steps = np.where(size > 0, run + 1, np.where(run == 15, 16, _END_OF_BLOCK))
    return np.where(symbols == _NO_CODE, _NO_CODE, steps)


def _sound_units(segment: bytes, expected: int, blocks: Sequence[_Block]) -> int:
    """Walk through one restart interval; return how many units come before the first fault."""
    averages = [0] * (1 + max(block.component for block in blocks))
    start = position = 0
    window, left = _bits_at(segment, start)
    for unit in range(expected):
        if position > 8 * (_CHUNK_BYTES - _MAX_UNIT_BYTES):
            start += position >> 3
            if start > _MAX_WALKED_BYTES:
                return expected
            position &= 7
            window, left = _bits_at(segment, start)
        for component, dc_bits, dc_sizes, ac_bits, ac_steps, highest in blocks:
            if position >= left:
                return unit
            bits = window[position]
            size = dc_sizes[bits]
            if size == _NO_CODE:
                return unit
            position += dc_bits[bits]
            if size:
                if position >= left:
                    return unit
                change = window[position] >> (16 - size)
                if not change >> (size - 1):  # the sign (F.2.2.1)
                    change -= (1 << size) - 1
                averages[component] += change
                if abs(averages[component]) > highest:
                    return unit
                position += size
            coefficient = 1
            while coefficient < _BLOCK:
                if position >= left:
                    return unit
                bits = window[position]
                coefficient += ac_steps[bits]
                position += ac_bits[bits]
            if _BLOCK < coefficient < _END_OF_BLOCK or coefficient >= _NO_CODE:
                return unit
    return expected


def _bits_at(segment: bytes, start: int) -> tuple[memoryview, int]:
    """Return the 16 bits at each of the next positions, and how many positions hold data."""
    chunk = segment[start : start + _CHUNK_BYTES]
    padded = np.frombuffer(chunk + bytes(2), np.uint8).astype(np.uint32)
    wide = (padded[:-2] << 16) | (padded[1:-1] << 8) | padded[2:]
    window = np.empty((len(chunk), 8), np.uint16)
    for shift in range(8):
        window[:, shift] = (wide >> (8 - shift)) & 0xFFFF
    return window.reshape(-1).data, 8 * len(chunk)
