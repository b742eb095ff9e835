"""``python -m tests.kills``: SIGKILL every operation before each of its writes, and look.

With ``--json`` the states found are printed as JSON.
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


def main(as_json: bool) -> None:
    """Kill all operations, and print what was found."""
    found = {}
    for name, operation in OPERATIONS.items():
        with tempfile.TemporaryDirectory() as root:
            found[name] = states_after_kills(operation, Path(root))
        if not as_json:
            counts = dict(Counter(found[name][:-1]))
            print(f"{name}: {len(found[name]) - 1} kills, {counts}")
    if as_json:
        print(json.dumps(found))


if __name__ == "__main__":
    main("--json" in sys.argv)
