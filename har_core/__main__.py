"""Run the command line: ``python -m har_core COMMAND``."""

from har_core.cli.main import main

if __name__ == "__main__":
    main()
