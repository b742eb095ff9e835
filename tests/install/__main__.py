"""Install the program as its users do, and try everything there that needs no TensorFlow.

    python -m tests.install [--python python3.13]

Builds the wheel and installs it into a fresh environment with the very commands of the Dockerfile,
from what `.dockerignore` lets in, and works in an empty folder. Takes a minute or two, most of it
for downloading and unpacking the packages.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from tests.install.image import copy_context, read_dockerfile
from tests.install.trial import Installation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="Interpreter to install into.")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="har-install-"))
    try:
        image = read_dockerfile()
        context = copy_context(folder / "context")
        installation = Installation(folder, options.python)
        installation.build(context, image.run("pip wheel"), image.run("pip install"))
        installation.try_packages()
        installation.try_commands()
        installation.try_server(image)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
