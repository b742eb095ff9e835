"""What is judged for one visitor is shown to all, with the folder and at the model it is of."""

import shutil
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.jobs.registry import dismiss_job, find_jobs
from tests.guarded import checkerboard, write_guarded_bundle
from tests.patience import PATIENCE_S


def page(folder: str) -> None:
    from pathlib import Path
    from types import SimpleNamespace
    from typing import cast

    from dashboard.evaluation.foreign import show_foreign
    from dashboard.evaluation.shown import Shown
    from har_core.model.manifest import read_manifest

    shown = SimpleNamespace(folder=Path(folder), manifest=read_manifest(folder))
    show_foreign(cast(Shown, shown))


def false_alarms() -> None:
    from types import SimpleNamespace

    import numpy as np

    from dashboard.evaluation.foreign import _show_result

    judged = SimpleNamespace(flagged=np.array([True, False, False]), novelty=np.array([0.9, 0, 0]))
    _show_result("photos", judged, ["running", "running", "sitting"])


def test_false_alarms_are_shares_of_each_class() -> None:
    app = AppTest.from_function(false_alarms, default_timeout=PATIENCE_S).run()
    assert not app.exception
    assert "33\N{NO-BREAK SPACE}% of 3 test photographs** in photos" in app.markdown[0].value
    table = app.dataframe[0].value
    assert table["mean"].to_dict() == {"running": 50, "sitting": 0}
    assert table["size"].to_dict() == {"running": 2, "sitting": 1}


def said_of(folder: Path) -> str:
    kwargs = {"folder": str(folder)}
    app = AppTest.from_function(page, kwargs=kwargs, default_timeout=PATIENCE_S).run()
    assert not app.exception
    said = "\n".join(element.value for element in [*app.markdown, *app.success])
    return said.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")


def test_a_result_names_its_folder_and_is_of_the_model_that_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAR_DATASET", raising=False)
    write_guarded_bundle(tmp_path)
    model = tmp_path / "guarded"
    copied = shutil.copytree(model, tmp_path / "copied")  # its manifest has the original's name
    folder = tmp_path / "other_things"
    folder.mkdir()
    (folder / "board.png").write_bytes(checkerboard())
    kwargs = {"folder": str(model)}
    app = AppTest.from_function(page, kwargs=kwargs, default_timeout=PATIENCE_S).run()
    app.button[0].click().run()
    assert app.error[0].value == "Name the folder first."
    app.text_input(key="foreign_folder").set_value(f'"{folder}"')
    app.button[0].click().run()
    (job,) = find_jobs(f"foreign/{model}/")
    assert job.wait(PATIENCE_S)
    told, told_of_copy = said_of(model), said_of(copied)
    dismiss_job(job)
    assert f"of 1 picture** in {folder}." in told
    assert f"Judging other things in {folder}: done." in told
    assert str(folder) not in told_of_copy
