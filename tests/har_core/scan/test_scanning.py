"""Every planted fault is found under its own name; scans resume and remember."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageFilter, ImageOps

from har_core.errors import DatasetError
from har_core.scan import measurement
from har_core.scan import scanning as scan_module
from har_core.scan.issues import (
    ISSUE_KINDS,
    count_issues,
    findings_csv,
    findings_json,
    issue_column,
    score_column,
)
from har_core.scan.measurement import measure_photograph, measure_sharpness
from har_core.scan.scanning import load_scan, scan_dataset
from tests.command_line import har
from tests.drawing import encode, write_dataset
from tests.faults import FAULTS, draw_scene, plant_faults, write_scenes


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def issues_of(findings: pd.DataFrame, filename: str) -> set[str]:
    row = findings.set_index("filename").loc[filename]
    return {name for name in ISSUE_KINDS if row[issue_column(name)]}


def assert_planted_faults_found(folder: Path, scale: float) -> None:
    before = scan_dataset(folder)
    known = set(before["filename"][before["duplicate_group"].notna()])
    planted = plant_faults(folder, scale)
    findings = scan_dataset(folder, workers=2).set_index("filename")
    for fault, issue in FAULTS.items():
        names = planted.loc[planted["fault"] == fault, "filename"]
        missed = [name for name in names if not findings.loc[name, issue_column(issue)]]
        assert not missed, f"{fault}: {missed} not found as {issue}"
    duplicates = set(findings.index[findings["duplicate_group"].notna()])
    assert len(duplicates - known - set(planted["filename"]) - set(planted["original"])) <= 3
    copies = planted.dropna(subset="original")
    groups = findings["duplicate_group"]
    assert (groups[copies["filename"]].to_numpy() == groups[copies["original"]].to_numpy()).all()


def test_every_planted_fault_is_found_under_its_own_name(tmp_path: Path) -> None:
    assert_planted_faults_found(write_scenes(tmp_path / "dataset", 90), scale=0.4)


@pytest.mark.dataset
def test_faults_planted_among_300_real_photographs_are_found(
    tmp_path: Path, real_dataset: Path
) -> None:
    table = pd.read_csv(real_dataset / "train.csv", dtype=str).sample(300, random_state=0)
    folder = tmp_path / "dataset"
    (folder / "train").mkdir(parents=True)
    for name in table["filename"]:
        shutil.copyfile(real_dataset / "train" / name, folder / "train" / name)
    table.to_csv(folder / "train.csv", index=False)
    assert_planted_faults_found(folder, scale=1)


def test_clean_dataset_has_no_findings(tmp_path: Path) -> None:
    findings = scan_dataset(write_scenes(tmp_path / "dataset", 12))
    assert not any(count_issues(findings).values())


def test_scores_are_in_the_unit_interval_and_low_where_flagged(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 45)
    plant_faults(folder, scale=0.2)
    findings = scan_dataset(folder)
    for name in ISSUE_KINDS:
        scores, flagged = findings[score_column(name)], findings[issue_column(name)]
        assert scores.between(0, 1).all()
        if flagged.any() and not flagged.all():
            assert scores[flagged].max() < scores[~flagged].min()


def test_second_scan_reads_no_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_scenes(tmp_path / "dataset", 6)
    first = scan_dataset(folder)
    monkeypatch.setattr(scan_module, "measure_file", lambda path: pytest.fail(f"read {path}"))
    pd.testing.assert_frame_equal(scan_dataset(folder), first)


def test_file_that_cannot_be_opened_does_not_hide_the_rest_of_the_scan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_scenes(tmp_path / "dataset", 6)
    forbidden = min((folder / "train").iterdir()).resolve()
    open_path = Path.open

    def refuse(path: Path, *args, **options):
        if path == forbidden:
            raise PermissionError(13, "Permission denied")
        return open_path(path, *args, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert load_scan(folder) is None
    scanned = scan_dataset(folder, workers=1)
    loaded = load_scan(folder)
    assert loaded is not None
    assert issues_of(loaded, forbidden.name) == {"unreadable"}
    pd.testing.assert_frame_equal(loaded, scanned)
    monkeypatch.setattr(Path, "open", open_path)
    assert load_scan(folder) is None  # it can be read now, so there is something to scan


def test_file_that_is_too_large_is_known_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that it is not read again, and people can decide about it."""
    monkeypatch.setattr(measurement, "MAX_BYTES", 10)
    (tmp_path / "large.jpg").write_bytes(photo := encode(draw_scene(1)))
    measured = measurement.measure_file(tmp_path / "large.jpg")
    assert (measured.reason, measured.content) == ("too_large", "JPEG")
    assert (measured.sha256, measured.size_bytes) == (sha256(photo).hexdigest(), len(photo))


def test_changed_and_renamed_photographs_are_noticed(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 6)
    scan_dataset(folder)
    changed, renamed = sorted((folder / "train").iterdir())[:2]
    changed.write_bytes(encode(Image.new("RGB", (300, 200)), quality=90))
    renamed.rename(renamed.with_name("elsewhere.jpg"))
    findings = scan_dataset(folder)
    assert "dark" in issues_of(findings, changed.name)
    assert issues_of(findings, renamed.name) == {"missing"}
    assert issues_of(findings, "elsewhere.jpg") == {"unlisted"}


def test_cancelled_scan_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_scenes(tmp_path / "dataset", 8)
    monkeypatch.setattr(scan_module, "_CHUNK", 2)

    class Cancelled(Exception):
        pass

    def cancel_halfway(what: str, done: int, total: int) -> None:
        if done >= 4:
            raise Cancelled

    with pytest.raises(Cancelled):
        scan_dataset(folder, workers=1, progress=cancel_halfway)
    reported: list[tuple[str, int, int]] = []
    scan_dataset(folder, workers=1, progress=lambda *step: reported.append(step))
    assert reported[0] == ("Measuring photographs", 4, 8)


def test_a_scan_that_is_cancelled_while_it_begins_does_not_go_on_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_scenes(tmp_path / "dataset", 40)
    measured: list[str] = []

    @contextmanager
    def held_back() -> Iterator[None]:
        yield
        raise KeyboardInterrupt  # which came in the meantime

    def measure(path: str) -> NoReturn:
        measured.append(path)
        time.sleep(0.05)
        raise OSError

    monkeypatch.setattr(scan_module, "_CHUNK", 1)
    monkeypatch.setattr(scan_module, "ctrl_c_held_back", held_back)
    monkeypatch.setattr(scan_module, "measure_file", measure)
    with pytest.raises(KeyboardInterrupt):
        scan_dataset(folder, workers=1)
    assert len(measured) < 20


def test_folder_that_vanishes_during_the_scan_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_scenes(tmp_path / "dataset", 6)
    monkeypatch.setattr(scan_module, "_CHUNK", 2)

    def remove_folder(what: str, done: int, total: int) -> None:
        shutil.rmtree(folder / "train", ignore_errors=True)

    with pytest.raises(DatasetError, match="vanished"):
        scan_dataset(folder, workers=1, progress=remove_folder)


def test_killed_worker_process_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(paths: list[str]) -> NoReturn:
        raise BrokenProcessPool  # as of every chunk that is left, once one process was killed

    monkeypatch.setattr(scan_module, "_measure_chunk", end)
    with pytest.raises(DatasetError, match=r"was killed; .* memory\? What was measured is kept"):
        scan_dataset(write_scenes(tmp_path / "dataset", 1))


def test_damaged_cache_is_replaced(tmp_path: Path, cache_folder: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 3)
    scan_dataset(folder)
    (cached,) = cache_folder.glob("scan-*.sqlite")
    for leftover in cache_folder.glob("scan-*.sqlite-*"):
        leftover.unlink()
    cached.write_bytes(b"no database " * 1000)
    assert len(scan_dataset(folder)) == 3


def test_worker_processes_measure_the_same_as_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_scenes(tmp_path / "dataset", 6)
    by_threads = scan_dataset(folder, workers=2, cache=tmp_path / "threads.sqlite")
    monkeypatch.setattr(scan_module, "_PROCESSES_FROM", 1)
    by_processes = scan_dataset(folder, workers=2, cache=tmp_path / "processes.sqlite")
    pd.testing.assert_frame_equal(by_processes, by_threads)


def test_there_is_a_worker_for_each_core_that_may_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, asked = scan_module._make_executor, []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 3, 9}, raising=False)
    monkeypatch.setattr(
        scan_module, "_make_executor", lambda n, files: (asked.append(n), make(1, files))[1]
    )
    scan_dataset(write_scenes(tmp_path / "dataset", 2))
    assert asked == [3]


def test_worker_processes_are_nice_and_leave_what_they_do_when_the_rest_is_dropped(
    tmp_path: Path,
) -> None:
    folder = write_scenes(tmp_path / "dataset", 1)
    paths = [tmp_path / f"{n}.jpg" for n in range(1_000)]
    for path in paths:
        os.link(folder / "train" / "scene_0.jpg", path)
    with scan_module._Processes(1) as processes:
        assert processes.submit(os.nice, 0).result() == min(os.nice(0) + 10, 19)
        begun = processes.submit(scan_module._measure_chunk, list(map(str, paths)))
        while not begun.running():
            time.sleep(0.01)
        processes.shutdown(wait=False, cancel_futures=True)
        assert len(begun.result()) < len(paths)


def test_paths_that_lead_out_of_the_folder_are_never_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_dataset(tmp_path / "dataset")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(encode(draw_scene(1), quality=90))
    (folder / "train" / "link.jpg").symlink_to(secret)
    with (folder / "train.csv").open("a") as table:
        table.write(f"../../secret.jpg,running\n{secret},running\nlink.jpg,running\n")
        table.write("../../../../etc/passwd,sitting\n")
    opened: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: (opened.append(p), read_bytes(p))[1])
    findings = scan_dataset(folder, workers=1)
    opened.remove(folder / "train.csv")
    assert {p.parent for p in opened} == {(folder / "train").resolve()}
    for name in ("../../secret.jpg", str(secret), "link.jpg", "../../../../etc/passwd"):
        assert issues_of(findings, name) == {"missing"}


def test_one_filename_under_two_labels_is_a_label_conflict(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 3)
    with (folder / "train.csv").open("a") as table:
        table.write("scene_0.jpg,sitting\nscene_1.jpg,running\n")
    findings = scan_dataset(folder)
    assert issues_of(findings, "scene_0.jpg") == {"label_conflict"}
    assert not issues_of(findings, "scene_1.jpg")


def test_row_without_a_label_is_found_unless_the_table_has_none(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 3)
    lines = (folder / "train.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join([*lines[:-1], "scene_2.jpg, "]))
    findings = scan_dataset(folder)
    assert issues_of(findings, "scene_2.jpg") == {"unlabelled"}
    assert count_issues(findings)["unlabelled"] == 1
    (folder / "train.csv").write_text("filename\nscene_0.jpg\nscene_1.jpg\nscene_2.jpg\n")
    assert not any(count_issues(scan_dataset(folder)).values())


def test_greyscale_is_found_also_when_stored_as_rgb(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 4)
    grey = ImageOps.grayscale(draw_scene(0))
    (folder / "train" / "scene_0.jpg").write_bytes(encode(grey.convert("RGB"), quality=90))
    assert "grayscale" in issues_of(scan_dataset(folder), "scene_0.jpg")


def test_plain_pictures_are_no_duplicates_of_each_other(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 4)
    for name in ("scene_0.jpg", "scene_1.jpg"):
        (folder / "train" / name).write_bytes(encode(Image.new("RGB", (300, 200)), quality=90))
    findings = scan_dataset(folder)
    assert issues_of(findings, "scene_0.jpg") >= {"dark", "low_information"}
    assert not findings["is_exact_duplicates_issue"].any()


def test_a_dataset_without_anything_to_compare_is_scanned(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 2)
    (folder / "train" / "scene_0.jpg").write_bytes(encode(Image.new("RGB", (300, 200)), quality=90))
    (folder / "train" / "scene_1.jpg").write_bytes(b"no picture")
    for _ in range(2):  # measured, and remembered
        findings = scan_dataset(folder)
        assert "low_information" in issues_of(findings, "scene_0.jpg")
        assert "unreadable" in issues_of(findings, "scene_1.jpg")
        assert findings["duplicate_group"].isna().all()


def test_hundreds_of_copies_of_one_photograph_do_not_pair_up(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 3)
    data = (folder / "train" / "scene_0.jpg").read_bytes()
    for copy in range(300):
        (folder / "train" / f"copy_{copy}.jpg").write_bytes(data)
    findings = scan_dataset(folder, workers=1)
    assert findings["is_exact_duplicates_issue"].sum() == 301
    assert not findings["is_near_duplicates_issue"].any()


@pytest.mark.parametrize("moved", [(4, 0), (0, 4)], ids=["across", "down"])
def test_a_picture_that_moved_one_way_is_not_sharp(moved: tuple[int, int]) -> None:
    scene = draw_scene(1)
    blurred = scene.filter(ImageFilter.BoxBlur(moved))
    assert measure_sharpness(blurred) < 0.7 * measure_sharpness(scene)


def test_sharpness_falls_with_every_blur() -> None:
    scene = draw_scene(3)
    values = [measure_sharpness(scene.filter(ImageFilter.GaussianBlur(r))) for r in (0, 1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert np.all(np.diff(values) < -0.02)


def test_csv_has_the_documented_columns_and_is_safe_in_spreadsheets(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "dataset", 3)
    (folder / "train" / "=cmd.jpg").write_bytes((folder / "train" / "scene_0.jpg").read_bytes())
    findings = scan_dataset(folder)
    path = tmp_path / "findings.csv"
    path.write_text(findings_csv(findings))
    table = pd.read_csv(path)
    issues = [
        *("missing", "unlisted", "unlabelled", "unreadable", "damaged", "wrong_extension"),
        *(
            "exact_duplicates",
            "near_duplicates",
            "label_conflict",
            "dark",
            "light",
            "blurry",
            "odd_size",
        ),
        *("odd_aspect_ratio", "low_information", "grayscale"),
    ]
    columns = [c for issue in issues for c in (f"{issue}_score", f"is_{issue}_issue")]
    assert list(table.columns) == ["filename", "label", *columns, "duplicate_group"]
    assert list(table["filename"]) == ["scene_0.jpg", "scene_1.jpg", "scene_2.jpg", "'=cmd.jpg"]
    assert list(table["duplicate_group"].fillna(0)) == [1, 0, 0, 1]
    assert json.loads(findings_json(findings)) == {
        issue: {"exact_duplicates": 2, "unlisted": 1}.get(issue, 0) for issue in issues
    }
    # An analysis adds what it alone can tell, but not of what it could not read.
    analysed = findings.assign(outlier_score=[0.123456, 1, 1, None], is_outlier_issue=None)
    analysed.loc[analysed.index[:3], "is_outlier_issue"] = [True, False, False]
    path.write_text(findings_csv(analysed))
    table = pd.read_csv(path)
    assert list(table.columns[-3:]) == ["outlier_score", "is_outlier_issue", "duplicate_group"]
    assert table["outlier_score"].fillna(-1).tolist() == [0.1235, 1, 1, -1]
    assert table["is_outlier_issue"].fillna("").tolist() == [True, False, False, ""]


def test_command_exits_with_0_when_clean_1_when_found_2_when_it_cannot_run(
    tmp_path: Path,
) -> None:
    folder = write_scenes(tmp_path / "dataset", 3)
    # A process: what its workers say would show there.
    command = [sys.executable, "-m", "har_core", "scan", folder, "--json", tmp_path / "counts.json"]
    clean = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (clean.returncode, clean.stderr.strip()) == (0, "")
    assert sum(json.loads((tmp_path / "counts.json").read_text()).values()) == 0
    (folder / "train" / "scene_0.jpg").write_bytes(b"")
    found = har("scan", folder, "--csv", tmp_path / "findings.csv", "--workers", "1")
    assert found.returncode == 1
    assert "unreadable" in found.stdout
    table = pd.read_csv(tmp_path / "findings.csv").set_index("filename")
    assert table.loc["scene_0.jpg", "is_unreadable_issue"]
    unusable = har("scan", tmp_path / "nowhere")
    assert unusable.returncode == 2
    assert unusable.stderr.lstrip().startswith("Error: There is no dataset folder")
    assert "Traceback" not in unusable.stderr


@pytest.mark.parametrize("seed", range(4))
def test_brightness_and_entropy_agree_with_cleanvision(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cleanvision.issue_managers.image_property import BrightnessProperty, EntropyProperty

    monkeypatch.setattr(measurement, "_PIXELS_AT_ONCE", 1_000)
    scene = draw_scene(seed).point(lambda value: value * (seed + 1) // 4)
    measured = measure_photograph(encode(scene, "PNG"))
    expected = BrightnessProperty("dark").calculate(scene) | EntropyProperty().calculate(scene)
    for name in ("brightness_perc_5", "brightness_perc_99"):
        assert getattr(measured, name) == pytest.approx(expected[name], abs=1 / 2040)
    assert measured.brightness == pytest.approx(expected["brightness"], abs=1e-5)
    assert measured.entropy == pytest.approx(expected["entropy"])
