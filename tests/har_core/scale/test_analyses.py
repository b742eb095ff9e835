"""What computes something from a folder's rows says how far it is, and how it ended."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest

from har_core.errors import DatasetError, HarError
from har_core.scale.analyses import AnalysisStatus, followed, read_analyses
from har_core.scale.opened import suspects
from har_core.scale.opened.finding import find_jobs
from har_core.scale.results import Results
from tests.command_line import har
from tests.made_results import write_results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_results(tmp_path / "results", 10)
    return Results(str(tmp_path / "results"))


def only(results: Results) -> AnalysisStatus:
    (status,) = read_analyses(results)
    return status


def test_each_step_is_told_and_the_end(results: Results) -> None:
    told: list[tuple[str, int, int]] = []
    with followed(results, "suspects", Path("labels.csv"), lambda *s: told.append(s)) as analysis:
        assert only(results).seen == "running"
        assert [(job.state, job.is_active) for job in find_jobs(results.location)] == [
            ("done", True)
        ]
        analysis.report("Reading features", 3, 10)
        status = only(results)
        assert (status.step, status.done, status.total) == ("Reading features", 3, 10)
        analysis.status.found = "Two."
    status = only(results)
    assert (status.state, status.labels, status.found) == ("done", "labels.csv", "Two.")
    assert told == [("Reading features", 3, 10)]
    with pytest.raises(ZeroDivisionError), followed(results, "suspects"):
        _ = 1 / 0
    status = only(results)
    assert (status.state, status.message) == ("failed", "division by zero")
    assert not find_jobs(results.location)[0].is_active


def test_nothing_is_written_to_what_are_no_results(tmp_path: Path) -> None:
    with (
        pytest.raises(DatasetError, match="holds no results"),
        followed(Results(str(tmp_path)), "suspects"),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_written_to_is_read_all_the_same(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, content: bytes) -> None:
        raise PermissionError(name)

    monkeypatch.setattr(results, "write", refuse)
    with followed(results, "evaluate") as analysis:
        analysis.report("Joining labels and answers", 1, 1)
    assert read_analyses(results) == ()


def test_commands_over_results_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, table = tmp_path / "results", tmp_path / "labels.csv"
    labels = write_results(folder, 300, n_features=4, class_names=("cycling", "running"))
    pd.DataFrame({"sha256": labels.index, "label": labels.to_numpy()}).to_csv(table, index=False)
    ended = har("suspects", folder, "--table", table)
    assert ended.returncode in (0, 1), ended.stderr
    status = only(Results(str(folder)))
    assert status.state == "done" and f"{status.found.rstrip('.')}\n" in ended.stdout
    assert har("evaluate", folder, "--table", table).returncode == 1
    evaluated = read_analyses(Results(str(folder)))[1]
    assert (evaluated.command, evaluated.labels) == ("evaluate", str(table))
    assert "Top-1 accuracy" in evaluated.found and " photographs." in evaluated.found

    def stopped(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(suspects, "groups_of", stopped)
    ended = har("suspects", folder, "--table", table)
    assert (ended.returncode, ended.stdout) == (2, "") and "Interrupted" in ended.stderr
    assert read_analyses(Results(str(folder)))[0].state == "stopped"
    ended = har("suspects", folder, "--table", tmp_path / "none.csv")
    status = read_analyses(Results(str(folder)))[0]
    assert ended.returncode == 2 and status.state == "failed" and "none.csv" in status.message


def test_file_that_is_none_is_one_line(results: Results) -> None:
    results.write("_suspects_job.json", b"[]")
    with pytest.raises(HarError, match=r"Cannot read .*_suspects_job\.json"):
        read_analyses(results)
