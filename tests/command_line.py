"""Runs the command line inside the tests' process, where its modules are loaded already.

What only a process shows (its exit code, its streams, what it imports) is tried by a few tests that
start one.
"""

import contextlib
import io
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from har_core.cli import main


@dataclass(frozen=True)
class Ended:
    """What a command left: its exit code and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def har(*arguments: object, stdin: bytes = b"", folder: Path | None = None) -> Ended:
    """Run ``har ARGUMENTS`` in a folder, as `subprocess.run` would."""
    streams = [io.TextIOWrapper(io.BytesIO(given), "utf-8") for given in (stdin, b"", b"")]
    on_termination = signal.getsignal(signal.SIGTERM)
    code: object = 0
    with pytest.MonkeyPatch.context() as patch:
        if folder is not None:
            patch.chdir(folder)
        patch.setattr(sys, "argv", ["har", *map(str, arguments)])
        patch.setattr(sys, "stdin", streams[0])
        with contextlib.redirect_stdout(streams[1]), contextlib.redirect_stderr(streams[2]):
            try:
                main()
            except SystemExit as ended:
                code = ended.code or 0
    signal.signal(signal.SIGTERM, on_termination)
    assert isinstance(code, int)
    for stream in streams[1:]:
        stream.flush()
    written = [stream.buffer.getvalue().decode() for stream in streams[1:]]  # type: ignore[attr-defined]
    return Ended(code, *written)
