"""What the end of a command tells a script."""

from enum import IntEnum, unique


@unique
class ExitCode(IntEnum):
    """The exit codes of every command; the README and each command's help explain them."""

    SUCCESS = 0
    """All that was asked for was done, and nothing is wrong."""

    INCOMPLETE = 1
    """It was done, but some inputs could not be used; of `scan`: something was found."""

    UNUSABLE = 2
    """Nothing could be done: wrong usage, bad input, a set-up that does not hold; or Ctrl-C."""
