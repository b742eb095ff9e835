"""The files that tests read are what Keras 2 writes."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.har_core.keras_io.keras_2_files import NAMES, write


def weights(file: h5py.File) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    file.visititems(
        lambda name, item: (
            found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found


def without_addresses(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "shared_object_id"}


def parsed(config: str | bytes) -> Any:
    return json.loads(config, object_hook=without_addresses)


def content(path: Path) -> tuple[Any, dict[str, np.ndarray]]:
    """Return configuration and weights."""
    if path.suffix == ".npy":
        return None, {"answers": np.load(path)}
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            return parsed(file.attrs["model_config"]), weights(file)
    with zipfile.ZipFile(path) as archive:
        stored = io.BytesIO(archive.read("model.weights.h5"))
        with h5py.File(stored) as file:
            return parsed(archive.read("config.json")), weights(file)


@pytest.mark.sweep
@pytest.mark.usefixtures("only_in_a_sweep")
@pytest.mark.parametrize("name", NAMES)
def test_file_is_what_keras_2_writes(name, keras_2_files, tmp_path):
    pytest.importorskip("tf_keras")
    for path in write(name, tmp_path):
        (config, found), (kept, expected) = content(path), content(keras_2_files / path.name)
        assert config == kept, path.name
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, atol=1e-4, err_msg=key)
