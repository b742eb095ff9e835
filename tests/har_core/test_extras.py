import os
import re
import subprocess
import sys
import threading

import pytest

from har_core.extras import _without

SAID = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795782689.312045   12936 cudart_stub.cc:31] Could not find cuda drivers on your machine
a line that somebody needs
I0000 00:00:1795869999.631675   17916 port.cc:153] oneDNN custom operations are on. You may see
E0000 00:00:1795782708.175831   12936 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA
"""
KERAS = f"""
import contextlib, os
with contextlib.suppress(OSError):
    os.write(2, {SAID!r})
class backend:
    backend = lambda: "jax"
"""


@pytest.mark.parametrize(
    ("before", "left"), [("", b"a line that somebody needs\n"), ("os.close(2)", b"")]
)
def test_only_what_machines_are_like_is_not_spoken_of(tmp_path, before, left):
    (tmp_path / "keras.py").write_text(KERAS)
    code = f"import os\n{before}\nfrom har_core.extras import load_keras\nload_keras()"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert ran.returncode == 0
    assert ran.stderr == left


def test_stderr_comes_back_after_two_threads_at_once(capfd):
    entered, left = threading.Event(), threading.Event()

    def second() -> None:
        with _without(re.compile(b"nothing")):
            entered.set()
            left.wait(10)

    other = threading.Thread(target=second)
    with _without(re.compile(b"nothing")):
        other.start()
        entered.wait(0.2)  # which it must not do now
    left.set()
    other.join()
    os.write(2, b"heard")
    assert capfd.readouterr().err == "heard"


# ONNX's C++ makes its enumerations by Python's code.
INTERRUPTED = """
import enum, os, signal, sys
make = enum.EnumType.__new__

def interrupted(kind, name, *rest, **more):
    if rest[1].get("__module__", "").startswith("onnx.onnx_cpp2py_export"):
        os.kill(os.getpid(), signal.SIGTERM)
    return make(kind, name, *rest, **more)

enum.EnumType.__new__ = interrupted
signal.signal(signal.SIGTERM, signal.default_int_handler)
from har_core.extras import load_onnx
try:
    load_onnx()
except KeyboardInterrupt:
    print("onnx" in sys.modules)
"""


def test_an_interrupt_waits_until_onnx_is_loaded():
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "True\n", "")
