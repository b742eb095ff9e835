"""The Dockerfile's steps, for a machine without Docker."""

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Image:
    """What the Dockerfile runs: while building, to check the health, and to serve."""

    runs: tuple[str, ...]
    variables: dict[str, str]
    health_check: list[str]
    command: list[str]

    def run(self, start: str) -> list[str]:
        """Return the words of the only step that begins so."""
        (found,) = [run for run in self.runs if run.startswith(start)]
        return shlex.split(found)


def read_dockerfile(path: Path = PROJECT / "Dockerfile") -> Image:
    lines = re.sub(r"\\\n\s*", "", path.read_text()).splitlines()
    (health_check,) = [
        json.loads(m[1]) for line in lines if (m := re.match(r"HEALTHCHECK .*CMD (\[.*\])", line))
    ]
    (command,) = [json.loads(line[4:]) for line in lines if line.startswith("CMD ")]
    runs = tuple(line[4:] for line in lines if line.startswith("RUN "))
    (settings,) = [shlex.split(line[4:]) for line in lines if line.startswith("ENV ")]
    variables = dict(word.split("=", 1) for word in settings)
    return Image(runs, variables, health_check, command)


def copy_context(target: Path) -> Path:
    """Copy what `.dockerignore` lets in, as `COPY . .` would."""
    for line in (PROJECT / ".dockerignore").read_text().splitlines():
        if not line.startswith("!"):
            continue
        source, copy = PROJECT / line[1:], target / line[1:]
        copy.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy)
    return target
