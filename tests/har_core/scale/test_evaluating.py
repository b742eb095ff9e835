"""What a RESULTS folder says of a model is what running the model says."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from har_core.dataset.table import load_dataset, read_table
from har_core.errors import DatasetError
from har_core.evaluation.bootstrap import resampled_totals
from har_core.evaluation.run import evaluate_dataset
from har_core.model.loading import load_model
from har_core.model.manifest import SPLITS_FILE
from har_core.scale.evaluating import evaluate_results
from har_core.scale.labels import LabelTable, read_label_table, read_own_labels
from har_core.scale.results import Results, ResultsInfo
from har_core.scale.scoring import score
from har_core.scale.sources.listing import list_sources
from har_core.storage.checksums import sha256_of_file
from tests.drawing import CLASS_NAMES
from tests.har_core.scale.made_up import write_made_up_results
from tests.made_results import write_results


def test_metrics_are_those_of_running_the_model(
    tiny_dataset: Path, inline: None, tmp_path: Path
) -> None:
    table = tiny_dataset / "train.csv"
    text = table.read_text().replace("running_1.jpg,running", "running_1.jpg,sitting")
    table.write_text(text + "sitting_9.jpg,sitting\n")  # the last is not there
    (tiny_dataset / "train" / "sitting_3.jpg").write_bytes(b"nothing")
    to = tmp_path / "results"
    score([str(tiny_dataset / "train")], str(to))
    found, warnings = evaluate_results(Results(str(to)), table)
    run = evaluate_dataset(load_model("tiny"), load_dataset(tiny_dataset))
    assert found.result.n == run.result.n == 11
    for name, interval in run.result.headline_intervals.items():
        assert found.result.headline_intervals[name].value == pytest.approx(
            interval.value, abs=1e-4
        )
    assert found.skipped["reason"].tolist() == ["unreadable photograph (not_an_image)"]
    assert any("not known which photographs" in warning for warning in warnings)
    assert "Labels of photographs that are not among these: 1." in warnings


@pytest.mark.parametrize("by", ["path", "base name", "sha256"])
def test_labels_are_found_by_sha256_path_or_base_name(tmp_path: Path, by: str) -> None:
    results = tmp_path / "results"
    labels = write_made_up_results(results, 60, CLASS_NAMES)
    rows = pd.concat(table.to_pandas() for table in Results(str(results)).read_rows())
    names = {
        "path": rows["uri"],
        "base name": rows["uri"].str.rpartition("/")[2],
        "sha256": rows["sha256"],
    }[by]
    table = pd.DataFrame({"sha256" if by == "sha256" else "filename": names})
    table["class"] = np.asarray(CLASS_NAMES)[labels]
    path = tmp_path / "labels.csv"
    contradicted = table.iloc[[20]].assign(**{"class": CLASS_NAMES[labels[20] - 1]})
    pd.concat([table, contradicted]).to_csv(path, index=False)
    found, notes = evaluate_results(Results(str(results)), path)
    measured = rows["error"].isna().to_numpy(copy=True)
    assert measured[20]
    measured[20] = False
    assert found.raw.labels.tolist() == labels[measured].tolist()
    assert found.raw.sha256.tolist() == rows["sha256"][measured].tolist()
    assert "Left out: 1 photograph with several labels." in notes


@pytest.mark.parametrize("named", ["file://{}/a", "file:{}/%61", "{}//a", "{}/b/../a", "b/../a"])
def test_labels_are_found_however_a_path_is_written(tmp_path: Path, named: str) -> None:
    for folder in "ab":  # so that the base name alone would not do
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1.jpg").write_bytes(b"")
    table = tmp_path / "labels.csv"
    table.write_text(f"filename,label\n{named.format(tmp_path)}/1.jpg,x\nb/1.jpg,y\n")
    uris = pa.chunked_array([[item.uri for item in list_sources([str(table)])]])
    assert uris.to_pylist() == [str(tmp_path / "a" / "1.jpg"), str(tmp_path / "b" / "1.jpg")]
    for labels in (read_label_table(table), read_own_labels([str(table)])):
        assert labels is not None
        assert labels.find(uris, np.zeros(2, np.uint64)).label.tolist() == [0, 1]


@pytest.mark.parametrize("kind", [pa.binary(), pa.binary_view(), pa.struct({"bytes": pa.binary()})])
def test_table_that_holds_the_photographs_has_their_labels(tmp_path: Path, kind: Any) -> None:
    cell = {"bytes": b"x"} if pa.types.is_struct(kind) else b"x"
    table = tmp_path / "photographs.parquet"
    columns = {"image": pa.array([cell, cell], kind), "label": ["running", "sitting"]}
    pq.write_table(pa.table(columns), table)
    uris = pa.chunked_array([[item.uri for item in list_sources([str(table)])]])
    assert len(uris) == 2
    found = read_label_table(table)
    assert [found.names[i] for i in found.find(uris, np.zeros(2, np.uint64)).label] == [
        "running",
        "sitting",
    ]


def test_labels_below_a_link_are_those_of_photographs_below_it(tmp_path: Path) -> None:
    for folder in "ab":  # so that the base name alone would not do
        (tmp_path / "disk" / folder).mkdir(parents=True)
        (tmp_path / "disk" / folder / "1.jpg").write_bytes(b"")
    (tmp_path / "disk" / "labels.csv").write_text("filename,label\na/1.jpg,x\nb/1.jpg,y\n")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk")
    uris = pa.chunked_array([[item.uri for item in list_sources([str(link)])]])
    found = read_label_table(link / "labels.csv").find(uris, np.zeros(2, np.uint64))
    assert found.label.tolist() == [0, 1]


def test_the_base_name_of_a_uri_from_elsewhere_is_decoded(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("filename,label\nfile:///elsewhere/a%20b.jpg,x\n")
    uris = pa.chunked_array([["/here/a b.jpg"]])
    assert read_label_table(table).find(uris, np.zeros(1, np.uint64)).label.tolist() == [0]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("n_before", [0, 3000])
def test_a_table_of_labels_is_read_as_that_of_a_dataset_however_it_is_encoded(
    tmp_path: Path, encoding: str, n_before: int
) -> None:
    table = tmp_path / "labels.csv"
    plain = "".join(f"{n:020d}.jpg;sitting\n" for n in range(n_before))  # more than the head
    table.write_text(f"filename;label\n{plain}Bär.jpg;müde\n", encoding=encoding)
    labels = read_label_table(table)
    uris = pa.chunked_array([[str(tmp_path / "Bär.jpg")]])
    (found,) = labels.find(uris, np.zeros(1, np.uint64)).label
    assert labels.names[found] == read_table(table)[0]["label"].iloc[-1] == "müde"


def test_headings_of_a_table_of_labels_may_be_in_windows_1252(tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text("Größe,Tätigkeit,filename\n1,sitting,a.jpg\n", encoding="cp1252")
    assert read_label_table(table, {"label": "Tätigkeit"}).names == ("sitting",)


def test_intervals_know_the_near_duplicates_that_the_model_records(
    tiny_dataset: Path, inline: None, tmp_path: Path
) -> None:
    photographs = tiny_dataset / "train"
    (photographs / "copy.jpg").write_bytes((photographs / "running_0.jpg").read_bytes())
    score([str(photographs)], str(tmp_path / "results"))
    names = pd.read_csv(tiny_dataset / "train.csv")["filename"]
    splits = pd.DataFrame({"filename": names, "label": "", "split": "test"})
    splits["duplicate_group"] = range(10, 10 + len(names))
    splits.loc[names.isin(["running_0.jpg", "running_1.jpg"]), "duplicate_group"] = 7
    splits["sha256"] = [sha256_of_file(photographs / name) for name in names]
    splits[names != "running_0.jpg"].to_parquet(tmp_path / "models" / "tiny" / SPLITS_FILE)
    table = tmp_path / "labels.csv"
    table.write_text((tiny_dataset / "train.csv").read_text() + "copy.jpg,running\n")
    found, _ = evaluate_results(Results(str(tmp_path / "results")), table)
    of = {Path(str(n)).stem: g for n, g in zip(found.raw.filenames, found.raw.groups, strict=True)}
    assert of["copy"] == of["running_0"]  # a copy, of which nothing is recorded
    assert len(set(of.values())) == len(names)
    splits.to_parquet(tmp_path / "models" / "tiny" / SPLITS_FILE)
    found, warnings = evaluate_results(Results(str(tmp_path / "results")), table)
    of = {Path(str(n)).stem: g for n, g in zip(found.raw.filenames, found.raw.groups, strict=True)}
    assert of["copy"] == of["running_0"] == of["running_1"] != of["running_2"]
    assert len(set(of.values())) == len(names) - 1
    assert any("those that the model's training found" in warning for warning in warnings)


def test_heading_that_holds_the_separator_is_one(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text('"remarks, if any",filename,label\n,a.jpg,running\n')
    assert read_label_table(path).names == ("running",)


def test_base_name_of_several_photographs_tells_none_of_them(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_made_up_results(results, 3, CLASS_NAMES)
    write_made_up_results(tmp_path / "others", 2, CLASS_NAMES, seed=5)
    for number, rows in enumerate(Results(str(tmp_path / "others")).read_rows()):
        moved = [f"/elsewhere{uri}" for uri in rows["uri"].to_pylist()]
        rows = rows.set_column(0, rows.schema.field("uri"), pa.array(moved))
        Results(str(results)).write_part(f"others{number}", 0, 2, rows)
    (tmp_path / "labels.csv").write_text(
        "filename,label\n" + "".join(f"photo_{i:07d}.jpg,running\n" for i in range(3))
    )
    found, _ = evaluate_results(Results(str(results)), tmp_path / "labels.csv")
    assert found.result.n == 1
    assert set(found.skipped["reason"]) == {"several photographs have its base name"}


def test_as_many_labels_as_rows_do_not_flood_the_screen(tmp_path: Path) -> None:
    n, results = 100, tmp_path / "results"
    write_made_up_results(results, n, CLASS_NAMES)
    rows = pd.concat(table.to_pandas() for table in Results(str(results)).read_rows())
    captions = [f"someone in photograph {i}" for i in range(n)]  # taken for labels
    table = pd.DataFrame({"sha256": rows["sha256"], "label": captions})
    table.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(DatasetError, match=r"1 × label unknown .* and \d+ more\.$") as stopped:
        evaluate_results(Results(str(results)), tmp_path / "labels.csv")
    assert len(str(stopped.value)) < 1_000


def test_table_that_fits_nothing_is_one_line(tmp_path: Path) -> None:
    results = tmp_path / "results"
    write_made_up_results(results, 5, CLASS_NAMES)
    (tmp_path / "labels.csv").write_text("filename,label\nx.jpg,running\n")
    with pytest.raises(DatasetError, match=r"No row .* can be evaluated: 5 × no label"):
        evaluate_results(Results(str(results)), tmp_path / "labels.csv")
    with pytest.raises(DatasetError, match="holds no results"):
        evaluate_results(Results(str(tmp_path)), tmp_path / "labels.csv")


def test_intervals_do_not_depend_on_how_many_resamples_are_drawn_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scipy.sparse import csr_array

    from har_core.evaluation import bootstrap

    statistics = csr_array(np.random.default_rng(1).random((50, 3)))
    expected = resampled_totals(statistics, np.arange(50), 40)
    monkeypatch.setattr(bootstrap, "_WEIGHTS_AT_ONCE", 150)
    assert np.array_equal(resampled_totals(statistics, np.arange(50), 40), expected)


def test_rows_that_a_job_removes_meanwhile_do_not_move_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = write_results(tmp_path / "results", 30, part_rows=10)
    labels.rename("label").rename_axis("sha256").reset_index().to_csv(tmp_path / "labels.csv")
    results = Results(str(tmp_path / "results"))
    find_in = LabelTable.find_in

    def find_and_settle(self: LabelTable, *arguments: object) -> object:
        found = find_in(self, *arguments)  # type: ignore[arg-type]
        first = results.parts()[0]
        results.replace_part(first, results.read_part(first).slice(1))
        return found

    monkeypatch.setattr(LabelTable, "find_in", find_and_settle)
    with pytest.raises(DatasetError, match="a job has replaced its rows; try again"):
        evaluate_results(results, tmp_path / "labels.csv")


def test_names_with_line_breaks_beside_labels_are_read(tmp_path: Path) -> None:
    caption = "a caption\n" * 20_000  # so that Arrow reads in several pieces
    lines = [f'{i}.jpg,"{caption}",x\n' for i in range(40)]
    (tmp_path / "labels.csv").write_text("filename,caption,label\n" + "".join(lines))
    assert len(read_label_table(tmp_path / "labels.csv")) == 40


def test_blank_behind_the_headings_is_none_of_a_name(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("filename,label \na.jpg,x\n")
    assert read_label_table(tmp_path / "labels.csv").names == ("x",)


def test_dataset_in_the_place_of_a_table_of_labels_is_told_how_to_become_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(DatasetError, match=rf"is a folder.*har scan {tmp_path} --csv FILE"):
        read_label_table(tmp_path)


def test_results_with_features_say_by_what_they_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(str(tmp_path / "results"))
    info = ResultsInfo("m", "f" * 64, ("a", "b"), n_features=0, created="2026-01-01T00:00:00+00:00")
    results.create(dataclasses.replace(info, n_features=1280))
    monkeypatch.setattr(Results, "claim", lambda *_, **__: False)  # as if there were rows
    with pytest.raises(DatasetError, match="name another folder, or say --features"):
        results.create(info)


def test_table_whose_name_no_disk_takes_is_said() -> None:
    with pytest.raises(DatasetError, match="Cannot read the table"):
        read_label_table("/labels\0.csv")
