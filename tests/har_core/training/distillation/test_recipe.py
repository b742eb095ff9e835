"""Recipes: read, refused where they are wrong, and made end to end, over an interruption."""

import dataclasses
import re
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from har_core.cli.main import application
from har_core.errors import HarError
from har_core.model import bundle
from har_core.model.manifest import INHERITED_FILE, SPLITS_FILE, TRAINING_LOG_FILE, UNLABELLED_FILE
from har_core.model.records import read_splits
from har_core.storage.locks import folder_to_oneself
from har_core.training.distillation import recipe as making
from har_core.training.distillation.recipe import read_recipe, train_recipe
from har_core.training.run_folder import RunFolder
from tests.drawing import draw_photo, write_dataset, write_small_backbone

SHIPPED = Path(__file__).parents[4] / "recipes" / "har15.toml"
SMALL = """
[shared]
seed = 7
validation = 0.1
test = 0.2
head_epochs = 0
frozen_blocks = 0
batch_size = 8
backbone_weights = "{backbone}"

[[teacher]]
head = "pooled"
epochs = 1
small_epochs = 0
size = 96

[student]
epochs = 3
small_epochs = 1
small_size = 64
size = 96
views = 2
teacher_weight = 1.0
augmentation = {{ mixup = 0.5 }}

[expected]
student_test = 33.0
"""


class Killed(BaseException):
    """Stands for a kill: nothing in the program catches it."""


def test_recipe_of_the_shipped_model_has_seven_teachers_and_a_patient_student():
    recipe = read_recipe(SHIPPED)
    assert [teacher.size for teacher in recipe.teachers] == [240, 224, 256, 224, 240, 240, 224]
    student = recipe.student
    assert (student.epochs, student.views, student.teacher_weight) == (285, 19, 1.0)
    assert {s.seed for s in (*recipe.teachers, student)} == {20261126}
    assert {(s.validation, s.test) for s in (*recipe.teachers, student)} == {(0.08, 0.12)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epochs = 3", "needs a table \\[student\\]"),
        ("[student]\n[pupil]", "but not \\[pupil\\]"),
        ("[student]\nepoch = 3", "student: there is no setting 'epoch'"),
        ("[student]\n[[teacher]]\naugmentation = {mixin = 1}", "teacher 1: .* 'mixin'"),
        ("[student]\ndropout = 3", "student: .*dropout must be"),
        ("[student]\nepochs = '3'", "student: the setting 'epochs' cannot be '3'"),
        ("[student]\nepochs = 3.0", "student: the setting 'epochs' cannot be 3.0"),
        ("[student]\nepochs = true", "student: the setting 'epochs' cannot be True"),
        ("[student]\ndropout = false", "student: the setting 'dropout' cannot be False"),
        ("[student]\nteachers = [3]", "student: the setting 'teachers' cannot be"),
        ("[student]\naugmentation = 3", "student: the setting 'augmentation' cannot be 3"),
        ("[student]\naugmentation = {mixup = ''}", "student: the setting 'mixup' cannot be ''"),
        ("student = 3", "needs a table \\[student\\]"),
        ("shared = 3\n[student]", "may have .* \\[shared\\]"),
        ("[student", "Cannot read the recipe"),
    ],
)
def test_recipe_that_makes_no_sense_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "r.toml").write_text(content)
    with pytest.raises(HarError, match=message):
        read_recipe(tmp_path / "r.toml")


def test_of_shared_augmentation_a_network_changes_what_it_gives(tmp_path):
    (tmp_path / "r.toml").write_text(
        "[shared.augmentation]\nmixup = 0.4\ncolour = 0.1\n[[teacher]]\n"
        "[student.augmentation]\nmixup = 0.5\n"
    )
    recipe = read_recipe(tmp_path / "r.toml")
    given = [
        (s.augmentation.mixup, s.augmentation.colour) for s in (*recipe.teachers, recipe.student)
    ]
    assert given == [(0.4, 0.1), (0.5, 0.1)]


def test_a_student_keeps_the_teachers_and_the_photographs_that_its_recipe_names(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    learned = []

    def learn(dataset, name, settings, **rest):
        learned.append(settings)
        raise HarError("learned")

    monkeypatch.setattr(making, "train", learn)
    monkeypatch.setattr(making, "train_network", lambda *of, **rest: None)
    dataset, more = write_dataset(tmp_path / "dataset"), tmp_path / "more"
    recipe = tmp_path / "r.toml"
    own = f"[student]\nunlabelled = '{more}'\n"
    options = ["train", "--dataset", str(dataset), "--name", "made", "--recipe", str(recipe)]
    options += ["--runs-dir", str(tmp_path / "runs")]
    for content, said in (
        (own, "Only teachers say what is in"),
        (own + "teachers = ['tiny']", f"There is no folder {more}"),
    ):
        recipe.write_text(content)
        assert said in str(CliRunner().invoke(application(), options).exception)
    more.mkdir()
    recipe.write_text(own + "teachers = ['tiny']\n[[teacher]]")
    assert str(CliRunner().invoke(application(), options).exception) == "learned"
    CliRunner().invoke(application(), [*options, "--unlabelled", str(tmp_path)])
    assert [s.unlabelled for s in learned] == [str(more), str(tmp_path)]
    assert learned[0].teachers == ("tiny", str(tmp_path / "runs" / "made-teacher1"))


def test_recipe_that_a_process_is_at_work_on_is_neither_begun_nor_gone_on_with(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    (tmp_path / "r.toml").write_text("[[teacher]]\n[student]\n")
    start = partial(
        train_recipe, tmp_path, "made", read_recipe(tmp_path / "r.toml"), runs_dir=tmp_path / "runs"
    )
    at_work = RunFolder(tmp_path / "runs" / "made-teacher1")
    at_work.make()
    at_work.write_settings({"settings": {}, "dataset": "any"})
    with folder_to_oneself(at_work.path):
        for resume in (False, True):
            with pytest.raises(HarError, match=r"Another process is at work on .*made-teacher1"):
                start(resume=resume)
    with pytest.raises(HarError, match="--resume"):
        start()


def test_recipe_is_made_end_to_end_over_a_kill(tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_MODELS_DIR", str(tmp_path / "models"))
    dataset = write_dataset(tmp_path / "dataset", per_class=10)
    more = tmp_path / "more"
    more.mkdir()
    for seed in range(3):
        draw_photo("running", seed=200 + seed).save(more / f"{seed}.jpg")
    backbone = write_small_backbone(tmp_path / "backbone.keras")
    (tmp_path / "r.toml").write_text(SMALL.format(backbone=backbone.as_posix()))
    runs = tmp_path / "runs"
    options = ["train", "--dataset", str(dataset), "--name", "made", "--unlabelled", str(more)]
    options += ["--recipe", str(tmp_path / "r.toml"), "--runs-dir", str(runs)]

    def kill_after_the_students_first_epoch(row):
        if row["epoch"] == 1 and (runs / "made-teacher1" / "network.keras").exists():
            raise Killed

    recipe = read_recipe(tmp_path / "r.toml")
    student = dataclasses.replace(recipe.student, unlabelled=str(more))
    recipe = dataclasses.replace(recipe, student=student)
    with pytest.raises(Killed):
        train_recipe(
            dataset, "made", recipe, runs_dir=runs, on_epoch=kill_after_the_students_first_epoch
        )
    assert (runs / "made" / "pixels.npy").exists()
    assert not list((runs / "made-teacher1").glob("*.npy"))  # of seven teachers they are 14 GB
    assert read_splits(runs / "made-teacher1")["split"].value_counts()["train"] == 21
    refused = CliRunner().invoke(application(), options)
    assert "--resume" in str(refused.exception)
    draw_photo("running", seed=300).save(more / "between.jpg")
    refused = CliRunner().invoke(application(), [*options, "--resume"])
    assert re.search(r"more does not hold the photographs that it did", str(refused.exception))
    (more / "between.jpg").unlink()
    result = CliRunner().invoke(application(), [*options, "--resume"])
    assert result.exit_code == 0, result.output
    folder = tmp_path / "models" / "made"
    manifest = bundle.verify_bundle(folder)
    log = pd.read_csv(folder / TRAINING_LOG_FILE)
    assert log["epoch"].tolist() == [1, 2, 3]  # the first was not repeated
    assert manifest.training["photographs"]["unlabelled"] == 3
    assert INHERITED_FILE in manifest.files and manifest.training["unrecorded"] == []
    assert pd.read_parquet(folder / UNLABELLED_FILE)["filename"].tolist() == [
        "0.jpg",
        "1.jpg",
        "2.jpg",
    ]
    assert pd.read_parquet(folder / SPLITS_FILE)["split"].value_counts()["test"] == 6
    assert read_splits(folder)["split"].value_counts()["train"] == 21 + 3
    assert "3 without labels for distillation" in (folder / "README.md").read_text()
    assert not list(runs.glob("made*"))
