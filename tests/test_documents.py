"""Files, modules and commands that the documents name are there."""

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("har_core", "dashboard", "pages", "tests", "benchmarks", "recipes", "docs")
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
    for module in re.findall(rf"\b((?:{'|'.join(OURS)})(?:\.[a-z_]\w*)+)", text):
        path = module.replace(".", "/")
        parent, _, last = path.rpartition("/")
        sources = (ROOT / f"{parent}.py", ROOT / parent / "__init__.py")
        defined = any(p.is_file() and last in p.read_text(encoding="utf-8") for p in sources)
        if path not in files and f"{path}.py" not in files and not defined:
            missing.add(module)
    assert not missing
