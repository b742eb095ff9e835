"""Run the command line: ``har COMMAND`` and ``python -m har_core COMMAND``."""

import sys


def main() -> None:
    """Run it; Ctrl-C ends also what is still being imported with a word and our exit code."""
    try:
        from har_core.cli.main import main as run

        run()
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
