"""Decodes inputs in a process of its own and measures what each costs, even if that one dies."""

import contextlib
import ctypes
import multiprocessing
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import numpy as np

from har_core.errors import InvalidImageError
from har_core.images.decoding import decode_image
from tests.fuzz.mutations import make_input

HANG_AFTER_S: Final = 60


@dataclass(frozen=True)
class Measured:
    """What became of one input.

    Parameters
    ----------
    number : int
        With the seed it makes the input again: ``make_input(seed, number)``.
    description : str
        Of the input.
    outcome : str
        ``"pixels"``, the reason of an `InvalidImageError`, or what must never happen: any other
        error, ``"hung"``, ``"died"``.
    seconds : float
        Processor time.
    megabytes : float
        Highest memory during decoding above the one before.
    """

    number: int
    description: str
    outcome: str
    seconds: float
    megabytes: float

    @property
    def is_allowed(self) -> bool:
        """Whether the input ended as promised, whatever it cost."""
        return not self.outcome.startswith(("hung", "died", "error"))


def measure(seed: int, number: int) -> Measured:
    """Make an input, decode it here, and measure that."""
    description, data = make_input(seed, number)
    # Full size, and reduced to what the network needs.
    return measure_decoding(data, None if number % 3 else 224, number, description)


def measure_decoding(
    data: bytes, min_side: int | None = None, number: int = 0, description: str = ""
) -> Measured:
    """Decode a file's content here and measure that."""
    before = _reset_peak()
    start = time.process_time()
    outcome = _decode(data, min_side)
    seconds = time.process_time() - start
    return Measured(number, description, outcome, seconds, max(_peak() - before, 0.0))


def _decode(data: bytes, min_side: int | None) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pixels = decode_image(data, min_side=min_side)
    except InvalidImageError as error:
        return error.reason if str(error).endswith(".") else f"error: message {str(error)!r}"
    except Exception as error:
        return f"error: {error!r}"
    right = pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size
    return "pixels" if right else f"error: {pixels.dtype} {pixels.shape}"


def measure_all(seed: int, inputs: int) -> Iterator[Measured]:
    """Measure inputs 0 … `inputs` - 1; one that hangs or kills its process is told as such."""
    context = multiprocessing.get_context("spawn")
    number = 0
    while number < inputs:
        receiver, sender = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(sender, seed, number, inputs), daemon=True)
        worker.start()
        sender.close()
        while number < inputs:
            try:
                outcome = "" if receiver.poll(HANG_AFTER_S) else "hung"
                measured = None if outcome else receiver.recv()
            except EOFError:
                worker.join()
                outcome, measured = f"died: exit code {worker.exitcode}", None
            if measured is None:
                yield Measured(number, make_input(seed, number)[0], outcome, np.nan, np.nan)
            else:
                yield measured
            number += 1
            if measured is None:
                break  # the next worker goes on behind it
        worker.kill()
        worker.join()


def _work(sender: Connection, seed: int, start: int, stop: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff reports every fault there
    for number in range(start, stop):
        sender.send(measure(seed, number))


def _reset_peak() -> float:
    """Forget the highest memory so far; return the memory now, in MB."""
    # What earlier inputs have freed goes back to the system, or it would hide what this one takes.
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): resets VmHWM
    return _status_mb("VmRSS")


def _peak() -> float:
    return _status_mb("VmHWM")


def _status_mb(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {field}")
