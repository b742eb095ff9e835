"""A photograph whose name is no UTF-8 is listed, shown, scanned, evaluated and predicted."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from har_core.dataset.table import load_dataset
from har_core.evaluation.run import evaluate_dataset
from har_core.images.thumbnails import thumbnails
from har_core.model import load_model
from har_core.scan.issues import findings_csv
from har_core.scan.scanning import load_scan, scan_dataset
from tests.command_line import har
from tests.drawing import photo_bytes

SHOWN = "caf%E9.jpg"


@pytest.fixture
def dataset(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    path = os.fsencode(tiny_dataset / "train") + b"/caf\xe9.jpg"
    try:
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(photo_bytes("running", 77))
    except OSError:
        pytest.skip("this file system takes Unicode names alone")
    return tiny_dataset


def test_it_is_scanned_and_found_again(dataset):
    for photographs in (scan_dataset(dataset), load_scan(dataset)):
        assert photographs is not None
        row = photographs.set_index("filename").loc[SHOWN]
        assert row["reason"] == "" and row["width"] == 275 and row["is_unlisted_issue"]
        assert thumbnails([row["path"]])[0] is not None
        assert SHOWN in findings_csv(photographs)
        photographs.to_parquet(dataset / "findings.parquet")


def test_it_is_evaluated_where_the_table_lists_it(dataset, tiny_models):
    table = pd.DataFrame({"filename": [SHOWN], "label": ["running"]})
    table.to_csv(dataset / "train.csv", index=False)
    evaluation = evaluate_dataset(load_model(), load_dataset(dataset))
    assert list(evaluation.raw.filenames) == [SHOWN]
    assert evaluation.skipped.empty


def test_the_command_line_takes_and_writes_it(dataset, tiny_models, tmp_path):
    photo = os.fsdecode(os.fsencode(dataset / "train") + b"/caf\xe9.jpg")
    command = [sys.executable, "-m", "har_core", "predict", photo, dataset / "train", "--json"]
    result = subprocess.run(command, capture_output=True, timeout=120)
    assert result.returncode == 0, result.stderr
    answers = json.loads(result.stdout)
    assert len(answers) == 14 and answers[0]["filename"].endswith(SHOWN)
    assert SHOWN in har("predict", photo).stdout
    assert SHOWN in har("predict", photo, "--csv").stdout
    gone = har("predict", photo + "x")
    assert gone.returncode == 1 and "No such file" in gone.stderr
    assert "Traceback" not in gone.stderr
    scanned = har("scan", str(dataset), "--csv", str(tmp_path / "out.csv"))
    assert scanned.returncode == 1, scanned.stderr
    assert SHOWN in (tmp_path / "out.csv").read_text()
