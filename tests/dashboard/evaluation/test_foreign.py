"""What is judged for one visitor is shown to all, with the folder that it is of."""

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


def test_a_result_names_the_folder_that_it_is_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAR_DATASET", raising=False)
    write_guarded_bundle(tmp_path)
    folder = tmp_path / "other_things"
    folder.mkdir()
    (folder / "board.png").write_bytes(checkerboard())
    kwargs = {"folder": str(tmp_path / "guarded")}
    app = AppTest.from_function(page, kwargs=kwargs, default_timeout=PATIENCE_S).run()
    app.text_input(key="foreign_folder").set_value(f'"{folder}"')
    app.button[0].click().run()
    (job,) = find_jobs("foreign/guarded/")
    assert job.wait(PATIENCE_S)
    other = AppTest.from_function(page, kwargs=kwargs, default_timeout=PATIENCE_S).run()
    dismiss_job(job)
    assert not other.exception
    said = "\n".join(element.value for element in [*other.markdown, *other.success])
    told = said.replace("\\", "").replace("\N{NO-BREAK SPACE}", " ")
    assert f"of 1 picture** in {folder}." in told
    assert f"Judging other things in {folder}: done." in told
