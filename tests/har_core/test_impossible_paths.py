"""In Python a path that nothing can have is bad input, too: one with a NUL, or a too long name."""

import pytest

from har_core import HarError, load_model
from har_core.dataset.table import open_dataset
from har_core.export.formats import export_model
from har_core.model.importing import import_model
from har_core.model.manifest import CLASS_INDICES_FILE

CALLS = {
    "load_model": lambda path, root: load_model(path),
    "predict": lambda path, root: load_model("tiny").predict(path),
    "open_dataset": lambda path, root: open_dataset(path),
    "open_dataset's table": lambda path, root: open_dataset(root / "dataset", path),
    "export_model's bundle": lambda path, root: export_model(path, root / "tiny.onnx"),
    "export_model": lambda path, root: export_model(root / "models/tiny", path, "onnx"),
    "export_model for the hub": lambda path, root: export_model(root / "models/tiny", path, "hf"),
    "import_model": lambda path, root: import_network(f"{path}.h5", root),
    "import_model of ONNX": lambda path, root: import_network(f"{path}.onnx", root),
}


def import_network(source, root):
    import_model(source, root / "models/tiny" / CLASS_INDICES_FILE, name="new")


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("path", ["a\0b", "/a\0b", "n" * 300], ids=["nul", "rooted", "long"])
def test_path_that_nothing_can_have_is_bad_input(call, path, tiny_models, tiny_dataset, tmp_path):
    with pytest.raises(HarError):
        call(path, tmp_path)
