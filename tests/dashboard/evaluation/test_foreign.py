"""What is said of how a model tells foreign pictures is of that model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.evaluation import foreign
from dashboard.evaluation.shown import Shown
from dashboard.jobs.registry import dismiss_job, find_jobs
from har_core.evaluation.foreign import JudgedPictures
from har_core.model.manifest import NOVELTY_FILE, BundleManifest


def page() -> None:
    import streamlit as st

    from dashboard.evaluation.foreign import show_foreign

    show_foreign(st.session_state["shown"])


def test_a_copied_model_is_not_said_to_have_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = BundleManifest("m", "net", 224, "none", ("a", "b"), files={NOVELTY_FILE: ""})
    judged = JudgedPictures(np.array([1.0, 0.5]), np.array([True, False]), np.arange(2))
    monkeypatch.setattr(foreign, "load_model", lambda folder: None)
    monkeypatch.setattr(foreign, "judge_pictures", lambda *of, **settings: judged)
    shown = Shown(tmp_path / "m", manifest, None, None)
    foreign._start(shown, "other things", "/pictures", lambda: ([], []))
    (job,) = find_jobs(f"foreign/{tmp_path}")
    assert job.wait(10)
    said = {}
    for one in (shown, replace(shown, folder=tmp_path / "copy of m")):
        app = AppTest.from_function(page)
        app.session_state["shown"] = one
        said[one.folder.name] = "Called foreign" in "".join(m.value for m in app.run().markdown)
    dismiss_job(job)
    assert said == {"m": True, "copy of m": False}
