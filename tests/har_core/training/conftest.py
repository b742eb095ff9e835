from pathlib import Path

import pytest

from har_core.training.run_folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Make the folder of a run that has not begun."""
    folder = RunFolder(tmp_path / "run")
    folder.make()
    return folder
