"""A prediction tells nobody of itself, and leaves nothing behind."""

import os
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[3]
PHOTO = PROJECT / "dashboard" / "examples" / "cycling.jpg"


def test_prediction_keeps_no_device_number_in_the_home_folder(
    tiny_models: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "XDG_"))}
    told = subprocess.run(
        [sys.executable, "-m", "har_core", "predict", PHOTO],
        env=kept | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "telemetry" not in told.stderr
    assert [str(path) for path in home.rglob("*")] == []
