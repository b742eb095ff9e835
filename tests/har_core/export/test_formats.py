"""What is exported gives the bundle's own answers, in other programs as well."""

import io
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from har_core.errors import ModelBundleError
from har_core.export.formats import export_model
from har_core.images.preprocessing import PREPROCESSINGS, scale_pixels
from har_core.model import bundle
from har_core.model.importing import import_model
from har_core.model.loading import load_model
from har_core.model.temperature import apply_temperature
from har_core.settings import shipped
from tests.drawing import CLASS_NAMES, draw_photo, write_tiny_bundle

SIDE = 32
TEMPERATURE = 0.7


def network() -> Any:
    import keras
    from keras import layers

    keras.utils.set_random_seed(5)
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 4, strides=4, activation="relu"),
            layers.Reshape((-1, 8)),
            layers.LSTM(8),
            layers.Dense(3, activation="softmax", kernel_initializer="random_normal"),
        ]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("export")
    network().save(root / "it.keras")
    (root / "names.txt").write_text("\n".join(CLASS_NAMES))
    import_model(
        root / "it.keras",
        root / "names.txt",
        preprocessing="torch",
        name="it",
        models_folder=root / "models",
    )
    metrics = {
        "split": "test",
        "n": 40,
        "top1": {"value": 0.8, "low": 0.7, "high": 0.9},
        "macro_f1": {"value": 0.78, "low": 0.7, "high": 0.9},
    }
    bundle.update_manifest(root / "models" / "it", temperature=TEMPERATURE, metrics=metrics)
    return root / "models" / "it"


@pytest.fixture
def pixels() -> np.ndarray:
    return np.stack([np.asarray(draw_photo(name).resize((SIDE, SIDE))) for name in CLASS_NAMES])


def answers(folder: Path, pixels: np.ndarray) -> np.ndarray:
    return load_model(folder).predict_probabilities(pixels)


def test_litert_file_gives_equal_answers(folder, pixels, tmp_path):
    import tensorflow as tf

    written = export_model(folder, tmp_path / "it.tflite")
    assert written.difference is not None
    assert written.difference <= 1e-5
    interpreter = tf.lite.Interpreter(model_path=str(tmp_path / "it.tflite"))
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert given["shape"].tolist() == [1, SIDE, SIDE, 3]
    rows = []
    for picture in scale_pixels(pixels, "torch"):
        interpreter.set_tensor(given["index"], picture[np.newaxis])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(found["index"])[0].copy())
    got = apply_temperature(np.stack(rows), TEMPERATURE)
    assert got == pytest.approx(answers(folder, pixels), abs=1e-5)


def test_onnx_and_keras_files_give_equal_answers(folder, pixels, tmp_path):
    import keras
    import onnxruntime

    assert export_model(folder, tmp_path / "it.ONNX").difference == pytest.approx(0, abs=1e-6)
    session = onnxruntime.InferenceSession(str(tmp_path / "it.ONNX"))
    scaled = scale_pixels(pixels, "torch")
    (given,) = session.get_inputs()
    by_onnx = apply_temperature(session.run(None, {given.name: scaled})[0], TEMPERATURE)
    assert by_onnx == pytest.approx(answers(folder, pixels), abs=1e-6)
    assert export_model(folder, tmp_path / "model", "keras").difference <= 1e-5
    (tmp_path / "model").rename(tmp_path / "it.keras")
    by_keras = np.asarray(keras.saving.load_model(tmp_path / "it.keras")(scaled))
    assert apply_temperature(by_keras, TEMPERATURE) == pytest.approx(by_onnx, abs=1e-5)


def test_network_without_an_onnx_graph_gets_one(folder, tmp_path):
    files = {"model.keras": folder / "model.keras"}
    manifest = bundle.read_manifest(folder)
    bundle.write_bundle(tmp_path / "it", manifest, files)
    export_model(tmp_path / "it", tmp_path / "made.onnx")
    assert (tmp_path / "made.onnx").stat().st_size > 1000


def test_bundle_without_a_network_is_a_clear_error(folder, tmp_path):
    bundle.write_bundle(tmp_path / "it", bundle.read_manifest(folder), {"notes.txt": b"none"})
    with pytest.raises(ModelBundleError, match=r"neither model\.onnx nor model\.keras"):
        export_model(tmp_path / "it", tmp_path / "hub", "hf")
    assert not (tmp_path / "hub").exists()


def test_file_that_answers_differently_is_not_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "har_core.export.formats.run_litert", lambda content, pixels: np.full((8, 3), 1 / 3)
    )
    with pytest.raises(ModelBundleError, match="answers differently from 'it', by up to"):
        export_model(folder, tmp_path / "it.tflite")
    assert list(tmp_path.iterdir()) == []


def test_hub_folder_has_a_card_that_the_hub_takes(folder, tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    written = export_model(folder, tmp_path / "card", "hf", license="mit")
    assert {file.name for file in written.path.iterdir()} == {
        "README.md",
        "model.onnx",
        "model.keras",
        "config.json",
        "class_indices.json",
        "preprocessor_config.json",
    }
    card = hub.ModelCard((written.path / "README.md").read_text(), ignore_metadata_errors=False)
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.library_name == "onnx"
    assert card.data.model_name == "it"
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == 0.8
    assert results["f1"].metric_value == 0.78
    assert results["accuracy"].dataset_split == "test"
    assert hub.ModelCardData(**card.data.to_dict()).to_yaml()
    config = json.loads((written.path / "config.json").read_text())
    assert config["id2label"] == {"0": "clapping", "1": "running", "2": "sitting"}
    processor = json.loads((written.path / "preprocessor_config.json").read_text())
    assert processor["image_mean"] == [0.485, 0.456, 0.406]


def test_model_without_metrics_or_licence_has_a_card_too(tmp_path):
    hub = pytest.importorskip("huggingface_hub")
    write_tiny_bundle(tmp_path / "models")
    written = export_model(tmp_path / "models" / "tiny", tmp_path / "card", "hf")
    card = hub.ModelCard((written.path / "README.md").read_text(), ignore_metadata_errors=False)
    assert card.data.eval_results is None
    assert card.data.tags == ["image-classification", "onnx"]


@pytest.mark.parametrize("preprocessing", PREPROCESSINGS)
def test_code_on_the_card_gives_the_models_answer(preprocessing, tmp_path, monkeypatch, capsys):
    models = tmp_path / "models"
    write_tiny_bundle(models)
    bundle.update_manifest(models / "tiny", preprocessing=preprocessing, temperature=TEMPERATURE)
    written = export_model(models / "tiny", tmp_path / "card", "hf")
    image = Image.new("RGB", (224, 224), (140, 128, 120))
    image.save(written.path / "photo.jpg", quality=95)
    (code,) = re.findall(r"```python\n(.*?)```", (written.path / "README.md").read_text(), re.S)
    monkeypatch.chdir(written.path)
    exec(compile(code, "README.md", "exec"), {})
    said = dict(line.rsplit(" ", 1) for line in capsys.readouterr().out.splitlines())
    expected = load_model(models / "tiny").predict(written.path / "photo.jpg").probabilities
    assert {name: float(share) for name, share in said.items()} == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("destination", "format", "message"),
    [
        ("model.txt", None, r"\.onnx, \.keras or \.zip, or \.tflite"),
        ("folder", None, "--format hf"),
        ("model.onnx", "litert", "file of the format onnx, not litert"),
        ("model", "coreml", "format must be onnx, keras, litert, hf or zip, not 'coreml'"),
        (
            "tiny.keras",
            None,
            r"holds no model\.keras.*: export FILE\.onnx, or .* --effort standard",
        ),
        ("tiny.tflite", None, r"holds no model\.keras.*: export FILE\.onnx"),
        ("there", "hf", "exists already"),
    ],
)
def test_what_cannot_be_exported_is_said(destination, format, message, tmp_path):
    write_tiny_bundle(tmp_path / "models")
    (tmp_path / "there").mkdir()
    with pytest.raises(ModelBundleError, match=message):
        export_model(tmp_path / "models" / "tiny", tmp_path / destination, format)
    assert {path.name for path in tmp_path.iterdir()} == {"models", "there"}


def test_missing_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("har_core.extras.find_spec", lambda name: None)
    with pytest.raises(ModelBundleError, match=r"pip install 'har-dashboard\[train\]'"):
        export_model(folder, tmp_path / "it.tflite")


def test_onnx_export_needs_no_tensorflow(tmp_path, monkeypatch):
    write_tiny_bundle(tmp_path / "models")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert export_model(tmp_path / "models" / "tiny", tmp_path / "tiny.onnx").n_bytes > 100


def test_zip_holds_the_whole_bundle(folder, tmp_path):
    os.utime(folder / "bundle.json", (0, 0))  # as some packages date all that is in them
    written = export_model(folder, tmp_path / "it.zip")
    assert written.difference is None
    with zipfile.ZipFile(io.BytesIO((tmp_path / "it.zip").read_bytes())) as archive:
        archive.extractall(tmp_path)
    assert bundle.verify_bundle(tmp_path / "it").temperature == TEMPERATURE


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_how_answers_are_shown_and_computed_here_does_not_matter(tmp_path, monkeypatch, precision):
    monkeypatch.setenv("HAR_PRECISION", precision)
    folder = Path(shutil.copytree(shipped("models") / "cnn_lstm_har15", tmp_path / "it"))
    bundle.update_manifest(folder, answers={"confidence": [[0.0, 0.0], [1.0, 0.9]]})
    assert export_model(folder, tmp_path / "it.onnx").difference < 1e-9
