"""Forget the packages that were not written whole, so that pip installs them again.

pip takes a package for installed once its name is there, and it may be there before its files.
"""

import csv
import shutil
import sysconfig
from pathlib import Path


def is_whole(package: Path) -> bool:
    """Return whether all files that a package's record names are there, as long as it says."""
    record = package / "RECORD"
    if not record.is_file():
        return False
    with record.open(newline="", encoding="utf-8") as lines:
        for name, _, size in csv.reader(lines):
            file = package.parent / name
            if size and not (file.is_file() and file.stat().st_size == int(size)):
                return False
    return True


for package in Path(sysconfig.get_path("purelib")).glob("*.dist-info"):
    if not is_whole(package):
        print(f"Installing again what was interrupted: {package.stem}")
        shutil.rmtree(package)
