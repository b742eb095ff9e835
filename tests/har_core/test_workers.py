"""Ctrl-C goes to all processes of a terminal, and no worker says anything of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Python runs it as it starts; the server that workers are forked from takes its time here.
_SLOW_START = """
import pathlib, sys, time
if "forkserver" in " ".join(sys.orig_argv):
    pathlib.Path(__file__).with_name("beginning").touch()
    time.sleep(1)
"""
_PROGRAM = """
import os, pathlib, signal, sys, threading, time
from har_core.scan.scanning import _make_executor
from har_core.workers import ctrl_c_held_back

def interrupt(moment):
    while not moment.exists():
        time.sleep(0.01)
    os.killpg(0, signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=interrupt, args=[pathlib.Path(sys.argv[1])], daemon=True).start()
try:
    with _make_executor(2, 10_000) as executor:
        with ctrl_c_held_back():
            begun = executor.submit(pathlib.Path("at work").touch)
        begun.result()
        executor.submit(time.sleep, 60).result()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("moment", ["beginning", "at work"])
def test_workers_end_at_ctrl_c_without_a_traceback(moment: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(_SLOW_START)
    project = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, moment],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{project}"},
        start_new_session=True,
    )
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
