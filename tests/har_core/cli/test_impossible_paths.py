"""A path that the system refuses ends in one line and exit code 2, or 1 for a photograph."""

import pytest

from tests.command_line import har
from tests.drawing import photo_bytes


@pytest.fixture
def run(tiny_models, tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("HAR_DATASET", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(photo_bytes())

    def run_command(*arguments):
        ended = har(*arguments)
        return ended.returncode, ended.stderr

    return run_command


def impossible(tmp_path) -> dict[str, str]:
    loop = tmp_path / "loop"
    if not loop.is_symlink():
        loop.symlink_to(loop)
    return {
        "a name that is too long": "n" * 300,
        "a path that is too long": "/".join(["n" * 200] * 30),
        "a loop of links": str(loop),
        "a folder in a loop": str(loop / "inside"),
        "below a file": str(tmp_path / "photo.jpg" / "inside"),
        "nobody's home": "~nobody-of-this-name/x",
    }


IMPORT_OPTIONS = ["--class-indices", "{}", "--preprocessing", "zero_to_one", "--name", "new"]
WAYS = [
    ("predict", "{}"),
    ("predict", "photo.jpg", "--model", "{}"),
    ("predict", "photo.jpg", "--model", "{}.keras"),
    ("predict", "photo.jpg", "--json", "{}/out.json"),
    ("predict", "{}.csv"),
    ("scan", "{}"),
    ("scan", "dataset", "--table", "{}"),
    ("scan", "dataset", "--table", "{}.csv"),
    ("scan", "dataset", "--csv", "{}/out.csv"),
    ("evaluate", "--dataset", "{}"),
    ("evaluate", "--dataset", "dataset", "--table", "{}.csv"),
    ("evaluate", "--dataset", "dataset", "--model", "{}"),
    ("evaluate", "--dataset", "dataset", "--report", "{}/out.html"),
    ("compare", "tiny", "{}", "--dataset", "dataset"),
    ("compare", "tiny", "other", "--dataset", "{}"),
    ("train", "--dataset", "{}", "--name", "new"),
    ("train", "--dataset", "dataset", "--name", "new", "--backbone-weights", "{}"),
    ("train", "--dataset", "dataset", "--name", "n" * 300),
    ("export", "{}/out.onnx"),
    ("score", "{}", "--to", "results"),
    ("score", "dataset/train", "--to", "{}"),
    ("suspects", "{}", "--table", "dataset/train.csv"),
    ("evaluate", "{}", "--table", "dataset/train.csv"),
    ("scan", "dataset/train", "--to", "{}"),
    ("review", "--dataset", "{}"),
    ("review", "--dataset", "dataset", "--export", "{}/out.csv"),
    ("review", "--dataset", "dataset", "--import", "{}.csv"),
    ("merge-labels", "--dataset", "{}", "--output", "merged.csv"),
    ("unpack", "{}", "--output", "unpacked"),
    ("unpack", "dataset", "--output", "{}"),
    ("calibrate", "tiny", "--dataset", "{}"),
    ("calibrate", "{}", "--dataset", "dataset"),
    ("quantise", "{}", "--dataset", "dataset"),
    ("publish", "{}", "--dataset", "dataset"),
    ("import-model", "{}.h5", *IMPORT_OPTIONS),
]


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_path_that_the_system_refuses_ends_in_one_line(way, run, tmp_path):
    for what, path in impossible(tmp_path).items():
        code, said = run(*(argument.replace("{}", path) for argument in way))
        assert code in (1, 2), (what, said)
        assert len(said.strip().splitlines()) <= 2, (what, said)
        assert "Traceback" not in said


@pytest.mark.parametrize("variable", ["HAR_MODELS_DIR", "HAR_CACHE_DIR", "HAR_DATA_DIR"])
@pytest.mark.parametrize("command", [("models",), ("predict", "photo.jpg"), ("scan", "dataset")])
def test_a_setting_that_names_no_usable_folder_ends_no_differently(
    variable, command, run, tmp_path, monkeypatch
):
    for what, path in impossible(tmp_path).items():
        monkeypatch.setenv(variable, path)
        code, said = run(*command)
        assert code in (0, 1, 2), (what, said)
        assert len(said.strip().splitlines()) <= 3, (what, said)


def test_what_is_no_run_cannot_be_published(run):
    code, said = run("publish", "nothing", "--dataset", "dataset")
    assert (code, said.strip()) == (
        2,
        "Error: There is no run in nothing; name the folder that `har train` wrote.",
    )
