"""The picture in docs/architecture.md is that of the import contracts."""

import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
CONTRACTS = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["importlinter"]
LAYERS = {c["containers"][0]: c["layers"] for c in CONTRACTS["contracts"] if c["type"] == "layers"}
PICTURE = (
    (PROJECT / "docs" / "architecture.md").read_text().split("```mermaid\n")[1].split("```")[0]
)


@pytest.mark.parametrize("package", LAYERS)
def test_picture_shows_the_floors_of_the_contract_from_top_to_bottom(package: str) -> None:
    drawn = PICTURE.split(f'subgraph {package}["{package}"]\n')[1].split("    end")[0]
    titles = dict(re.findall(r'(\w+)\["(.+)"\]', drawn))
    (chain,) = [line.split(" --> ") for line in drawn.splitlines() if "-->" in line]
    floors = [set(titles[node.strip()].split(" · ")) for node in chain]
    assert floors == [set(re.split(r" [|:] ", layer)) for layer in LAYERS[package]]


@pytest.mark.parametrize("package", ["har_core", "dashboard", "pages", "benchmarks", "recipes"])
def test_modules_and_folders_are_no_larger_than_contributing_says(package: str) -> None:
    modules = [path for path in (PROJECT / package).rglob("*.py") if path.stem != "__init__"]
    folders = Counter(path.parent for path in modules)
    assert not [path for path in modules if len(path.read_text().splitlines()) > 400]
    assert not [folder for folder, n in folders.items() if n > 15]
