"""The picture in docs/architecture.md is that of the import contracts."""

import re
import tomllib
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
