"""Fixtures that all tests share."""

import gc
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.drawing import write_dataset, write_tiny_bundle

# Files that share what is dear, one server or TensorFlow in memory, go to one worker together.
_TOGETHER = {
    "pages in a browser": tuple(
        f"tests/browser/test_{name}.py"
        for name in ("accessibility", "dataset", "predict", "first_steps")
    ),
    "training": ("tests/har_core/training/", "tests/recipes/"),
    "Keras": (
        "tests/har_core/keras_io/",
        "tests/har_core/model/test_importing.py",
        "tests/har_core/model/test_classifier.py",
        "tests/har_core/export/test_formats.py",
    ),
}
# The long ones are handed out first, so that the workers end together.
_LONGEST = (*_TOGETHER, "tests/browser/", "tests/pages/", "tests/dashboard/training/")

_known_modules = 0
_DATA_FOLDERS = itertools.count()


def pytest_configure(config: pytest.Config) -> None:
    """Compile the project once, and leave each of several workers one core.

    Threads that wait for a busy core keep it busy.
    """
    # Else every worker, server and command that tests start would compile all of it anew.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def handed_out_with(nodeid: str) -> str:
    """Return the name of what a test is handed out with: its file, or several files."""
    path = nodeid.split("::", 1)[0]
    return next((name for name, begin in _TOGETHER.items() if path.startswith(begin)), path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        name = handed_out_with(item.nodeid)
        return next(
            (n for n, begin in enumerate(_LONGEST) if name.startswith(begin)), len(_LONGEST)
        )

    items.sort(key=rank)


class Together(LoadFileScheduling):
    """Hand out files, and those of `_TOGETHER` as one."""

    def _split_scope(self, nodeid: str) -> str:
        return handed_out_with(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """Keep to `_TOGETHER` unless another distribution is asked for."""
    return Together(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_xdist_auto_num_workers() -> int:
    """Use a worker more than there are cores: tests in a browser wait more than they compute."""
    return (os.cpu_count() or 1) + 1


@pytest.fixture(autouse=True)
def spared_collector() -> None:
    """Keep modules out of garbage collections, as the server does, when a test imported many.

    Every run of a page ends with one, which takes half a second where TensorFlow is in memory.
    """
    global _known_modules
    if len(sys.modules) > _known_modules + 100:
        _known_modules = len(sys.modules)
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def own_data_folder(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep the tests away from the data folder of whoever runs them."""
    # `tmp_path` would make a folder for each test, among all the others.
    own = tmp_path_factory.getbasetemp() / "data" / str(next(_DATA_FOLDERS))
    monkeypatch.setenv("HAR_DATA_DIR", str(own))


@pytest.fixture(autouse=True)
def own_main_module() -> Iterator[None]:
    """Put back what Streamlit's page tests take for the program: worker processes would run it."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


@pytest.fixture
def tiny_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a models folder with one tiny bundle the program's models folder."""
    folder = tmp_path / "models"
    write_tiny_bundle(folder)
    monkeypatch.setenv("HAR_MODELS_DIR", str(folder))
    monkeypatch.delenv("HAR_MODEL", raising=False)
    return folder


@pytest.fixture
def tiny_dataset(tmp_path: Path) -> Path:
    """Write a dataset folder of twelve drawn pictures."""
    return write_dataset(tmp_path / "dataset")


@pytest.fixture
def real_dataset() -> Path:
    """Return the folder of the real photographs; for tests marked ``dataset``."""
    folder = os.environ.get("HAR_DATASET", "")
    if not folder or not (Path(folder) / "train.csv").is_file():
        pytest.skip("HAR_DATASET names no dataset folder")
    return Path(folder)
