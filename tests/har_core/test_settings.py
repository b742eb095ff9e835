"""Every setting is declared once, and the README lists exactly these."""

import re
from pathlib import Path

import pytest

from har_core import settings
from har_core.errors import HarError
from har_core.model import bundle
from tests.drawing import write_tiny_bundle

PROJECT = Path(__file__).parents[2]
CODE = [
    path
    for folder in ("har_core", "dashboard", "pages")
    for path in (PROJECT / folder).rglob("*.py")
    if path != Path(settings.__file__)
]


def test_readme_lists_every_setting_as_it_is_declared() -> None:
    section = (PROJECT / "README.md").read_text().split("\n## Settings\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(HAR_\w+)` \| (.+) \| (.+) \|$", section, re.MULTILINE)
    assert rows == [(s.name, s.meaning, s.default) for s in settings.SETTINGS]


def test_settings_and_the_projects_folder_are_read_in_one_module() -> None:
    for path in CODE:
        code = path.read_text()
        read = re.findall(r"(?:environ|getenv)[^\n]*HAR_|envvar=[\"']", code)
        assert not read, path
        for depth in re.findall(r"Path\(__file__\)\.parents\[(\d)\]", code):
            inside = path.parents[int(depth)].relative_to(PROJECT)
            assert inside != Path(), f"{path} leaves its package"


def test_no_module_speaks_of_a_setting_that_there_is_not() -> None:
    known = {setting.name for setting in settings.SETTINGS}
    for path in CODE:
        assert set(re.findall(r"\bHAR_[A-Z_]+\b", path.read_text())) <= known, path


def test_blank_setting_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HAR_MODELS_DIR", "  ")
    assert settings.MODELS_DIR.value == ""
    assert settings.MODELS_DIR.folder() is None


def test_home_of_an_unknown_user_is_an_error_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HAR_CACHE_DIR", "~nobody_of_that_name/cache")
    with pytest.raises(HarError, match="HAR_CACHE_DIR is '~nobody_of_that_name/cache'"):
        settings.CACHE_DIR.folder()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the package lie where no project is around it, with a shipped model."""
    package = tmp_path / "site-packages" / "har_core"
    write_tiny_bundle(package / "shipped" / "models", name="came_along")
    monkeypatch.setattr(settings, "_PACKAGE", package)
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HAR_MODELS_DIR", "")
    return package


def test_installed_program_finds_the_shipped_model_and_writes_others_to_the_data_folder(
    installed: Path, tmp_path: Path
) -> None:
    assert [entry.name for entry in bundle.list_bundles()] == ["came_along"]
    assert bundle.models_dir() == tmp_path / "data" / "models"
    write_tiny_bundle(bundle.models_dir(), name="mine")
    assert {entry.name for entry in bundle.list_bundles()} == {"came_along", "mine"}


def test_of_two_models_of_one_name_the_users_own_counts(installed: Path, tmp_path: Path) -> None:
    write_tiny_bundle(bundle.models_dir(), name="came_along")
    (entry,) = bundle.list_bundles()
    assert entry.path == tmp_path / "data" / "models" / "came_along"


def test_chosen_models_folder_hides_the_shipped_model(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "none"))
    assert bundle.list_bundles() == []
