"""How long work says how far it is."""

from collections.abc import Callable
from typing import Any

# Called with what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]
# Called with each row of a training's log.
EpochReport = Callable[[dict[str, Any]], None]


def silent(*_: object) -> None:
    """Tell nobody: what work that nobody follows reports to."""
