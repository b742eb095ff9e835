import io
import tomllib
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from dashboard.evaluation.jobs import start_folder_evaluation, start_zip_evaluation
from dashboard.evaluation.new_set import MAX_ZIP_MB
from dashboard.jobs.registry import dismiss_job, find_jobs
from har_core.errors import DatasetError, HarError
from har_core.evaluation.store import (
    delete_evaluation,
    list_evaluations,
    read_evaluation,
    thumbnails_path,
)
from har_core.images.thumbnail_archive import read_thumbnails
from har_core.model.bundle import update_manifest
from har_core.model.manifest import read_manifest
from tests.drawing import photo_bytes, write_dataset
from tests.patience import PATIENCE_S


@pytest.fixture
def model(tiny_models, tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    yield tiny_models / "tiny"
    for job in find_jobs("evaluate/"):
        job.cancel()
        job.wait(PATIENCE_S)
        dismiss_job(job)


def kept(model: Path) -> list[str]:
    return list_evaluations(model, read_manifest(model))


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_a_folder_is_evaluated_and_kept_with_its_place(model, tiny_dataset):
    job = start_folder_evaluation(model, "twelve", str(tiny_dataset), None)
    assert job.wait(PATIENCE_S)
    assert (job.state, job.result, job.fraction) == ("done", ("tiny", "twelve"), 1)
    assert kept(model) == ["twelve"]
    evaluation = read_evaluation(model, "twelve")
    assert evaluation.folder == str(tiny_dataset)
    assert evaluation.result.correct.all()


def test_another_set_under_a_name_that_is_being_evaluated_is_refused(model, tiny_dataset, tmp_path):
    folder = write_dataset(tmp_path / "larger", per_class=30)
    job = start_folder_evaluation(model, "mine", str(folder), None)
    with pytest.raises(HarError, match="Evaluating tiny on mine"):
        start_folder_evaluation(model, "mine", str(tiny_dataset), None)
    with pytest.raises(HarError, match="Evaluating tiny on mine"):
        start_zip_evaluation(model, "mine", b"")
    assert job.wait(PATIENCE_S)
    assert read_evaluation(model, "mine").raw.n == 90


def test_a_cancelled_evaluation_keeps_nothing(model, tmp_path):
    folder = write_dataset(tmp_path / "larger", per_class=30)
    job = start_folder_evaluation(model, "larger", str(folder), None)
    job.cancel()
    assert job.wait(PATIENCE_S)
    assert job.state == "cancelled"
    assert kept(model) == []


def test_a_zips_photographs_are_gone_when_the_job_has_ended(model, tmp_path):
    table = b"filename,label\na.jpg,running\n"
    good = zipped({"train.csv": table, "a.jpg": photo_bytes("running")})
    broken = zipped({"train.csv": table, "a.jpg": b"no photograph"})
    for name, archive, state in (("a good one", good, "done"), ("broken", broken, "failed")):
        job = start_zip_evaluation(model, name, archive)
        assert job.wait(PATIENCE_S)
        assert job.state == state
        assert list((tmp_path / "temporary").iterdir()) == []
    assert "unreadable photograph" in job.error
    assert kept(model) == ["a good one"]
    sha256 = read_evaluation(model, "a good one").raw.sha256.tolist()
    small, nothing = read_thumbnails(thumbnails_path("tiny", "a good one"), [*sha256, "0" * 64])
    assert small is not None
    assert Image.open(io.BytesIO(small)).size == (260, 173)
    assert nothing is None
    delete_evaluation("tiny", "a good one")
    assert not thumbnails_path("tiny", "a good one").exists()


def test_a_hostile_zip_fails_its_job_with_the_reason(model):
    job = start_zip_evaluation(model, "hostile", zipped({"train.csv": b"", "../a.jpg": b"x"}))
    assert job.wait(PATIENCE_S)
    assert job.state == "failed"
    assert "leads out" in job.error


def test_an_unusable_name_is_refused_before_anything_starts(model, tiny_dataset):
    with pytest.raises(DatasetError, match="own splits"):
        start_folder_evaluation(model, "test", str(tiny_dataset), None)
    with pytest.raises(DatasetError, match="cannot be"):
        start_zip_evaluation(model, "a/b", b"")
    assert find_jobs("evaluate/") == []


def test_the_server_takes_zips_as_large_as_the_page_promises():
    settings = Path(__file__).parents[3] / "dashboard" / ".streamlit" / "config.toml"
    config = tomllib.loads(settings.read_text())
    assert config["server"]["maxUploadSize"] >= MAX_ZIP_MB


def test_a_class_called_like_a_column_is_told_before_the_work(model, tiny_dataset):
    update_manifest(model, class_names=["clapping", "group", "sitting"])
    with pytest.raises(DatasetError, match="cannot be called 'group'"):
        start_folder_evaluation(model, "twelve", str(tiny_dataset), None)
    assert not find_jobs("evaluate/")
