"""The command line ``har``: one file per group of commands.

What a command computes with is imported inside it: pandas would slow down every other command.
"""

from har_core.cli.main import main

__all__ = ["main"]
