"""What the import contracts in pyproject.toml (`lint-imports`) cannot say, and the size limits."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "keras", "tf2onnx", "tf_keras"}
PROGRAM = ("har_core", "dashboard", "pages", "benchmarks")
MOST_LINES = 400
MOST_MODULES = 15


def modules(folder: str) -> list[Path]:
    found = sorted((ROOT / folder).rglob("*.py"))
    assert found
    return found


def imported_packages(nodes) -> set[str]:
    """Return the top-level packages that import statements among the nodes name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", ["har_core", "dashboard", "pages"])
def test_tensorflow_is_imported_inside_functions_only(folder):
    for file in modules(folder):
        assert not imported_packages(ast.parse(file.read_text()).body) & HEAVY, file


def test_collecting_tests_imports_no_tensorflow():
    """Not by a skip either: it would cost every worker five seconds."""
    for file in modules("tests"):
        body = ast.parse(file.read_text()).body
        calls = [ast.unparse(node) for node in body if not isinstance(node, ast.FunctionDef)]
        assert not imported_packages(body) & HEAVY, file
        assert not any(
            f'importorskip("{name}' in c.replace("'", '"') for c in calls for name in HEAVY
        ), file


def test_command_line_starts_without_pandas_and_catches_ctrl_c_before_it_imports_anything():
    code = (
        "import sys; before = set(sys.modules); import har_core.__main__;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        "assert new <= {'har_core', 'importlib', 'warnings'}, new;"
        "assert set(har_core.__all__) <= set(dir(har_core));"
        "assert har_core.HarError is har_core.errors.HarError;"
        "import har_core.cli; sys.exit('pandas' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_dashboard_starts_without_tensorflow():
    code = (
        "import sys, dashboard.app, dashboard.sidebar;"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("folder", PROGRAM)
def test_no_module_is_too_long_to_be_read_at_once(folder):
    lengths = {
        file.relative_to(ROOT): len(file.read_text().splitlines()) for file in modules(folder)
    }
    assert not {str(file): n for file, n in lengths.items() if n > MOST_LINES}


@pytest.mark.parametrize("folder", PROGRAM)
def test_no_folder_holds_too_many_modules(folder):
    rooms = {file.parent for file in modules(folder)}
    counts = {
        str(room.relative_to(ROOT)): sum(file.name != "__init__.py" for file in room.glob("*.py"))
        for room in rooms
    }
    assert not {room: n for room, n in counts.items() if n > MOST_MODULES}


@pytest.mark.parametrize("folder", ["har_core", "dashboard"])
def test_packages_open_with_nothing_but_what_they_offer(folder):
    filled = {
        str(file.parent.relative_to(ROOT))
        for file in modules(folder)
        if file.name == "__init__.py" and len(ast.parse(file.read_text()).body) > 1
    }
    assert filled <= {"har_core", "har_core/images", "har_core/model", "har_core/cli"}
