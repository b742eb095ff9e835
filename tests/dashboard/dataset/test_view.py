"""What makes the Dataset page read its dataset again."""

import threading

from dashboard.dataset.view import dataset_view
from dashboard.jobs.registry import dismiss_job, start_job
from har_core.storage.cache import cache_dir
from tests.patience import PATIENCE_S


def test_a_running_scan_lets_the_page_keep_what_it_has_read(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    cache_dir().mkdir()
    go_on = threading.Event()
    job = start_job("scan/elsewhere", "Scanning", lambda _: go_on.wait(PATIENCE_S))
    read = dataset_view(str(tiny_dataset), None)
    (cache_dir() / "scan-v0.sqlite").write_bytes(b"a chunk more")
    assert dataset_view(str(tiny_dataset), None) is read
    go_on.set()
    assert job.wait(PATIENCE_S)
    assert (later := dataset_view(str(tiny_dataset), None)) is not read
    dismiss_job(job)
    (cache_dir() / "analyses").mkdir()
    assert dataset_view(str(tiny_dataset), None) is not later
