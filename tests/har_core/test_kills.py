"""Whatever is killed while it writes leaves its old state or the new one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kills.operations import OPERATIONS

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def states():
    """Return what is found after each kill, by the name of the operation."""
    # A process of its own has no threads that a fork would lose.
    command = [sys.executable, "-m", "tests.kills", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if "ptrace failed" in done.stderr:
        pytest.skip("this system does not let a process trace its child")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="writes are found with Linux's ptrace")
@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_kill_at_any_write_leaves_the_old_state_or_the_new(states, name):
    *after_kills, finished = states[name]
    assert finished == "new"
    assert len(after_kills) >= 5
    before = "none" if name.startswith("a first") else "old"
    assert after_kills == sorted(after_kills, key=[before, "new"].index)
