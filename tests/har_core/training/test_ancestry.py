import dataclasses
from pathlib import Path

import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.images.preprocessing import resize_image, scale_pixels
from har_core.keras_io.onnx_export import export_onnx
from har_core.model import bundle
from har_core.model.manifest import (
    CROSS_VALIDATED_FILE,
    KERAS_FILE,
    ONNX_FILE,
    SPLITS_FILE,
    read_manifest,
)
from har_core.training.ancestry import (
    Teachers,
    bundle_of_weights,
    check_held_out,
    find_cross_validation,
)
from har_core.training.network import resize_input
from har_core.training.preparation import prepare_dataset
from tests.drawing import draw_photo


@pytest.fixture
def prepared(tiny_dataset, tmp_path):
    return prepare_dataset(tiny_dataset, tmp_path)


def write_splits(folder, prepared, splits):
    table = prepared.table.drop(columns="path").assign(split=splits)
    (folder / SPLITS_FILE).write_bytes(table.to_parquet())


def write_teacher(folder, seed, *, flat=False):
    """Write a bundle around a tiny Keras network, and return that."""
    import keras

    keras.utils.set_random_seed(seed)
    pixels = keras.Input((224, 224, 3))
    x = keras.layers.Conv2D(4, 32, strides=32)(pixels)
    x = keras.layers.Flatten()(x) if flat else keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))
    network.save(folder / "network.keras")
    name = f"teacher{seed}"
    manifest = dataclasses.replace(read_manifest(folder / "tiny"), name=name)
    bundle.write_bundle(folder / name, manifest, {KERAS_FILE: folder / "network.keras"})
    return network


@pytest.mark.parametrize("size", [224, 160])
def test_teachers_give_their_mean_probabilities_at_any_size(tiny_models, prepared, size):
    networks = [write_teacher(tiny_models, seed) for seed in (1, 2)]
    pixels = resize_image(np.asarray(draw_photo("running")), size)[np.newaxis]
    teachers = Teachers(["teacher1", "teacher2"], prepared, [size])
    given = teachers.probabilities(pixels.astype(np.float32))
    scaled = scale_pixels(pixels, "minus_one_to_one")
    expected = [resize_input(network, size).predict_on_batch(scaled) for network in networks]
    np.testing.assert_allclose(given, np.mean(expected, axis=0), atol=1e-6)


def test_teacher_answers_through_its_graph_at_the_size_that_this_has(tiny_models, prepared):
    networks = [write_teacher(tiny_models, seed) for seed in (1, 2)]
    photos = {size: resize_image(np.asarray(draw_photo("running")), size) for size in (160, 224)}
    scaled = {
        size: scale_pixels(photo[np.newaxis], "minus_one_to_one") for size, photo in photos.items()
    }
    # A graph of another network shows which of the two answered.
    graph = tiny_models / "other.onnx"
    export_onnx(networks[1], graph, probe=scaled[224])
    keras_file = tiny_models / "teacher1" / KERAS_FILE
    manifest = dataclasses.replace(read_manifest(tiny_models / "teacher1"), name="both")
    files = {KERAS_FILE: keras_file, ONNX_FILE: graph}
    bundle.write_bundle(tiny_models / "both", manifest, files)
    teachers = Teachers(["both"], prepared, photos)
    for size, network in ((160, networks[0]), (224, networks[1])):
        given = teachers.probabilities(np.repeat(photos[size][np.newaxis], 6, axis=0))
        expected = resize_input(network, size).predict_on_batch(scaled[size])
        np.testing.assert_allclose(given, np.repeat(expected, 6, axis=0), atol=1e-5)


def test_teacher_that_fits_one_size_only_is_refused_at_once(tiny_models, prepared):
    write_teacher(tiny_models, 1, flat=True)
    Teachers(["teacher1"], prepared, [224])
    with pytest.raises(ModelBundleError, match="cannot take photographs of 160 pixels"):
        Teachers(["teacher1"], prepared, [224, 160])


def test_damaged_teacher_is_refused(tiny_models, prepared):
    write_teacher(tiny_models, 1)
    with (tiny_models / "teacher1" / KERAS_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelBundleError, match=KERAS_FILE):
        Teachers(["teacher1"], prepared, [224])


def test_photographs_that_are_left_out_may_have_been_seen(tiny_models, prepared):
    write_splits(tiny_models / "tiny", prepared, prepared.table["split"].tolist())
    prepared.table.loc[prepared.rows_of("train")[2:], "split"] = "left out"
    check_held_out(tiny_models / "tiny", prepared)


def test_keywords_are_no_files_of_the_current_folder(tiny_models, prepared, monkeypatch):
    write_splits(tiny_models / "tiny", prepared, prepared.table["split"].tolist())
    monkeypatch.chdir(tiny_models / "tiny")
    assert bundle_of_weights("imagenet") is None
    assert bundle_of_weights("random") is None
    assert bundle_of_weights("model.keras") == Path()


def test_teacher_of_other_classes_is_refused(tiny_models, prepared):
    object.__setattr__(prepared, "class_names", ("clapping", "running", "swimming"))
    with pytest.raises(ModelBundleError, match="other classes"):
        Teachers(["tiny"], prepared, [224])


def test_model_that_saw_held_out_photographs_is_refused(tiny_models, prepared):
    check_held_out(tiny_models / "tiny", prepared)  # no record: nothing is known of it
    same = prepared.table["split"].tolist()
    write_splits(tiny_models / "tiny", prepared, same)
    check_held_out(tiny_models / "tiny", prepared)
    write_splits(tiny_models / "tiny", prepared, ["train"] * len(same))
    n_held_out = sum(split != "train" for split in same)
    with pytest.raises(ModelBundleError, match=f"{n_held_out} of the {n_held_out} photographs"):
        Teachers(["tiny"], prepared, [224])


def test_cross_validation_of_the_same_photographs_is_found_again(tiny_models, prepared):
    folder = tiny_models / "tiny"
    path = folder / CROSS_VALIDATED_FILE
    path.parent.mkdir()
    assert find_cross_validation([folder], prepared) is None
    shuffled = prepared.table[["sha256", "label"]].sample(frac=1, random_state=0)
    shuffled.to_parquet(path)
    assert find_cross_validation([folder], prepared) == path.read_bytes()
    path.write_bytes(b"no parquet")
    with pytest.raises(ModelBundleError, match=r"cross_validated\.parquet"):
        find_cross_validation([folder], prepared)
    shuffled.assign(label="running").to_parquet(path)
    assert find_cross_validation([folder], prepared) is None
