"""What an installation brings along, as pyproject.toml says it, against the tested pins."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from har_core import extras
from har_core.errors import HarError, ModelBundleError
from har_core.extras import require_scale_extra, require_training_extra
from tests.install.trial import imported

PROJECT = Path(__file__).parents[1]
METADATA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
EXTRAS = METADATA["optional-dependencies"]
NOT_AT_RUN_TIME = {"tensorflow", "keras", "tf2onnx", "h5py", "pytest", "playwright", "mypy", "ruff"}


def pinned(file: str = "requirements.txt") -> dict[str, str]:
    lines = (PROJECT / file).read_text().splitlines()
    found = [re.match(r"([\w-]+)(?:\[\w+\])?==([\w.]+)", line) for line in lines]
    return {canonicalize_name(m[1]): m[2] for m in found if m}


def declared(*extras: str) -> list[Requirement]:
    lists = [METADATA["dependencies"] if name == "" else EXTRAS[name] for name in extras]
    return [Requirement(line) for lines in lists for line in lines]


@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", ("", "train", "test", "dev")),
        ("requirements-scale.txt", ("scale", "scale-test")),
    ],
)
def test_every_pin_is_declared_and_every_range_holds_its_pin(
    file: str, extras: tuple[str, ...]
) -> None:
    pins = pinned(file)
    ranges = declared(*extras)
    assert sorted(pins) == sorted(canonicalize_name(r.name) for r in ranges)
    for requirement in ranges:
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)])


def test_predicting_and_serving_bring_neither_tensorflow_nor_tests() -> None:
    assert not {r.name for r in declared("")} & NOT_AT_RUN_TIME


def test_all_is_all_extras() -> None:
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.name == METADATA["name"]
    assert everything.extras == set(EXTRAS) - {"all"}


def test_missing_extra_is_named_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "tensorflow" else name)
    with pytest.raises(ModelBundleError) as caught:
        require_training_extra("Training")
    assert str(caught.value) == "Training needs tensorflow: pip install 'har-dashboard[train]'"
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(HarError, match=r"^Ray needs ray: pip install 'har-dashboard\[scale\]'$"):
        require_scale_extra("Ray", ("ray",))


@pytest.mark.parametrize(
    "arguments",
    [
        "train --dataset x --name y",
        "import-model x.h5 --class-indices x.json --preprocessing zero_to_one --name y",
    ],
)
def test_commands_that_need_the_extra_say_so_at_once(arguments: str) -> None:
    code = (
        "import sys; from har_core import extras; extras.find_spec = lambda name: None;"
        "from har_core.cli import main; main()"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments.split()],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 2
    assert "pip install 'har-dashboard[train]'" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1


def test_type_checkers_take_the_hints_of_the_installed_package() -> None:
    assert (PROJECT / "har_core" / "py.typed").is_file()  # PEP 561; without, all is Any


def test_version_is_said() -> None:
    command = [sys.executable, "-m", "har_core", "--version"]
    told = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"har \d+\.\d+\.\d+\S*\n", told.stdout)


def test_supported_pythons_are_those_that_the_metadata_names() -> None:
    named = [c.split(" :: ")[-1] for c in METADATA["classifiers"] if "Python :: 3" in c]
    assert named == ["3.11", "3.12", "3.13"]
    assert METADATA["requires-python"] == f">={named[0]}"


def test_changelog_and_citation_speak_of_the_version() -> None:
    released = re.findall(r"^## \[(\d\S*)\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert Version(METADATA["version"]) >= Version(released[0])
    assert f"\nversion: {METADATA['version']}\n" in (PROJECT / "CITATION.cff").read_text()


def test_every_import_of_the_program_is_declared() -> None:
    own = {"har_core", "dashboard", "pages"}
    provided = packages_distributions()
    scale = {r.name for r in declared("scale")}
    allowed = {canonicalize_name(r.name) for r in declared("", "train", "scale")}
    for name in sorted(imported() - own - sys.stdlib_module_names - {"jax", "torch"}):
        if name in scale and name not in provided:
            continue
        found = {canonicalize_name(distribution) for distribution in provided[name]}
        assert found & allowed, f"{name} comes from {found}, which pyproject.toml does not name"
