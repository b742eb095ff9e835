"""The command line ``har``: one file per group of commands."""

from har_core.cli.main import main

__all__ = ["main"]
