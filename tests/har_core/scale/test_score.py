"""`har score` on this machine: one row for each input, the same as a prediction alone."""

import os
import shutil
import tarfile
import threading
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from har_core.errors import DatasetError, HarError
from har_core.model.loading import load_model
from har_core.model.manifest import NOVELTY_FILE, ONNX_FILE, read_manifest
from har_core.scale.evaluating import evaluate_results
from har_core.scale.jobs import place_for_rows
from har_core.scale.models import fingerprint
from har_core.scale.results import INFO_FILE, Results, results_schema
from har_core.scale.scanned.scanning import scan_sources
from har_core.scale.scoring import score
from har_core.scale.sources import locations
from har_core.scale.status import read_status
from har_core.storage.checksums import sha256_of_file
from tests.command_line import har
from tests.drawing import CLASS_NAMES, photo_bytes, write_tiny_bundle
from tests.har_core.scale.conftest import rows_of


def test_rows_are_what_a_prediction_alone_says(
    photographs: Path, tiny_models: Path, tmp_path: Path
) -> None:
    to = str(tmp_path / "results")
    status = score([str(photographs)], to, workers=1)
    assert (status.listed, status.total, status.errors) == (90, 90, 6)
    table = rows_of(to)
    assert len(table) == 90
    assert list(table.columns) == results_schema(CLASS_NAMES).names
    assert table["reason"].iloc[8:20].value_counts().to_dict() == {"truncated": 1}
    for row in table.iloc[8:20].itertuples():
        assert row.sha256 == sha256_of_file(row.uri)
        if isinstance(row.error, str):
            assert row.reason == "truncated" and pd.isna(row.action)
            continue
        alone = load_model("tiny").predict(row.uri)
        assert row.action == alone.action
        assert row.verdict == alone.verdict
        given = [getattr(row, name) for name in CLASS_NAMES]
        assert row.confidence == max(given)
        np.testing.assert_allclose(given, list(alone.probabilities.values()), atol=1e-4)
    found = read_status(Results(to))
    assert found is not None and (found.state, found.done, found.errors) == ("done", 90, 6)


@pytest.mark.parametrize(
    "place", ["photographs", "photographs/../photographs/", "photographs/more"]
)
@pytest.mark.parametrize("do", [score, scan_sources])
def test_rows_do_not_come_to_lie_among_photographs(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, do: Any, place: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photographs" / "more").mkdir(parents=True)
    (tmp_path / "photographs" / "more" / "a.JPG").write_bytes(b"")
    with pytest.raises(HarError, match="is a folder of photographs; name one of its own"):
        do([tmp_path.joinpath("photographs").as_uri()], place)
    assert not list(tmp_path.glob("photographs/**/*[_.]job*"))
    assert place_for_rows("photographs/results", ["photographs"])
    with pytest.raises(HarError, match="is a folder of photographs"):
        place_for_rows("s3://bucket/photographs/", ["s3://bucket/photographs"])


def test_same_command_does_only_what_is_missing(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    to = str(tmp_path / "results")
    score([str(photographs)], to)
    before = rows_of(to)
    (photographs / "new.jpg").write_bytes(photo_bytes("sitting", 77))
    (photographs / "photo_001.jpg").write_bytes(photo_bytes("running", 78))
    left = tmp_path / "results" / ".part-1000000-000000-000032.parquet.x1y2"
    left.write_bytes(b"half of it")  # by a worker that was killed
    again = score([str(photographs)], to)
    assert not left.exists()
    assert (again.listed, again.answered, again.total) == (91, 89, 2)
    after = rows_of(to)
    assert len(after) == 91
    kept = after["uri"].isin(before["uri"]) & ~after["uri"].str.endswith("photo_001.jpg")
    unchanged = before[~before["uri"].str.endswith("photo_001.jpg")]
    pd.testing.assert_frame_equal(
        after[kept].reset_index(drop=True), unchanged.reset_index(drop=True)
    )
    assert score([str(photographs)], to).total == 0


def test_results_are_named_by_a_string_or_a_path(tmp_path: Path) -> None:
    assert Results(tmp_path / "results").location == Results(f"{tmp_path}/results/").location


def test_file_of_another_size_or_another_time_is_scored_again(inline: None, tmp_path: Path) -> None:
    path, to = tmp_path / "photo.jpg", str(tmp_path / "results")
    path.write_bytes(photo_bytes())
    score([str(path)], to)
    then = path.stat().st_mtime_ns
    path.write_bytes(photo_bytes() + b"more")
    os.utime(path, ns=(then, then))
    assert score([str(path)], to).total == 1
    os.utime(path, ns=(then, then + 10**9))
    assert score([str(path)], to).total == 1
    assert score([str(path)], to).total == 0


def test_every_kind_of_source_gives_the_same_answers(inline: None, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "one"
    folder.mkdir()
    names = [f"{label}.jpg" for label in CLASS_NAMES]
    for label, name in zip(CLASS_NAMES, names, strict=True):
        (folder / name).write_bytes(photo_bytes(label, size=(60, 40)))
    contents = [(folder / name).read_bytes() for name in names]
    (tmp_path / "list.txt").write_text("".join(f"one/{name}\n" for name in names))
    (tmp_path / "table.csv").write_text("label;image\n" + "".join(f"x;{n}\n" for n in names))
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for name in names:
            archive.add(folder / name, name)
            (folder / "cls").write_text("label")
            archive.add(folder / "cls", name.replace("jpg", "cls"))
            archive.add(folder / "cls", f"._{name}")  # as macOS does
    (folder / "cls").unlink()
    pq.write_table(pa.table({"png": contents}), tmp_path / "bytes.parquet", row_group_size=2)
    hub = pa.table(
        {"image": [{"bytes": c, "path": n} for c, n in zip(contents, names, strict=True)]}
    )
    pq.write_table(hub, tmp_path / "hub.parquet")
    expected = None
    for number, source in enumerate(
        ("one", "one/*.jpg", "list.txt", "table.csv", "shard.tar", "bytes.parquet", "hub.parquet")
    ):
        to = tmp_path / f"results{number}"
        status = score([str(tmp_path / source)], str(to))
        assert (status.listed, status.errors) == (3, 0), source
        table = rows_of(to).sort_values("sha256").drop(columns=["uri", "mtime_ns"])
        table = table.reset_index(drop=True)
        if expected is None:
            expected = table
        pd.testing.assert_frame_equal(table, expected)
        assert score([str(tmp_path / source)], str(to)).total == 0, source


def test_photographs_behind_a_web_server_are_scored(inline: None, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (requirements-scale.txt)")
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(photo_bytes("sitting", size=(60, 40)))
    (folder / "b.jpg").write_bytes(b"no photograph")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        wrong = "http://[no/address.jpg"
        (tmp_path / "list.txt").write_text(f"{address}/a.jpg\n{address}/gone.jpg\n{wrong}\n")
        score([f"{address}/"], str(tmp_path / "listed"))
        score([str(tmp_path / "list.txt")], str(tmp_path / "named"))
        server.shutdown()
    listed, named = rows_of(tmp_path / "listed"), rows_of(tmp_path / "named")
    assert listed["action"].fillna("none").tolist() == ["sitting", "none"]
    assert listed["reason"].fillna("").tolist() == ["", "not_an_image"]
    assert named["action"].fillna("none").tolist() == ["sitting", "none", "none"]
    assert named["error"].iloc[1] == f"There is no {address}/gone.jpg."
    assert str(named["error"].iloc[2]).startswith(f"Cannot open {wrong}: ")


def test_web_server_that_fails_is_not_waited_for_at_each_photograph(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (requirements-scale.txt)")
    waited: list[float] = []
    monkeypatch.setattr(locations.time, "sleep", waited.append)
    failing = True

    class Overloaded(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if failing:
                self.send_error(503)
            else:
                super().do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *args: object) -> None:
            pass

    (tmp_path / "photo.jpg").write_bytes(photo_bytes())
    handler = partial(Overloaded, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/photo.jpg"
        names = [f"{address}?{number}" for number in range(40)]
        (tmp_path / "list.txt").write_text("\n".join(names))
        score([str(tmp_path / "list.txt")], str(tmp_path / "results"))
        at_once = 8
        assert waited.count(8.0) <= at_once  # the last wait of a photograph
        rows = rows_of(tmp_path / "results")
        assert rows["error"].str.contains("cannot be reached").all()
        failing = False
        score([str(tmp_path / "list.txt")], str(tmp_path / "results"))
        server.shutdown()
    rows = rows_of(tmp_path / "results")
    assert len(rows) == len(names) and rows["error"].isna().all()


def test_web_server_that_does_not_answer_is_not_taken_for_one_without_the_photograph(
    inline: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("aiohttp", reason="aiohttp is not installed (requirements-scale.txt)")
    monkeypatch.setattr(locations.time, "sleep", lambda seconds: None)
    statuses = {"/secret.jpg": 403, "/broken.jpg": 500, "/gone.jpg": 410}

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(statuses[self.path])
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        away = "http://127.0.0.1:1/a.jpg"
        names = [away, *(address + path for path in statuses)]
        (tmp_path / "list.txt").write_text("\n".join(names))
        score([str(tmp_path / "list.txt")], str(tmp_path / "results"))
        with pytest.raises(HarError, match=f"{away} cannot be reached .*Connect call failed"):
            score([away], str(tmp_path / "none"))
        with pytest.raises(HarError, match=f"{address}/secret.jpg may not be read"):
            score([f"{address}/secret.jpg"], str(tmp_path / "none"))
        server.shutdown()
    rows = rows_of(tmp_path / "results").set_index("uri")
    assert set(rows["reason"]) == {"unreadable"}
    said = rows["error"]
    assert said[away].startswith(f"{away} cannot be reached (Cannot connect to host")
    assert said[f"{address}/secret.jpg"].startswith(f"{address}/secret.jpg may not be read: 403")
    assert said[f"{address}/broken.jpg"].startswith(f"{address}/broken.jpg cannot be reached (500")
    assert said[f"{address}/gone.jpg"] == f"There is no {address}/gone.jpg."


def test_input_that_is_named_twice_has_one_row(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    to = str(tmp_path / "results")
    sources = [str(photographs), str(photographs / "more"), str(photographs / "*.jpg")]
    assert score(sources, to).listed == 90
    assert len(rows_of(to)) == 90


def test_rows_that_a_kill_left_twice_are_one_after_the_next_job(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    to = str(tmp_path / "results")
    score([str(photographs / "more")], to)
    results = Results(to)
    first = results.parts()[0]
    results.write_part("again000000", 0, 2, results.read_part(first).slice(0, 2))
    assert score([str(photographs / "more")], to).total == 0
    assert len(rows_of(to)) == 23


def test_home_that_nobody_has_is_said(tmp_path: Path) -> None:
    with pytest.raises(HarError, match=r"^~nobody-at-all has no home here; a folder called so is"):
        score([str(tmp_path)], "~nobody-at-all/results")


def test_file_that_a_list_names_and_that_is_missing_is_tried_again(
    inline: None, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("later.jpg\nnowhere/x.jpg\n")
    to, source = str(tmp_path / "results"), str(tmp_path / "list.txt")
    assert score([source], to).errors == 2
    assert set(rows_of(to)["reason"]) == {"unreadable"}
    (tmp_path / "later.jpg").write_bytes(photo_bytes("sitting"))
    again = score([source], to)
    assert (again.total, again.errors) == (2, 1)
    assert rows_of(to)["action"].fillna("none").tolist() == ["sitting", "none"]


def test_results_of_another_model_are_not_mixed(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    to = str(tmp_path / "results")
    score([str(photographs / "more")], to)
    write_tiny_bundle(tmp_path / "models", "warmer", temperature=2.0)
    with pytest.raises(DatasetError, match=r"holds answers of 'tiny' .*name another folder"):
        score([str(photographs)], to, model="warmer")
    write_tiny_bundle(tmp_path / "models", "renamed")  # which answers as before
    assert score([str(photographs / "more")], to, model="renamed").total == 0


def test_whatever_an_answer_depends_on_makes_it_another_models(tiny_models: Path) -> None:
    manifest = read_manifest(tiny_models / "tiny")
    changes: tuple[dict[str, Any], ...] = (
        {"input_size": 96},
        {"preprocessing": "caffe"},
        {"class_names": manifest.class_names[::-1]},
        {"temperature": 2.0},
        {"answers": {"abstain_below": 0.5}},
        {"files": {**manifest.files, ONNX_FILE: "another"}},
        {"files": {**manifest.files, NOVELTY_FILE: "another"}},
    )
    others = [fingerprint(replace(manifest, **change)) for change in changes]
    assert len({fingerprint(manifest), *others}) == 1 + len(changes)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "There is no"),
        ("nowhere/*.jpg", "Nothing matches"),
        ("empty", r"empty holds no photographs\.$"),
        ("tables", r"tables holds no photographs\. .* named by a pattern: '.*/tables/\*\.tar'\.$"),
        ("emp*y", r"emp\*y holds no photographs\.$"),
        ("empty.txt", r"empty\.txt names no photographs"),
        ("empty.csv", r"empty\.csv names no photographs"),
        ("empty.tar", r"The tar file .*empty\.tar holds no photographs\.$"),
        ("table.csv", "Which column of .* names the photographs"),
        ("nothing.csv", r"^Cannot read the table .*nothing\.csv: it is empty\.$"),
        ("wide.csv", r"wide\.csv: it is no text; save it as CSV in UTF-8\.$"),
        ("shard.tar.gz", "compressed tar"),
        ("photographs.zip", "is an archive that is not read"),
        ("list.jsonl", r"is a kind of list that is not read: .* \.txt, .*\.csv or \.parquet"),
        ("list.JSON", "is a kind of list that is not read"),
        ("list.xlsx", "is a kind of list that is not read"),
        ("shard.tar", "Cannot read the tar file"),
        ("bad.parquet", "Cannot read the table"),
    ],
)
def test_source_that_is_none_is_one_line(
    inline: None, tmp_path: Path, source: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    (tmp_path / "nothing.csv").write_text("")
    (tmp_path / "wide.csv").write_text("filename\na.jpg\n", encoding="utf-16")
    (tmp_path / "tables").mkdir()
    for name in ("tables/a.csv", "empty.csv"):
        (tmp_path / name).write_text("filename,label\n")
    (tmp_path / "empty.txt").write_text("\n")
    tarfile.open(tmp_path / "empty.tar", "w").close()
    lists = ("list.jsonl", "list.JSON", "list.xlsx")
    for name in ("shard.tar.gz", "shard.tar", "photographs.zip", "bad.parquet", *lists):
        (tmp_path / name).write_bytes(b"nothing of the kind" * 40)
    with pytest.raises(HarError, match=message):
        score([str(tmp_path / source)], str(tmp_path / "results"))


def test_notes_beside_photographs_end_no_job(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    (photographs / "more" / "notes.json").write_text("{}")
    status = score([str(photographs / "more" / "*")], str(tmp_path / "results"))
    assert status.errors == len(["photo_052.jpg", "notes.json"]) < status.total


def test_folder_of_something_else_is_not_written_to(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    to = tmp_path / "results"
    score([str(photographs / "more")], str(to))
    (to / INFO_FILE).unlink()
    with pytest.raises(DatasetError, match=r"has parts but no _results\.json"):
        score([str(photographs)], str(to))


def test_name_that_is_no_unicode_is_scored(inline: None, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        (folder / name).write_bytes(photo_bytes("running"))
    except OSError:
        pytest.skip("this disk wants Unicode")
    to = str(tmp_path / "results")
    assert score([str(folder)], to).errors == 0
    assert score([str(folder)], to).total == 0
    shutil.rmtree(folder)


def test_model_without_features_is_said_to_be_one_and_what_helps(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    with pytest.raises(HarError, match=r"'tiny' gives no features\. 'har calibrate tiny --data"):
        score([str(photographs)], str(tmp_path / "results"), with_features=True)
    assert not (tmp_path / "results").exists()


def test_command_says_every_time_that_some_cannot_be_used(
    photographs: Path, inline: None, tmp_path: Path
) -> None:
    arguments = ["score", str(photographs), str(photographs / "more"), "--to", str(tmp_path / "to")]
    first, again = (har(*arguments) for _ in range(2))
    assert (first.returncode, again.returncode) == (1, 1)
    assert "90 photographs of 90 had been scored before" in again.stdout
    assert "6 of them cannot be used" in again.stdout


def test_sources_and_results_below_a_name_that_is_no_unicode(inline: None, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        (folder / "in").mkdir(parents=True)
    except OSError:
        pytest.skip("this disk wants Unicode")
    (folder / "in" / "a.jpg").write_bytes(photo_bytes("running"))
    (folder / "list.txt").write_text("in/a.jpg\n")
    (folder / "table.csv").write_text("filename,label\na.jpg,running\n")
    with tarfile.open(folder / "b.tar", "w") as archive:
        archive.add(folder / "in" / "a.jpg", "a.jpg")
    for source in (folder, folder / "list.txt", folder / "table.csv", folder / "b.tar"):
        status = score([str(source)], str(tmp_path / "results"))
        assert (status.listed, status.errors) == (1, 0), source
    found = read_status(Results(str(tmp_path / "results")))
    assert found is not None and found.sources == [f"{tmp_path}/caf%E9/b.tar"]
    evaluation, _ = evaluate_results(Results(str(tmp_path / "results")), folder / "table.csv")
    assert evaluation.raw.n == 1
    assert scan_sources([str(folder)]).measured == 1
    with pytest.raises(HarError, match="There is no"):
        score([str(folder / "nothing")], str(tmp_path / "results"))
