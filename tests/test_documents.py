"""Files, modules and commands that documents and docstrings name are there."""

import re
import subprocess
from importlib import import_module
from pathlib import Path, PurePosixPath

import pytest
import typer

ROOT = Path(__file__).parents[1]
OURS = ("har_core", "dashboard", "pages", "tests", "benchmarks", "recipes", "docs")
DOTTED = rf"(?:{'|'.join(OURS)})(?:\.[A-Za-z_]\w*)+"
DEFINE = r"^\s*(?:async def |def |class |self\.)?{}\s*(?:[(:=]|$)"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.fixture(scope="module")
def files() -> set[str]:
    """Return all that git tracks, and its folders; all that is there without git."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.splitlines()
    listed = listed or [p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*")]
    return {str(p) for file in listed for p in (PurePosixPath(file), *PurePosixPath(file).parents)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_modules_that_a_document_names_are_there(document: Path, files: set[str]) -> None:
    text = document.read_text(encoding="utf-8")
    missing = set()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        if not (document.parent / link).exists():
            missing.add(link)
    for name in re.findall(r"`((?:[\w.-]+/)*[\w-]+\.py|(?:[\w-]+/)+)`", text):
        path = name.rstrip("/")
        ours = path.endswith(".py") or path.split("/")[0] in OURS
        if ours and not any(file == path or file.endswith(f"/{path}") for file in files):
            missing.add(name)
    missing |= {name for name in re.findall(rf"\b({DOTTED})", text) if not is_defined(name)}
    assert not missing


def test_modules_and_functions_that_docstrings_name_are_there() -> None:
    sources = [p for folder in OURS for p in (ROOT / folder).rglob("*.py")]
    named = {
        (source.relative_to(ROOT).as_posix(), name)
        for source in sources
        for name in re.findall(rf"`({DOTTED})`", source.read_text(encoding="utf-8"))
    }
    assert len(named) > 100
    assert not {place for place in named if not is_defined(place[1])}


def is_defined(dotted: str) -> bool:
    """Tell whether a dotted name is a module's, or that of something which its module defines."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        path = ROOT.joinpath(*parts[:n])
        if path.is_dir() and n == len(parts):
            return True
        for source in (path.with_suffix(".py"), path / "__init__.py"):
            if source.is_file():
                text = source.read_text(encoding="utf-8")
                # An import is no definition, except in a package's face.
                define = r"\b{}\b" if source.stem == "__init__" else DEFINE
                return all(re.search(define.format(p), text, re.MULTILINE) for p in parts[n:])
    return False


def test_commands_and_options_that_documents_name_are_there() -> None:
    program = typer.main.get_command(import_module("har_core.cli.main").application())
    options = {
        name: {"--help", *(o for p in command.params for o in (*p.opts, *p.secondary_opts))}
        for name, command in program.commands.items()  # type: ignore[attr-defined]
    }
    named = [
        (document.name, command, option)
        for document in (*DOCUMENTS, *(ROOT / "har_core" / "cli").glob("*.py"))
        if document.name != "CHANGELOG.md"  # which also names what was removed
        for line in document.read_text(encoding="utf-8").splitlines()
        for command, rest in re.findall(r"(?:^|[`\s])har ([a-z][a-z-]+)([^`#]*)", line)
        for option in ["--help", *re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)]
    ]
    assert len(named) > 100
    assert not [place for place in named if place[2] not in options.get(place[1], ())]
