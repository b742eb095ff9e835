import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEB = {"streamlit", "fastapi", "starlette", "plotly", "uvicorn"}
FORBIDDEN = {
    "har_core": WEB | {"dashboard", "pages", "tests"},
    "dashboard": {"pages", "tests"},
    "pages": {"fastapi", "starlette", "tests"},
}
HEAVY = {"tensorflow", "keras", "tf2onnx", "tf_keras"}


def imported_packages(nodes) -> set[str]:
    """Return the top-level packages that import statements among the nodes name."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_imports_point_from_pages_over_dashboard_to_core(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for file in files:
        used = imported_packages(ast.walk(ast.parse(file.read_text())))
        assert not used & FORBIDDEN[folder], file


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_tensorflow_is_imported_inside_functions_only(folder):
    for file in sorted((ROOT / folder).rglob("*.py")):
        assert not imported_packages(ast.parse(file.read_text()).body) & HEAVY, file


def test_command_line_starts_without_pandas():
    code = "import sys, har_core.cli; sys.exit('pandas' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_dashboard_starts_without_tensorflow():
    code = (
        "import sys, dashboard.app, dashboard.sidebar;"
        "sys.exit(any(name in sys.modules for name in ('tensorflow', 'keras')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
