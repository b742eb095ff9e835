import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import zipfile
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import typer

import har_core.__main__ as entry
from har_core import Prediction
from har_core.cli.main import COMMANDS
from har_core.cli.options import with_optional_values
from har_core.cli.predict import _as_csv, predict
from har_core.model import bundle
from tests.command_line import har
from tests.drawing import CLASS_NAMES, colour_network, draw_photo, encode, photo_bytes
from tests.guarded import checkerboard, write_guarded_bundle


@pytest.fixture
def run(tiny_models, tmp_path, monkeypatch):
    """Run the command line in a folder of its own."""
    monkeypatch.delenv("HAR_DATASET", raising=False)
    return partial(har, folder=tmp_path)


@pytest.fixture
def run_process(tiny_models, tmp_path, monkeypatch):
    """Run the command line as a process in a folder of its own."""
    monkeypatch.delenv("HAR_DATASET", raising=False)

    def run_command(*arguments, stdin=b""):
        return subprocess.run(
            [sys.executable, "-m", "har_core", *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=tmp_path,
            timeout=120,
        )

    return run_command


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, label in enumerate(CLASS_NAMES):
        (folder / f"{label}.jpg").write_bytes(photo_bytes(label, seed))
    return folder


def test_folder_is_predicted_as_lines_for_a_pipe(run, photos):
    result = run("predict", photos)
    assert result.returncode == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert [line[1] for line in lines] == list(CLASS_NAMES)
    assert all(len(line) == 8 and line[7] == "answered" for line in lines)
    unsure = run("predict", photos, "--abstain-below", "1").stdout
    assert [line.split("\t")[7] for line in unsure.splitlines()] == ["unsure"] * 3


def test_no_answer_is_written_over_what_is_read(run, photos):
    table = photos / "list.txt"
    table.write_text("running.jpg\n")
    before = table.read_bytes()
    for option in ("--csv", "--json"):
        refused = run("predict", table, option, table)
        assert refused.returncode == 2 and "list.txt" in refused.stderr
    assert table.read_bytes() == before


def test_names_and_what_lies_beside_photographs_reach_the_terminal_as_text(run, photos):
    (photos / "a\nb\x1b[31m.jpg").write_bytes(photo_bytes())
    (photos / "c\td.jpg").write_bytes(b"no picture")
    (photos / "nameless").write_bytes(photo_bytes())
    (photos / "gone.jpg").symlink_to(photos / "nowhere")
    os.mkfifo(photos / "pipe.jpg")
    result = run("predict", photos)
    assert result.returncode == 1
    assert [len(line.split("\t")) for line in result.stdout.splitlines()] == [8] * 5
    assert "a%0Ab%1B[31m.jpg" in result.stdout and "c%09d.jpg: " in result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert "passed over 2 files that are no photographs" in result.stderr
    assert "1 × a link that leads nowhere" in result.stderr


def test_a_web_address_is_not_fetched_and_it_is_said(run):
    result = run("predict", "https://example.org/a.jpg")
    assert result.returncode == 2
    assert "is a web address, which is not fetched" in result.stderr
    result = run("predict", "s3://bucket/a b.jpg")
    assert result.returncode == 2
    assert "curl" not in result.stderr and "web" not in result.stderr
    assert "har score 's3://bucket/a b.jpg' --to FOLDER" in " ".join(result.stderr.split())


def test_a_table_without_labels_stands_for_its_photographs(run, photos):
    (photos / "Testing_set.CSV").write_text("filename\nrunning.jpg\nsitting.jpg\ngone.jpg\n")
    result = run("predict", photos / "Testing_set.CSV")
    lines = [line.split("\t")[:2] for line in result.stdout.splitlines()]
    assert [action for _, action in lines] == ["running", "sitting"]
    assert result.returncode == 1 and "gone.jpg: " in result.stderr


def test_json_goes_to_stdout_or_a_file(run, photos, tmp_path):
    entries = json.loads(run("predict", photos, "--json").stdout)
    new = {"answer", "in_scope", "novelty", "answer_set"}
    old = {"filename", "action", "confidence", "all_predictions", "model"}
    assert entries[0].keys() == {*old, *new}
    assert sum(entries[0]["all_predictions"].values()) == pytest.approx(1)
    assert run("predict", photos, "--json", "out.json").stdout == ""
    assert json.loads((tmp_path / "out.json").read_text()) == entries


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("scan D --json", "scan D --json -"),
        ("scan D --json --csv f.csv", "scan D --json - --csv f.csv"),
        ("scan D --json -h", "scan D --json - -h"),
        ("predict --json - p.jpg", "predict --json - p.jpg"),
        ("predict -- --json", "predict -- --json"),
    ],
)
def test_option_without_a_file_means_stdout(given, meant):
    assert with_optional_values(given.split(), {"--json", "--csv"}) == meant.split()


def test_what_stands_behind_two_hyphens_are_no_options(run):
    answer = run("predict", "--", "--explain", "-", "--csv", stdin=photo_bytes("sitting"))
    assert [line.split("\t")[1] for line in answer.stdout.splitlines()] == ["sitting"]
    assert "--explain: " in answer.stderr and "--csv: " in answer.stderr


def test_csv_tells_classes_apart_that_differ_by_an_apostrophe_alone():
    prediction = Prediction.from_probabilities(("=sum", "'=sum"), np.array([0.2, 0.8]))
    (row,) = csv.DictReader(io.StringIO(_as_csv([("a.jpg", prediction)], top=2)))
    assert (row["action_1"], row["action_2"]) == ("''=sum", "'=sum")


def test_csv_ranks_the_actions_and_neutralises_formulas(run, tmp_path):
    (tmp_path / "=cmd.jpg").write_bytes(photo_bytes("running"))
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    result = run("predict", "=cmd.jpg", "bad.jpg", "--csv", "--top", "4")  # of three classes
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert (rows[0]["verdict"], rows[0]["error"], rows[0]["action_4"]) == ("answered", "", "")
    assert "not an image" in rows[1]["error"] and not rows[1]["verdict"] + rows[1]["action_1"]
    result = run("predict", "=cmd.jpg", "--csv", "--top", "2")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert rows[0]["filename"] == "'=cmd.jpg"
    assert rows[0]["action_1"] == "running"
    assert list(rows[0]) == [
        "filename",
        "action_1",
        "confidence_1",
        "action_2",
        "confidence_2",
        "verdict",
        "answer",
        "in_scope",
        "novelty",
        "answer_set",
        "error",
        "warning",
    ]


def test_csv_says_why_the_model_abstains_and_from_when_on_is_asked(run, photos, tiny_models):
    write_guarded_bundle(tiny_models)
    (photos / "board.png").write_bytes(checkerboard())

    def verdicts(*options):
        result = run("predict", photos, "--model", "guarded", "--csv", *options)
        rows = csv.DictReader(io.StringIO(result.stdout))
        return {row["filename"].rpartition("/")[2]: row for row in rows}

    usual = verdicts()
    assert usual["board.png"]["verdict"] == "foreign" and usual["board.png"]["answer"] == ""
    assert (usual["board.png"]["in_scope"], usual["board.png"]["novelty"]) == ("false", "1.0000")
    assert 0 < float(usual["running.jpg"]["novelty"]) < 1
    assert usual["running.jpg"]["answer"] == "running"
    assert usual["running.jpg"]["answer_set"].split()[0] == "running"
    assert verdicts("--abstain-below", "1")["running.jpg"]["verdict"] == "unsure"


def test_explanations_are_pictures_named_like_the_photographs(run, photos, tmp_path):
    (photos / "page.jpg").write_text("<html>404</html>")
    result = run("predict", photos, "--explain", "why")
    assert sorted(p.name for p in (tmp_path / "why").iterdir()) == [
        f"{label}.png" for label in sorted(CLASS_NAMES)
    ]
    assert "Wrote 3 pictures to why" in result.stderr


def test_explanations_replace_earlier_ones_and_no_photograph(run, photos):
    photograph = photos / "running.jpg"
    beside = photos / "running.png"
    beside.write_bytes(encode(draw_photo("sitting"), "PNG"))
    before = beside.read_bytes()
    refused = run("predict", photograph, "--explain", photos)
    assert refused.returncode == 2 and "name another folder" in refused.stderr
    assert beside.read_bytes() == before and not refused.stdout
    refused = run("predict", photograph, "--explain", photograph)
    assert refused.returncode == 2 and "is no folder" in refused.stderr and not refused.stdout
    assert [run("predict", photograph, "--explain", "why").returncode for _ in range(2)] == [0, 0]


def test_photographs_of_one_name_have_a_picture_each(run, photos, tmp_path):
    named = [photos / name for name in ("a_3.jpg", "b/a.jpg", "c/a.jpg")]
    for path in named:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(photo_bytes("running"))
    run("predict", *named, "--explain", "why")
    assert len(list((tmp_path / "why").iterdir())) == 3


def test_bad_file_is_reported_and_exits_1_while_the_others_are_predicted(run_process, photos):
    (photos / "page.jpg").write_text("<html>404</html>")
    result = run_process("predict", photos, "-", stdin=photo_bytes("sitting"))
    assert result.returncode == 1
    assert len(result.stdout.splitlines()) == 4
    assert b"page.jpg" in result.stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("predict photos >&-", 0),
        ("predict photos --json - >&- 2>&-", 0),
        ("predict - <&-", 1),
        ("merge-labels --dataset nowhere --output - <&- >&- 2>&-", 2),
        ("merge-labels --dataset nowhere --output - 2>/dev/full", 2),
    ],
)
def test_streams_that_are_closed_end_no_command(photos, tmp_path, tiny_models, command, code):
    result = subprocess.run(
        ["/bin/sh", "-c", f'"$0" -m har_core {command}', sys.executable],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
    )
    assert result.returncode == code
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_a_full_disk_behind_stdout_is_said(tiny_models, options):
    command = [sys.executable, *options, "-m", "har_core", "models"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("Error: Cannot write to stdout")
    assert ended.stderr.endswith(": No space left on device.\n")
    assert ended.stderr.count("\n") == 1


def test_whoever_reads_no_further_sees_no_error(tiny_models):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "har_core", "models"]
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_mistake_is_one_line_and_exits_2(run_process):
    result = run_process("predict", "x.jpg", "--model", "nowhere")
    assert result.returncode == 2
    assert result.stderr.startswith(b"Error: There is no model 'nowhere'")
    assert result.stderr.count(b"\n") == 1


def test_of_a_stream_no_more_is_read_than_a_photograph_may_have(tiny_models, monkeypatch, capsys):
    class Endless(io.RawIOBase):
        read_bytes = 0

        def readable(self):
            return True

        def readinto(self, buffer):
            Endless.read_bytes += len(buffer)
            assert Endless.read_bytes < 2**26
            return len(buffer)

    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(Endless())))
    with pytest.raises(typer.Exit):
        predict(["-"])
    assert "at most 20 MB are read" in capsys.readouterr().err


def test_pattern_and_stdin_are_read(run, photos, monkeypatch):
    assert run("predict", str(photos / "r*.jpg")).stdout.count("\n") == 1
    (photos / "deep" / "closed").mkdir(parents=True)
    scandir = os.scandir

    def refuse(path):
        if path.endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    result = run("predict", "photos/**")
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [
        f"photos/{label}.jpg" for label in sorted(CLASS_NAMES)
    ]
    assert "Cannot list photos/deep/closed: Permission denied." in result.stderr
    assert "sitting" in run("predict", "-", stdin=photo_bytes("sitting")).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "x.jpg", "--model", "nowhere"), "There is no model 'nowhere'"),
        (("predict", "*.nothing"), "Nothing matches"),
        (("predict",), "Missing argument"),
        (("predict", ""), "An argument is empty"),
        (("scan", ""), "An argument is empty"),
        (("score", "", "--to", "results"), "An argument is empty"),
        (("score", ".", "--to", ""), "--to is empty"),
        (("score", ".", "--to="), "--to is empty"),
        (("scan", ".", "--to", ""), "--to is empty"),
        (("scan", ".", "--json", ""), "--json is empty; is a variable not set?\n"),
        (("suspects", "", "--table", "x.csv"), "An argument is empty"),
        (("suspects", ".", "--table", ""), "--table is empty"),
        (("suspects", ".", "--table", "x.csv", "--scan", ""), "--scan is empty"),
        (("evaluate", "--dataset", ""), "--dataset is empty"),
        (("evaluate", "", "--table", "x.csv"), "An argument is empty"),
        (("predict", "x.jpg", "--explain", ""), "--explain is empty"),
        (("train", "--name", "x", "--dataset", ".", "--runs-dir", ""), "--runs-dir is empty"),
        (("train", "--name", "x", "--dataset", ".", "--unlabelled", ""), "--unlabelled is empty"),
        (("unpack", "--output", "x", ""), "An argument is empty"),
        (("unpack", ".", "--output", ""), "--output is empty"),
        (("import-model", "x.h5", "--class-indices", ""), "--class-indices is empty"),
        (("review", "--dataset", ".", "--import", ""), "--import is empty"),
        (("export", ""), "An argument is empty"),
        (("export", "-"), "not to stdout"),
        (("score", ".", "--to", "-"), "--to takes no -"),
        (("predict", "x.jpg", "--explain", "-"), "--explain takes no -"),
        (("unpack", ".", "--output", "-"), "--output takes no -"),
        (("evaluate", "--dataset", ".", "--csv"), "'--csv' requires an argument"),
        (("evaluate", "--dataset", ".", "--table", "s3://b/c.csv"), "s3://b/c.csv is not on this"),
        (("predict", "--", "x.jpg", ""), "An argument is empty"),
        (("predict", "--nonsense", "--model", "", ""), "No such option: --nonsense"),
        (("compare", "tiny", "other", "--verdict", "--split", "test"), "leave out --split"),
        (("predict", "--json", "photo.jpg", "x"), "is the name of a photograph"),
        (("predict", "x.jpg", "--abstain-below", "2"), "--abstain-below"),
        (("train", "--name", "x"), "HAR_DATASET"),
        (("train", "--name", "x", "--dataset", "nowhere"), "no dataset folder"),
        (("train", "--name", "../x", "--dataset", "."), "cannot be a model name"),
        (("train", "--name", "x", "--dataset", ".", "--unlabelled", "."), "goes with --teacher"),
        (
            ("train", "--name", "x", "--dataset", ".", "--unlabelled", "no", "--teacher", "tiny"),
            "There is no folder no",
        ),
        (("train", "--name", "x", "--dataset", ".", "--base", "tiny"), "goes with --effort"),
        (
            ("train", "--name", "x", "--dataset", ".", "--recipe", "r", "--effort", "quick"),
            "exclude each other",
        ),
        (
            ("train", "--name", "x", "--dataset", ".", "--recipe", "r", "--epochs", "3"),
            "leave the options of others out",
        ),
        (("evaluate", "results", "--table", "t.csv", "--report", "r.html"), "no --report"),
        (("models", "--json", "models/tiny/bundle.json"), "is a model bundle"),
        (("export", "models/tiny/copy.onnx"), "is a model bundle"),
        (("calibrate", "tiny", "--dataset", "."), "does not record its splits"),
        (("quantise", "tiny", "--dataset", "."), "or does not record its splits"),
        (("export", "model.txt"), ".onnx, .keras or .zip"),
        (("import-model", "x.h5"), "--class-indices"),
    ],
)
def test_usage_and_set_up_mistakes_exit_2_in_few_words(run, arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_model_is_listed_in_one_line_whatever_its_folder_is_called(run, tiny_models):
    (tiny_models / "a\tb\n\x1b[31m").mkdir()
    listed = run("models").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["tiny", "a%09b%0A%1B[31m"]


def test_an_export_that_cannot_be_written_is_refused_before_the_work(run):
    refused = run("export", "nowhere/tiny.onnx")
    assert refused.returncode == 2 and "there is no folder" in refused.stderr


def test_models_are_listed_and_exported(run, tmp_path, monkeypatch):
    assert run("models").stdout.startswith("tiny\t3 classes")
    assert run("models").stdout.endswith("\tdefault\n")
    (listed,) = json.loads(run("models", "--json").stdout)
    assert listed["name"] == "tiny" and listed["default"] is True
    (tmp_path / "link").symlink_to(tmp_path / "models")
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "link"))
    assert json.loads(run("models", "--json").stdout)[0]["default"] is True
    shutil.copytree(tmp_path / "models" / "tiny", tmp_path / "elsewhere")
    monkeypatch.setenv("HAR_MODEL", str(tmp_path / "elsewhere"))
    result = run("models")
    assert "default" not in result.stdout
    assert f"The default is {tmp_path / 'elsewhere'} (HAR_MODEL)." in result.stderr
    monkeypatch.setenv("HAR_MODEL", "gone")
    result = run("models")
    assert "default" not in result.stdout and "no model 'gone'" in result.stderr
    monkeypatch.delenv("HAR_MODEL")
    zipped = run("export", "tiny.zip")
    assert (zipped.returncode, "scaled" in zipped.stderr) == (0, False)
    with zipfile.ZipFile(tmp_path / "tiny.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    assert bundle.verify_bundle(tmp_path / "unpacked" / "tiny").name == "tiny"
    alone = run("export", "tiny.onnx")
    assert alone.returncode == 0
    assert re.search(r"pixels, scaled \w+; its classes are in the order of ", alone.stderr)
    assert run("export", "tiny.keras").returncode == 2


def test_ctrl_c_ends_any_command_with_a_word_and_exit_code_2(run, monkeypatch, capsys):
    monkeypatch.setattr(bundle, "list_bundles", lambda: signal.raise_signal(signal.SIGINT))
    # What runs in a shell's background begins with this signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    result = run("models")
    assert (result.returncode, result.stderr) == (2, "Interrupted.\n")
    program = import_module("har_core.cli.main")
    monkeypatch.setattr(program, "main", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit, match="2"):
        entry.main()
    signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == "Interrupted.\n"


def test_serve_says_which_address_is_taken(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run("serve", "--host", "127.0.0.1", "--port", taken.getsockname()[1])
    assert result.returncode == 2
    assert "Address already in use. Choose another with --host and --port" in result.stderr


def test_every_command_explains_itself(run):
    for command in (
        "predict",
        "train",
        "calibrate",
        "quantise",
        "import-model",
        "models",
        "export",
    ):
        result = run(command, "--help")
        assert result.returncode == 0
        assert "Usage" in result.stdout


def test_import_shows_what_a_photograph_is_taken_for_under_every_scaling(run, photos, tmp_path):
    (tmp_path / "colour.onnx").write_bytes(colour_network())
    (tmp_path / "names.txt").write_text("\n".join(CLASS_NAMES))
    given = ("import-model", "colour.onnx", "--class-indices", "names.txt", "--name", "colour")
    assert "say with --preprocessing how it was trained" in run(*given).stderr
    assert "add --try PHOTO" in run(*given, "--expect", "running").stderr
    trial = ("--try", photos / "running.jpg", "--expect", "running")
    result = run(*given, "--preprocessing", "minus_one_to_one", *trial)
    assert result.returncode == 0, result.stderr
    lines = result.stderr.splitlines()
    assert "What it says of running.jpg:" in lines
    said = [line for line in lines if line.startswith("  ")]
    assert len(said) == 5
    assert said[0].startswith("  scaled minus_one_to_one, as it is now: running ")


def test_export_says_how_equal_it_is(run, tmp_path):
    result = run("export", "card", "--format", "hf")
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "card" / "README.md").read_text().startswith("---\n")
    assert "differ from the bundle's by at most 0" in result.stderr


def test_every_module_of_commands_holds_the_commands_that_lead_to_it():
    for group, commands in COMMANDS.items():
        app = import_module(f"har_core.cli.{group}").app
        assert (
            tuple(command.name or command.callback.__name__ for command in app.registered_commands)
            == commands
        )


def test_a_prediction_imports_nothing_that_it_does_not_need(tiny_models, photos):
    code = (
        "import sys; from har_core.cli import main; sys.argv = ['har', 'predict', sys.argv[1]]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(sys.modules))"
    )
    photo = next(photos.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", code, photo], capture_output=True, check=True, text=True
    )
    line, imported = done.stdout.splitlines()
    assert line.startswith(str(photo))
    assert "har_core.cli.predict" in imported
    for name in (
        "har_core.cli.train",
        "har_core.cli.evaluate",
        "har_core.training",
        "har_core.keras_io.loading",
        "har_core.model.importing",
        "har_core.dataset",
        "importlib.metadata",
        "pydantic",
        "rich",
    ):
        assert f"'{name}'" not in imported
