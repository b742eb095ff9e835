"""`make model`, the shipped model's recipe: its runs fit together, and are the documented ones."""

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from har_core.cli.main import app
from har_core.model.manifest import MANIFEST_FILE

PROJECT = Path(__file__).parents[1]
GIVEN = {"DATASET": "DataSet", "BACKBONE": "mobilenet_v2.keras", "TEACHER": "README.md"}


def options_of(command: str) -> dict[str, Any]:
    """Read a ``python -m har_core train`` command line as the program does."""
    words = shlex.split(command.partition(" train ")[2])
    train = typer.main.get_command(app).commands["train"]
    return train.make_context("train", words).params


@pytest.fixture(scope="module")
def runs() -> list[dict[str, Any]]:
    """Return the options of the runs that `make model` would make, in order."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    clean.pop("HAR_MODELS_DIR", None)
    given = [f"{name}={value}" for name, value in GIVEN.items()]
    command = ["make", "--dry-run", "model", *given]
    output = subprocess.run(
        command, cwd=PROJECT, env=clean, check=True, capture_output=True, text=True
    ).stdout
    lines = output.replace("\\\n", " ").splitlines()
    commands = [line.partition(" || ")[2] for line in lines if "har_core train" in line]
    return [options_of(re.sub(r"\$\(test .*?\)", "", command)) for command in commands]


def test_every_run_builds_on_earlier_ones(runs: list[dict[str, Any]]) -> None:
    there: set[str] = set()
    files = {GIVEN["BACKBONE"], "runs/efficientnet_lite2.keras"}
    for run in runs:
        assert run["backbone_weights"] in files
        assert there.issuperset(run["teacher"] or ())
        assert run["temperature_of"] in {"", *there}
        assert run["seed"] == 0
        assert run["name"] not in there
        there.add(run["name"])
        files.add(f"models/{run['name']}/model.keras")
    assert len(there) > 1


def test_the_last_run_is_that_of_the_shipped_model(runs: list[dict[str, Any]]) -> None:
    manifest = json.loads((PROJECT / "models" / "cnn_lstm_har15" / MANIFEST_FILE).read_text())
    recorded = manifest["training"]["settings"]
    last = runs[-1]
    assert last["backbone_weights"] == f"models/{recorded['backbone_weights']}"
    assert last["teacher"] == recorded["teachers"]
    assert last["mixup"] == recorded["augmentation"]["mixup"]
    shared = recorded.keys() & last.keys() - {"backbone_weights", "notes"}
    assert {"epochs", "learning_rate", "teacher_weight", "refit"} < shared
    assert {name: last[name] for name in shared} == {name: recorded[name] for name in shared}


def test_the_documented_commands_are_those_of_the_makefile(runs: list[dict[str, Any]]) -> None:
    text = (PROJECT / "docs" / "training.md").read_text(encoding="utf-8")
    recipe = text.partition("## The recipe of the shipped model")[2].partition("\n## ")[0]
    lines = recipe.replace("\\\n", " ").splitlines()
    documented = [options_of(line) for line in lines if line.startswith("python -m har_core train")]
    assert documented == runs
