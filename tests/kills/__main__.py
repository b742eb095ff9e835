"""``python -m tests.kills``: SIGKILL every operation before each of its writes, and look.

With the name of an operation only that one is killed, and the states found are printed as JSON.
"""

import json
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.kills.operations import OPERATIONS, Operation, use_folder
from tests.kills.tracing import run_killed


def states_after_kills(operation: Operation, root: Path) -> list[str]:
    """Return what is found after a kill before write 1, 2, … and at last after none."""
    states: list[str] = []
    killed = True
    while killed:
        folder = root / str(len(states))
        folder.mkdir()
        use_folder(folder)
        operation.prepare(folder)
        killed = run_killed(lambda folder=folder: operation.write(folder), len(states) + 1)
        states.append(operation.read(folder))
        operation.write(folder)  # what a kill leaves behind is in nobody's way
        assert operation.read(folder) == "new"
    return states


def main(names: list[str]) -> None:
    """Kill the named operation, or all."""
    for name in names or OPERATIONS:
        with tempfile.TemporaryDirectory() as root:
            states = states_after_kills(OPERATIONS[name], Path(root))
        if names:
            print(json.dumps(states))
        else:
            print(f"{name}: {len(states) - 1} kills, {dict(Counter(states[:-1]))}")


if __name__ == "__main__":
    main(sys.argv[1:])
