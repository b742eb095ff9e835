"""Results are never written over what they are made from; tables and layouts reach the commands."""

import os
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from har_core.cli.datasets import check_outputs, read_dataset, table_in
from har_core.cli.inputs import find_photographs
from har_core.cli.main import application
from har_core.dataset.table import open_dataset
from har_core.errors import HarError
from tests.command_line import har
from tests.drawing import CLASS_NAMES, photo_bytes

TABLE = "filename,label\na.jpg,x\n"


@pytest.fixture
def inputs(tiny_dataset: Path, tiny_models: Path, tmp_path: Path) -> Path:
    """Return a folder with names, links and other ways to say each kind of input."""
    (tiny_dataset / "old labels.csv").write_text(TABLE)
    (tiny_dataset / "results.csv").write_text("filename,label,prediction,confidence\n")
    (tiny_dataset / "notes.json").write_text("{}")
    (tmp_path / "link.csv").symlink_to(tiny_dataset / "train.csv")
    (tmp_path / "photo.html").symlink_to(tiny_dataset / "train" / "running_0.jpg")
    os.link(tiny_dataset / "train.csv", tmp_path / "hard link.html")
    (tmp_path / "renamed.txt").write_bytes(photo_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("dataset/train.csv", "table of photographs"),
        ("dataset/../dataset/train.csv", "table of photographs"),
        ("dataset/old labels.csv", "table of photographs"),
        ("link.csv", "table of photographs"),
        ("hard link.html", "is read by this command"),
        ("dataset/train/running_0.jpg", "name of a photograph"),
        ("new.jpg", "name of a photograph"),
        ("photo.html", "is a photograph"),
        ("renamed.txt", "is a photograph"),
        ("dataset/train", "is a folder"),
        ("models/tiny/model.onnx", "is a model bundle"),
        ("models/tiny/new.csv", "is a model bundle"),
        ("a" * 300, "Cannot write"),
        ("dataset/har_decisions.json", "decisions about photographs"),
    ],
)
def test_an_output_that_would_destroy_something_is_refused(
    inputs: Path, output: str, reason: str
) -> None:
    with pytest.raises(HarError, match=reason):
        check_outputs([None, "-", inputs / output], dataset=open_dataset(inputs / "dataset"))


def test_results_are_measured_by_the_labels_of_a_dataset_of_any_layout(tiny_dataset: Path) -> None:
    usual = tiny_dataset / "train.csv"
    assert table_in(tiny_dataset) == usual
    other = usual.rename(tiny_dataset / "labels.csv")
    assert table_in(tiny_dataset) == other
    other.unlink()
    (tiny_dataset / "train").rename(tiny_dataset / "running")
    (tiny_dataset / "sitting").mkdir()
    (tiny_dataset / "running" / "sitting_0.jpg").rename(tiny_dataset / "sitting" / "0.jpg")
    command = ["evaluate", "results", "--dataset", str(tiny_dataset)]
    said = str(CliRunner().invoke(application(), command).exception)
    assert f"are in no table; make one: har scan {tiny_dataset} --csv {other}" in said


def test_no_command_writes_over_a_table_of_labels(
    tiny_dataset: Path, tiny_models: Path, tmp_path: Path
) -> None:
    table = tiny_dataset / "train.csv"
    before = table.read_text()
    for command in (
        "predict dataset/train --json TABLE",
        "predict dataset/train --csv TABLE",
        "scan dataset --csv TABLE",
        "scan dataset/train/*.jpg --json TABLE",
        "suspects results --table TABLE --csv TABLE",
        "evaluate --dataset dataset --json TABLE",
        "evaluate --dataset dataset --predictions TABLE",
        "evaluate --dataset dataset --report TABLE",
        "evaluate results --table TABLE --json TABLE",
        "merge-labels --dataset dataset --output TABLE",
        "review --dataset dataset --export TABLE",
        "review --dataset dataset --next TABLE",
        "train --dataset dataset --name x --effort quick --events TABLE",
        "models --json TABLE",
    ):
        words = ["dataset/train.csv" if word == "TABLE" else word for word in command.split()]
        ended = har(*words, folder=tmp_path)
        assert (ended.returncode, table.read_text()) == (2, before), command
        assert "table of photographs, which would be lost" in ended.stderr, command


@pytest.mark.parametrize(
    "command",
    [
        "evaluate made --table dataset/train.csv --json made/_results.json",
        "suspects made --table dataset/train.csv --csv made/part-a-00000000-00000001.parquet",
        "scan dataset/train/*.jpg --to scanned --csv scanned/_findings.parquet",
        "scan dataset/train/*.jpg --to scanned --json scanned/_scan.json",
        "train --dataset dataset --name x --recipe recipe.toml --events recipe.toml",
    ],
)
def test_no_command_writes_over_results_or_a_recipe_that_it_reads(
    tiny_dataset: Path, tmp_path: Path, command: str
) -> None:
    output = tmp_path / command.split()[-1]
    output.parent.mkdir(exist_ok=True)
    for name in ("made/_results.json", "scanned/_scan.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    output.write_text("{}")
    ended = har(*command.split(), folder=tmp_path)
    assert (ended.returncode, output.read_text()) == (2, "{}")
    assert "of results or of a scan" in ended.stderr or "is read by this command" in ended.stderr
    for name in ("metrics.json", "part-time.csv", "PART-1.json"):
        check_outputs([output.with_name(name)])


@pytest.mark.parametrize("name", ["train.csv", "val/Metadata.tsv", "link.csv"])
def test_no_result_is_called_as_the_table_that_a_dataset_lacks(tmp_path: Path, name: str) -> None:
    (tmp_path / "val").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "train.csv")
    with pytest.raises(HarError, match="has the name of a dataset's table"):
        check_outputs([tmp_path / name])
    check_outputs([tmp_path / name], is_table=True)  # of merge-labels
    check_outputs([tmp_path / "metadata.csv", tmp_path / "val" / "train.json"])


def test_a_link_leads_around_no_refusal(tmp_path: Path) -> None:
    for name, said in (
        ("bundle.json", "is a model bundle"),
        ("_results.json", "of results or of a scan"),
        ("har_decisions.json", "where decisions about photographs are kept"),
    ):
        kept = tmp_path / name[:3] / name
        kept.parent.mkdir()
        kept.write_text("{}")
        link = tmp_path / f"{kept.parent.name}.json"
        link.symlink_to(kept)
        with pytest.raises(HarError, match=said):
            check_outputs([link])


def test_a_file_that_is_read_is_refused_whatever_it_is(inputs: Path) -> None:
    notes = inputs / "dataset" / "notes.json"
    check_outputs([notes])
    with pytest.raises(HarError, match="is read by this command"):
        check_outputs([notes], [notes])


@pytest.mark.parametrize("source", ["URI", "file:~", "~/a list.txt", "*.txt", "**/*"])
def test_a_list_is_read_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    named = tmp_path / "a list.txt"
    named.write_text("photo.jpg\n")
    source = source.replace("URI", named.as_uri()).replace("file:~", f"file:{named}")
    ended = har("scan", source, "--json", named.name, folder=tmp_path)
    assert (ended.returncode, named.read_text()) == (2, "photo.jpg\n")
    assert "is read by this command" in ended.stderr


@pytest.mark.parametrize(
    "command", ["evaluate made --json", "suspects made --csv", "scan a.jpg b.jpg --csv"]
)
@pytest.mark.parametrize("named", ["~/t.csv", "URI"])
def test_a_table_of_labels_is_read_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, named: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    table = tmp_path / "t.csv"
    table.write_text("uri,klass\nphoto.jpg,sitting\n")
    named = named.replace("URI", table.as_uri())
    ended = har(*command.split(), table.name, "--table", named, folder=tmp_path)
    assert (ended.returncode, table.read_text()) == (2, "uri,klass\nphoto.jpg,sitting\n")
    assert "is read by this command" in ended.stderr


def test_the_table_of_a_dataset_may_lie_at_home(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tiny_dataset))
    ended = har("scan", tiny_dataset, "--table=~/train.csv", "--json")
    assert "low_information" in ended.stdout, ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        "scan photos --json=~/out",
        "scan photos --json ~/out",
        "review --dataset=~/photos --export=~/out",
        "merge-labels --dataset=~/photos --table=~/photos/train.csv --output=~/out",
    ],
)
def test_a_tilde_that_the_shell_left_is_the_home(
    tiny_dataset: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("HOME", str(tiny_dataset.parent))
    tiny_dataset.rename(tiny_dataset.with_name("photos"))
    ended = har(*command.split(), folder=tiny_dataset.parent)
    assert (tiny_dataset.parent / "out").is_file(), ended.stderr


def test_training_from_a_page_follows_no_links_out_of_the_folder(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny_dataset / "train").rename(tmp_path / "store")
    (tiny_dataset / "train").symlink_to(tmp_path / "store")
    monkeypatch.delenv("HAR_DATASET", raising=False)
    command = ["train", "--dataset", str(tiny_dataset), "--name", "x", "--no-follow-links"]
    answer = CliRunner().invoke(application(), command)
    assert isinstance(answer.exception, HarError)
    assert "The link train leads out of the folder and is not followed" in str(answer.exception)
    assert read_dataset(tiny_dataset, None).rows["path"].notna().all()


def test_every_command_that_asks_for_columns_takes_them(tiny_dataset: Path) -> None:
    table = tiny_dataset / "train.csv"
    table.write_text(table.read_text().replace("filename,label", "Datei,Etikett"))
    review = ["review", "--dataset", str(tiny_dataset), "--export", "-"]
    refused = CliRunner().invoke(application(), review)
    assert "--columns" in str(refused.exception)
    columns = "filename=Datei,label=Etikett"
    answer = CliRunner().invoke(application(), [*review, "--columns", columns])
    assert answer.exit_code == 0, answer.exception
    assert len(find_photographs([str(table)], columns)[0]) == 12


def test_a_result_that_cannot_be_written_is_refused_before_the_work(inputs: Path) -> None:
    (inputs / "elsewhere.csv").symlink_to(inputs / "nowhere" / "a.csv")
    for name in ("nowhere/a.csv", "elsewhere.csv", "notes.txt/a.csv"):
        with pytest.raises(HarError, match="Cannot write"):
            check_outputs([inputs / name])
    check_outputs([inputs / "new" / "a.jsonl"], makes_folder=True)


@pytest.mark.parametrize(
    ("read_only", "said"), [("dataset", "the folder"), ("notes.json", "it is")]
)
def test_a_result_that_cannot_be_replaced_is_refused_before_the_work(
    inputs: Path, monkeypatch: pytest.MonkeyPatch, read_only: str, said: str
) -> None:
    # The superuser may write what its mode forbids.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != read_only)
    with pytest.raises(HarError, match=rf"Cannot write .*{said} .*read-only"):
        check_outputs([inputs / "dataset" / "notes.json"])
    check_outputs(["/dev/null", "-", None])


def test_two_results_for_stdout_are_refused() -> None:
    with pytest.raises(HarError, match="Two results would be written to stdout"):
        check_outputs(["-", None, "-"])


def test_a_merged_table_with_headings_of_its_own_is_said_to_need_them_again(
    tiny_dataset: Path, tmp_path: Path
) -> None:
    table = tmp_path / "eigene.csv"
    table.write_text("Datei,Etikett\na.jpg,Running\nb.jpg,running\n")
    merge = ["merge-labels", "--dataset", tiny_dataset, "--table", table, "--output", "-"]
    merged = har(*merge, "--columns", "filename=Datei,label=Etikett")
    assert merged.stdout.startswith("Datei,Etikett\n")
    assert "--columns filename=Datei,label=Etikett" in merged.stderr


def test_two_results_are_not_written_to_one_file(inputs: Path) -> None:
    with pytest.raises(HarError, match="Two results"):
        check_outputs([inputs / "new.csv", inputs / "dataset" / ".." / "new.csv"])


def test_results_may_be_written_again(inputs: Path) -> None:
    check_outputs(
        [inputs / "dataset" / "results.csv", inputs / "dataset" / "notes.json", inputs / "new.csv"],
        dataset=open_dataset(inputs / "dataset"),
    )


@pytest.mark.parametrize("columns", [None, "label=What he does"])
def test_spelling_variants_are_said_with_the_command_that_merges_them(
    tiny_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    label = columns.removeprefix("label=") if columns else "Label"
    given = ["--columns", columns] if columns else []
    table = tiny_dataset / "train.csv"
    lines = table.read_text().splitlines()
    rows = [f"{line},note {n}" for n, line in enumerate(lines[1:])]
    rows[4:6] = [row.replace(",running", ",Running") for row in rows[4:6]]
    rows[8] = rows[8].replace(",sitting", ", SITTING ")
    table.write_text("\n".join([f"filename,{label},Notes", *rows]))
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    scanned = CliRunner().invoke(application(), ["scan", str(tiny_dataset), *given])
    said = " ".join(scanned.stderr.split())
    assert "Which photographs they are" not in said
    assert "'Running' (2) and 'running' (2)" in said or "'running' (2) and 'Running' (2)" in said
    assert "'SITTING' (1) and 'sitting' (3)" in said
    command, options = said.split("To make them one: har ")[1].split(", then ")
    merged = CliRunner().invoke(application(), shlex.split(command))
    assert merged.exit_code == 0
    result = pd.read_csv(tiny_dataset / "merged.csv")
    assert result[label].value_counts().to_dict() == dict.fromkeys(CLASS_NAMES, 4)
    assert list(result["Notes"]) == [f"note {n}" for n in range(12)]
    again = CliRunner().invoke(application(), ["scan", str(tiny_dataset), *shlex.split(options)])
    assert again.exit_code == 0
    assert "spelling" not in again.stderr
    command = ["merge-labels", "--dataset", str(tiny_dataset), "--output", str(table), *given]
    refused = CliRunner().invoke(application(), command)
    assert isinstance(refused.exception, HarError)


def test_scan_says_where_the_photographs_with_findings_are_named(tiny_dataset: Path) -> None:
    (tiny_dataset / "train" / "running_0.jpg").write_bytes(b"nothing")
    scanned = CliRunner().invoke(application(), ["scan", str(tiny_dataset)])
    assert "Which photographs they are: --csv FILE" in scanned.stderr
    table = str(tiny_dataset / "findings.csv")
    scanned = CliRunner().invoke(application(), ["scan", str(tiny_dataset), "--csv", table])
    assert "Which photographs" not in scanned.stderr


@pytest.mark.parametrize(
    "options", [["{}"], ["{}", "--table", "{}/train.csv"], ["--dataset", "{}"]]
)
def test_suspects_of_a_dataset_say_how_they_are_found(tiny_dataset, options):
    ended = har("suspects", *(option.replace("{}", str(tiny_dataset)) for option in options))
    assert ended.returncode == 2
    assert f"har score {tiny_dataset} --to RESULTS --features" in ended.stderr
    assert "har suspects RESULTS --table" in ended.stderr


def test_a_dataset_may_be_named_to_a_scan_as_to_other_commands(tiny_dataset):
    named = har("scan", "--dataset", tiny_dataset, "--json")
    assert named.stdout == har("scan", tiny_dataset, "--json").stdout != ""
    both = har("scan", tiny_dataset, "--dataset", tiny_dataset)
    assert both.returncode == 2 and "without --dataset" in both.stderr
