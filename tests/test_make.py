"""`make` in the environments that newcomers have: other Pythons, moved folders, odd variables."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_packaging import METADATA

PROJECT = Path(__file__).parents[1]
# Answers as a whole environment does, but can install nothing.
CANNOT_INSTALL = """#!/bin/sh
case "$*" in *install*) echo "ERROR: no network"; exit 1 ;; *--version*) exit 0 ;; esac
exec {python} "$@"
"""
NAMED_OTHERWISE = """#!/bin/sh
exec {python} -c 'import sys; sys.version_info = ({version}); exec(sys.argv[1])' "$2"
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a folder with what `make` reads, whose name needs quotation marks."""
    folder = tmp_path / "It's a folder"
    shutil.copytree(PROJECT / ".ci", folder / ".ci")
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(PROJECT / name, folder)
    return folder


def make(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["make", *words],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )


def program(path: Path, text: str, **words: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(python=shlex.quote(sys.executable), **words))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("same", [True, False])
def test_another_python_gets_an_environment_beside_the_first(clone: Path, same: bool) -> None:
    mine = "{}.{}".format(*sys.version_info)
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", f"python{mine}" if same else "python2.7"):
        (programs / name).touch()
    told = make(clone, "--dry-run", "test", f"PYTHON={Path(sys.executable).name}").stdout
    place = f".venv{'' if same else f'-{mine}'}"
    assert f"-m venv --clear {place};" in told
    assert f"\n{place}/bin/python -m pytest" in told


@pytest.mark.parametrize("version", ["3, 10", "3, 14"])
def test_a_python_without_tensorflow_is_refused_with_those_that_have_it(
    clone: Path, version: str
) -> None:
    python = program(clone / "other" / "python3", NAMED_OTHERWISE, version=version)
    told = make(clone, "run", PATH=f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}")
    assert told.returncode == 2
    *others, last = [c.split(" :: ")[-1] for c in METADATA["classifiers"] if " 3." in c]
    assert told.stdout == (
        f"Python {', '.join(others)} or {last} is needed; try: make PYTHON=python{last} run\n"
    )
    assert not (clone / ".venv").exists()


def test_what_cannot_be_installed_says_what_it_takes(clone: Path) -> None:
    program(clone / ".venv" / "bin" / "python", CANNOT_INSTALL)
    told = make(clone, "run", TMPDIR="/small")
    assert told.returncode == 2
    reason, *advice = told.stdout.splitlines()
    assert reason == "ERROR: no network"
    assert "HTTPS_PROXY" in advice[0] and "in /small. 'make run' goes on." in advice[0]
    assert len(advice) == 1
    assert not (clone / ".venv" / ".installed").exists()


def test_an_environment_is_made_anew_in_another_folder_or_for_another_python(clone: Path) -> None:
    installed = clone / ".venv" / ".installed"
    program(clone / ".venv" / "bin" / "python", CANNOT_INSTALL)
    written = f"{os.fsencode(clone.resolve())!r} {sys.version_info[:2]}\n"
    for kept in (written, ""):  # an older one says nothing
        installed.write_text(kept)
        assert make(clone, "install").stdout == "make: Nothing to be done for 'install'.\n"
    for other in (written.replace("(3, ", "(2, "), written.replace("folder", "place")):
        installed.write_text(other)
        told = make(clone, "--dry-run", "install").stdout
        assert re.search(r"^false \|\| .* -m venv --clear \.venv; \}$", told, re.MULTILINE)


def test_the_environment_is_not_made_of_what_variables_name(clone: Path) -> None:
    odd = dict.fromkeys(("PYTHONHOME", "PYTHONPATH", "PIP_TARGET", "PIP_PREFIX"), "/odd")
    shown = make(clone, "--eval=shown: ; @env", "shown", PIP_USER="1", HOST="odd", **odd).stdout
    assert not odd.keys() & {line.partition("=")[0] for line in shown.splitlines()}
    assert "\nPIP_USER=0\n" in f"\n{shown}"
    assert "--host localhost" in make(clone, "--dry-run", "run", HOST="this.machine").stdout


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ("a.py,,3\nlost.py,,3\n", False),
        ("a.py,,30\n", False),
        (None, False),
        ("a.py,sha256=x,3\nb/c.pyc,,\na-1.dist-info/RECORD,,\n", True),
    ],
)
def test_a_package_that_was_not_written_whole_is_installed_again(
    tmp_path: Path, record: str | None, kept: bool
) -> None:
    package = tmp_path / "a-1.dist-info"
    package.mkdir()
    (tmp_path / "a.py").write_text("a=1")
    if record is not None:
        (package / "RECORD").write_text(record)
    script = (PROJECT / ".ci" / "interrupted.py").read_text()
    code = f"import sysconfig; sysconfig.get_path = lambda name: {str(tmp_path)!r}\n{script}"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert package.exists() == kept
    assert ("a-1" in told.stdout) != kept
