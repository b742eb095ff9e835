"""How long work says how far it is."""

from collections.abc import Callable
from typing import Any, Self

# Called with what is being done, how much of it is done, and of how much.
Progress = Callable[[str, int, int], None]
# Called with each row of a training's log.
EpochReport = Callable[[dict[str, Any]], None]


class Epoch(str):
    """An epoch as what is being done: words for people, with the same as fields for programs.

    Attributes
    ----------
    fields : dict of str to object
        ``stage``, ``epoch`` and ``epochs``, called as in the training's log.
    """

    fields: dict[str, Any]

    def __new__(cls, stage: str, number: int, *, of: int) -> Self:
        """Make the words of an epoch of a stage; the first is number 1."""
        epoch = super().__new__(cls, f"{stage} epoch {number}/{of}")
        epoch.fields = {"stage": stage, "epoch": number, "epochs": of}
        return epoch


def silent(*_: object) -> None:
    """Tell nobody: what work that nobody follows reports to."""
