"""`har scan` on sources that are no dataset folder finds what it finds in one."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from har_core.dataset import duplicates
from har_core.errors import DatasetError, HarError
from har_core.scale import jobs
from har_core.scale.labels import LabelTable, read_label_table
from har_core.scale.locks import hold_job
from har_core.scale.scanned import measuring, scanning
from har_core.scale.scanned.folder import FINDINGS_FILE, ScanFolder, scan_schema
from har_core.scale.scanned.scanning import SourceScan, scan_sources
from har_core.scale.sources.items import Item
from har_core.scale.sources.locations import open_filesystem
from har_core.scan.issues import ISSUE_KINDS, count_issues, issue_column, score_column
from har_core.scan.scanning import scan_dataset
from tests.command_line import har
from tests.drawing import photo_bytes
from tests.faults import plant_faults, write_scenes
from tests.har_core.scale.conftest import InlinePool

COLUMNS = [f(kind) for kind in ISSUE_KINDS for f in (score_column, issue_column)]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 26 scenes with each of the faults once; nothing in a test may change them."""
    folder = write_scenes(tmp_path_factory.mktemp("planted") / "dataset", 14)
    plant_faults(folder, scale=0.1)
    return folder


@pytest.fixture(autouse=True)
def inline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))


def by_name(photographs: pd.DataFrame) -> pd.DataFrame:
    names = photographs["filename"].str.replace(r"^.*[/#]", "", regex=True)
    return photographs.set_index(names).sort_index()


def test_findings_are_those_of_the_dataset_folder(planted: Path, tmp_path: Path) -> None:
    expected = by_name(scan_dataset(planted))
    expected = expected[expected["listed"]]
    found = scan_sources([str(planted / "train.csv")], str(tmp_path / "scan"))
    mine = by_name(found.photographs)
    pd.testing.assert_frame_equal(mine[COLUMNS], expected[COLUMNS], check_names=False, atol=1e-6)
    assert mine["label"].tolist() == expected["label"].tolist()
    counts = count_issues(mine)
    for kind in ("missing", "unreadable", "exact_duplicates", "near_duplicates", "label_conflict"):
        assert counts[kind] > 0, kind
    # The same groups, however they are numbered.
    groups = pd.crosstab(mine["duplicate_group"], expected["duplicate_group"])
    assert (groups.gt(0).sum() == 1).all() and (groups.gt(0).sum(axis=1) == 1).all()
    written = pq.read_table(tmp_path / "scan" / FINDINGS_FILE).to_pandas()
    assert written["uri"].tolist() == found.photographs["filename"].tolist()
    for kind in ISSUE_KINDS:
        flags = found.photographs[issue_column(kind)]
        assert written[issue_column(kind)].tolist() == flags.tolist()
    assert written["label"].tolist() == found.photographs["label"].tolist()


def test_every_kind_of_source_is_measured_alike(planted: Path, tmp_path: Path) -> None:
    paths = sorted(path for path in (planted / "train").iterdir())
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths))
    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        for path in paths:
            archive.add(path, path.name)
    contents = [path.read_bytes() for path in paths]
    pq.write_table(pa.table({"jpg": contents}), tmp_path / "bytes.parquet", row_group_size=5)
    pq.write_table(pa.table({"path": list(map(str, paths))}), tmp_path / "paths.parquet")
    expected: pd.DataFrame | None = None
    for number, source in enumerate(
        (planted / "train/*.jpg", "list.txt", "shard.tar", "bytes.parquet", "paths.parquet")
    ):
        to = tmp_path / f"scan{number}"
        found = scan_sources([str(tmp_path / source)], str(to)).photographs
        rows = pa.concat_tables(ScanFolder(str(to)).read_rows())
        assert rows.schema.equals(scan_schema()) and len(rows) == len(paths)
        table = found.sort_values(["sha256", "filename"], ignore_index=True)
        columns = [name for name in COLUMNS if "extension" not in name]  # cells have no names
        measured = ["size_bytes", "sharpness", "copies", "correlation"]
        table = table[["sha256", "reason", *measured, *columns]]
        assert not found["is_wrong_extension_issue"].any() or source != "bytes.parquet"
        if expected is None:
            expected = table
        pd.testing.assert_frame_equal(table, expected, atol=1e-6)


def test_only_what_is_new_is_read_and_what_is_gone_is_not_found(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photographs"
    shutil.copytree(planted / "train", folder)
    pattern, to = str(folder / "*.jpg"), str(tmp_path / "scan")

    def names(found: SourceScan) -> set[str]:
        return set(by_name(found.photographs).index)

    first = scan_sources([pattern], to)
    copy = next(name for name in names(first) if name.startswith("exact_copy"))
    assert by_name(first.photographs).loc[copy, "copies"] == 2
    (folder / copy).unlink()
    monkeypatch.setattr(measuring, "measure_usable", lambda data: pytest.fail("read again"))
    again = scan_sources([pattern], to)
    assert again.measured == 0 and names(again) == names(first) - {copy}
    assert set(again.photographs["copies"]) == {1, 2}  # that under another label
    monkeypatch.undo()
    monkeypatch.setattr(jobs, "LocalPool", InlinePool)
    shutil.copy(planted / "train" / copy, folder / "new.jpg")
    with hold_job(to), pytest.raises(HarError, match="Another job is writing"):
        scan_sources([pattern], to)
    both = scan_sources([pattern], to)
    assert both.measured == 1 and names(both) == names(again) | {"new.jpg"}


def test_near_duplicates_beyond_the_limit_are_found_by_hashing(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pattern, to = str(planted / "train/*.jpg"), str(tmp_path / "scan")
    expected = scan_sources([pattern], to).photographs
    monkeypatch.setattr(duplicates, "MOST_COMPARED", 5)
    found = scan_sources([pattern], to).photographs
    assert found["duplicate_group"].notna().sum() > 4
    pd.testing.assert_series_equal(found["duplicate_group"], expected["duplicate_group"])
    np.testing.assert_allclose(found["correlation"], expected["correlation"], atol=1e-6)


def test_labels_are_joined_by_content_and_contradictions_are_conflicts(
    planted: Path, tmp_path: Path
) -> None:
    pattern, to = str(planted / "train/scene_*.jpg"), str(tmp_path / "scan")
    plain = scan_sources([pattern], to).photographs
    assert not plain["is_unlabelled_issue"].any() and not plain["is_label_conflict_issue"].any()
    good = plain[plain["reason"].eq("")]
    first, second, third = good["sha256"].iloc[:3]
    labels = pd.DataFrame(
        {
            "sha256": [first, second, second, "f" * 64],
            "label": ["sitting", "running", "sitting", "sitting"],
        }
    )
    found = scan_sources([pattern], to, labels=LabelTable.of(labels))
    rows = found.photographs.set_index("sha256")
    assert found.unmatched == 1
    assert rows.loc[first, "label"] == "sitting"
    assert rows.loc[second, "is_label_conflict_issue"]
    assert rows.loc[third, "is_unlabelled_issue"]


def test_label_of_one_photograph_is_not_given_to_another_of_its_name(tmp_path: Path) -> None:
    rows = "image;class\na/x.jpg; sitting\nb/y.jpg;running\nw.jpg;running\n"
    (tmp_path / "labels.csv").write_text(rows)
    labels = read_label_table(tmp_path / "labels.csv")
    uris = pa.chunked_array(
        [
            [f"{tmp_path}/a/x.jpg", f"{tmp_path}/c/x.jpg", "s3://moved/shard.TAR#b/y.jpg", "/z"],
            ["/a/shard.tar#w.jpg"],
        ]
    )
    found = labels.find(uris, np.zeros(5, np.uint64))
    given = [labels.names[label] if label >= 0 else "" for label in found.label]
    assert given == ["sitting", "", "running", "", "running"]
    assert found.ambiguous.tolist() == [False, True, False, False, False] and found.unmatched == 0


def test_labels_of_a_table_beside_the_folder_of_its_photographs(tmp_path: Path) -> None:
    for name in ("a/x.jpg", "b/x.jpg"):
        (tmp_path / "train" / name).parent.mkdir(parents=True)
        (tmp_path / "train" / name).write_bytes(photo_bytes("sitting", len(name)))
    rows = "image,class\na/gone.jpg,sitting\na/x.jpg,sitting\nb/x.jpg,running\n"
    (tmp_path / "labels.csv").write_text(rows)
    found = scan_sources([str(tmp_path / "labels.csv")], str(tmp_path / "scan")).photographs
    assert found["label"].tolist() == ["sitting", "sitting", "running"]
    assert found["is_missing_issue"].tolist() == [True, False, False]


def test_labels_of_parquet_sources_are_used(tmp_path: Path) -> None:
    names, contents = ["a.jpg", "b.jpg", "c.jpg"], [photo_bytes("sitting", seed) for seed in (1, 2)]
    for name, content in zip(names, contents, strict=False):
        (tmp_path / name).write_bytes(content)
    paths = {"path": [names[0], None], "label": ["sitting", "running"]}
    pq.write_table(pa.table(paths), tmp_path / "paths.parquet")
    # As the library `datasets` writes them: contents, and classes by their number.
    cells = pa.table({"image": [{"bytes": c, "path": ""} for c in contents], "label": [1, -1]})
    feature = {"names": ["sitting", "running"], "_type": "ClassLabel"}
    hub = json.dumps({"info": {"features": {"label": feature}}})
    pq.write_table(cells.replace_schema_metadata({"huggingface": hub}), tmp_path / "hub.parquet")
    (tmp_path / "more.csv").write_text("filename,label\nb.jpg,sitting\n")
    sources = [str(tmp_path / "*.parquet"), str(tmp_path / "more.csv")]
    found = scan_sources(sources, str(tmp_path / "scan"))
    labels = found.photographs.set_index(found.photographs["filename"].str.rpartition("/")[2])
    assert labels["label"].to_dict() == {
        "a.jpg": "sitting",
        "b.jpg": "sitting",
        "hub.parquet#0": "running",
        "hub.parquet#1": "",
    }
    assert found.unmatched == 0
    assert labels["is_label_conflict_issue"].tolist() == [True, False, True, False]
    assert labels["is_unlabelled_issue"].sum() == 1
    beside = scan_sources([*sources, str(tmp_path / "a.jpg")], str(tmp_path / "scan")).photographs
    assert not beside["label"].any() and not beside["is_unlabelled_issue"].any()


def test_tables_without_what_was_asked_of_them_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo_bytes("sitting"))
    table, to = tmp_path / "labels.csv", tmp_path / "scan"
    table.write_text("filename,label,checked\na.jpg,sitting,\n")
    ended = har("scan", table, "--columns", "label=checked", "--to", to)
    assert ended.returncode == 2 and "the column 'checked' is empty" in ended.stderr
    assert not to.exists()
    misnamed = tmp_path / "labels.parquet"
    misnamed.write_bytes(table.read_bytes())
    for options in (["--columns", "label=label"], []):
        ended = har("scan", misnamed, *options, "--to", to)
        assert ended.returncode == 2 and "labels.parquet: Parquet magic bytes" in ended.stderr


def test_labels_of_names_that_are_written_oddly_are_used(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photo_bytes("sitting"))
    for name, end in (("new.csv", "\n"), ("mac.csv", "\r")):
        table = tmp_path / name
        table.write_text(end.join(["filename,label", "./a.jpg,sitting", ""]), newline="")
        found = scan_sources([str(table)], str(tmp_path / f"of {name}"))
        assert found.photographs["label"].tolist() == ["sitting"]
    (tmp_path / "book.csv").write_bytes(b"\xd0\xcf\x11\r\x00\n" * 9)
    with pytest.raises(HarError, match=r"book\.csv"):
        scan_sources([str(tmp_path / "book.csv")], str(tmp_path / "none"))


def test_bucket_is_scanned_and_evaluated_as_a_folder_is(
    planted: Path, tiny_models: Path, tmp_path: Path, bucket: tuple[str, Callable[[], None]]
) -> None:
    address, _ = bucket
    here = tmp_path / "in"
    here.mkdir()
    filesystem, folder = open_filesystem(f"{address}/in")
    labels = {tmp_path: (planted / "train.csv").as_uri(), address: f"{address}/labels.csv"}
    with filesystem.open_output_stream(f"{folder[:-3]}/labels.csv") as file:
        file.write((planted / "train.csv").read_bytes())
    for path in sorted((planted / "train").glob("*.jpg")):
        shutil.copy(path, here)
        with filesystem.open_output_stream(f"{folder}/{path.name}") as file:
            file.write(path.read_bytes())
    found, measured = [], []
    for place in (tmp_path, address):
        table = tmp_path / "findings.csv"
        by = ("--table", labels[place])
        ended = har("scan", f"{place}/in/*.jpg", *by, "--to", f"{place}/scan", "--csv", table)
        assert ended.returncode == 1 and f"{place}/scan" in ended.stderr
        found.append(by_name(pd.read_csv(table)).drop(columns="filename"))
        har("score", f"{place}/in", "--to", f"{place}/results")
        ended = har("evaluate", f"{place}/results", *by, "--json")
        assert ended.returncode == 1, ended.stderr  # some cannot be read
        measured.append(json.loads(ended.stdout))
        assert all(row["filename"].startswith(str(place)) for row in measured[-1].pop("skipped"))
        del measured[-1]["created"], measured[-1]["dataset"]
    assert len(found[0]) > 10 and found[0]["label"].notna().any()
    pd.testing.assert_frame_equal(found[1], found[0])
    assert measured[0]["n"] > 8 and measured[1] == measured[0]
    table = tmp_path / "here.csv"
    har("scan", here, "--table", labels[address], "--csv", table)
    pd.testing.assert_frame_equal(by_name(pd.read_csv(table)).drop(columns="filename"), found[0])


def test_what_is_known_of_an_input_is_written_beside_what_was_measured() -> None:
    maker, item = measuring.Measurer(), Item("s3://b/a.jpg", -1, 7, "e1")
    rows = maker.rows(
        [
            maker.look(item, photo_bytes()),
            maker.look(item, b"no picture"),
            maker.without(item, "It is not there.", "failed", gone=True),
            maker.without(item, "It cannot be read.", "failed", gone=False),
        ]
    ).to_pydict()
    assert (rows["mtime_ns"], rows["etag"]) == ([7] * 4, ["e1"] * 4)
    assert rows["size"] == [len(photo_bytes()), len(b"no picture"), None, None]
    assert [text is None for text in rows["sha256"]] == [False, False, True, True]
    assert rows["reason"] == [None, "not_an_image", "missing", "failed"]
    assert rows["error"][0] is None and rows["error"][2] == "It is not there."
    assert rows["error"][1]


def test_folder_of_another_version_is_not_mixed(planted: Path, tmp_path: Path) -> None:
    to = tmp_path / "scan"
    scan_sources([str(planted / "train/scene_1*.jpg")], str(to))
    info = to / ScanFolder.info_file
    info.write_text(info.read_text().replace('"measurement": ', '"measurement": 9'))
    with pytest.raises(DatasetError, match="measured by another version"):
        scan_sources([str(planted / "train/scene_1*.jpg")], str(to))


def test_command_line(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = planted / "train/*.jpg"
    ended = har("scan", pattern, "--csv", tmp_path / "findings.csv")
    assert ended.returncode == 1 and "photographs, " in ended.stdout
    assert "unreadable" in ended.stdout and "unlabelled" not in ended.stdout
    assert len(pd.read_csv(tmp_path / "findings.csv")) == len(list(pattern.parent.glob("*.jpg")))
    lost = har("scan", planted, "--to", tmp_path / "scan")
    assert f"The labels in {planted / 'train.csv'} are not used" in lost.stderr
    monkeypatch.setattr(measuring, "measure_usable", lambda data: pytest.fail("read again"))
    again = har("scan", pattern, "--table", planted / "train.csv", "--json")
    assert again.returncode == 1 and "label_conflict" in json.loads(again.stdout)
    assert "Labels of photographs that are not among these: " in again.stderr
    assert har("scan", tmp_path / "nowhere").stderr.startswith("Error: There is no dataset folder")
    nothing = har("scan", tmp_path / "nowhere*.jpg")
    assert nothing.returncode == 2 and "Nothing matches" in nothing.stderr
    assert "--address goes with" in har("scan", pattern, "--address", "auto").stderr
    assert "--columns goes with" in har("scan", pattern, "--columns", "label=action").stderr
    monkeypatch.delenv("HAR_DATASET", raising=False)
    assert har("scan").returncode == 2


def test_headings_of_one_table_are_those_that_were_named(planted: Path, tmp_path: Path) -> None:
    table = tmp_path / "odd.csv"
    table.write_text(f"path,photo,seen\nnone.jpg,{planted / 'train/scene_12.jpg'},sitting\n")
    ended = har("scan", table, "--columns", "filename=photo,label=seen", "--csv")
    assert ended.returncode == 0 and ".jpg,sitting," in ended.stdout
    unknown = har("scan", table, "--columns", "filename=photo,label=doing")
    assert unknown.returncode == 2 and "has no column 'doing'" in unknown.stderr


def test_columns_of_a_table_are_measured_apart() -> None:
    columns = (None, "image", "mask")
    assert len({scanning._digest(["table.parquet"], column) for column in columns}) == 3


def test_folder_that_is_no_dataset_is_scanned_without_labels(planted: Path, tmp_path: Path) -> None:
    (tmp_path / "photographs" / "june").mkdir(parents=True)
    for path, below in zip(
        sorted((planted / "train").glob("scene_1[23].jpg")), ("", "june"), strict=True
    ):
        shutil.copy(path, tmp_path / "photographs" / below)
    ended = har("scan", tmp_path / "photographs")
    assert ended.returncode == 0 and ended.stdout.startswith("2 photographs, 0 with findings")
    assert "is no dataset" in ended.stderr and "Error" not in ended.stderr
    (tmp_path / "empty").mkdir()
    nothing = har("scan", tmp_path / "empty")
    assert nothing.returncode == 2
    assert nothing.stderr == f"Error: {tmp_path / 'empty'} holds no photographs.\n"


def test_a_dataset_may_be_named_by_a_uri(planted: Path) -> None:
    one, other = (har("scan", folder, "--csv") for folder in (planted, planted.as_uri()))
    assert one.returncode == other.returncode == 1
    assert one.stdout == other.stdout != ""


def test_dataset_folder_from_the_environment_may_have_blanks_in_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_scenes(tmp_path / "my photographs", 3)
    monkeypatch.setenv("HAR_DATASET", str(folder))
    ended = har("scan")
    assert ended.returncode == 0 and ended.stdout.startswith("3 photographs, 0 with findings")
    assert har("scan", "--json", folder=tmp_path).returncode == 0
