import dataclasses

import numpy as np
import pytest

from har_core.errors import ModelBundleError
from har_core.images.preprocessing import resize_image, scale_pixels
from har_core.model import bundle
from har_core.model.manifest import KERAS_FILE, SPLITS_FILE, read_manifest
from har_core.training.distillation.teachers import Opinions, Teachers
from har_core.training.learning.augmentation import (
    AugmentationSettings,
    draw_augmentations,
    unchanged,
)
from har_core.training.network import training_twin
from har_core.training.preparation import prepare_dataset
from har_core.training.run_folder import RunFolder
from tests.drawing import draw_photo


@pytest.fixture
def prepared(tiny_dataset, tmp_path):
    return prepare_dataset(tiny_dataset, tmp_path)


def write_teacher(folder, seed):
    """Write a bundle around a tiny Keras network, and return that."""
    import keras

    keras.utils.set_random_seed(seed)
    pixels = keras.Input((224, 224, 3))
    x = keras.layers.Conv2D(4, 32, strides=32)(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(pixels, keras.layers.Dense(3, activation="softmax")(x))
    network.save(folder / "network.keras")
    name = f"teacher{seed}"
    manifest = dataclasses.replace(read_manifest(folder / "tiny"), name=name)
    bundle.write_bundle(folder / name, manifest, {KERAS_FILE: folder / "network.keras"})
    return network


def run_of(folder, network, size):
    """Keep a network as a run that ended with it does."""
    run = RunFolder(folder)
    run.make()
    run.write_settings({"settings": {"size": size}})
    run.write_network(network)
    return str(folder)


PIXELS = np.stack([resize_image(np.asarray(draw_photo("running", seed=k)), 256) for k in range(4)])


def test_each_teacher_judges_at_its_own_size(tiny_models, prepared, tmp_path):
    networks = [write_teacher(tiny_models, seed) for seed in (1, 2)]
    teachers = Teachers(["teacher1", run_of(tmp_path / "t", networks[1], 160)], prepared)
    given = teachers.probabilities(PIXELS, unchanged(4))
    expected = [
        training_twin(network).predict_on_batch(
            scale_pixels(
                np.stack([resize_image(pixels, size) for pixels in PIXELS]), "minus_one_to_one"
            )
        )
        for network, size in ((networks[0], 224), (networks[1], 160))
    ]
    np.testing.assert_allclose(given, np.mean(expected, axis=0), atol=2e-3)


def test_opinions_are_asked_for_once_and_outlive_a_kill(tiny_models, prepared, tmp_path):
    write_teacher(tiny_models, 1)
    teachers = Teachers(["teacher1"], prepared)
    draws = draw_augmentations(np.random.default_rng(0), 4, AugmentationSettings())
    path, shape = tmp_path / "opinions.npy", (2, 3, 4, 3)
    first = Opinions(teachers, path, shape).of(1, 2, PIXELS, draws)
    np.testing.assert_allclose(first, teachers.probabilities(PIXELS, draws), atol=1e-3)

    class Absent:
        def probabilities(self, pixels, draws):
            raise AssertionError("asked again")

    again = Opinions(Absent(), path, shape)
    np.testing.assert_array_equal(again.of(1, 2, PIXELS, draws), first)
    with pytest.raises(AssertionError, match="asked again"):
        again.of(0, 0, PIXELS, draws)
    again._kept[1, 2, 1:] = 0  # a kill came while the row was written
    with pytest.raises(AssertionError, match="asked again"):
        again.of(1, 2, PIXELS, draws)


def test_damaged_teacher_is_refused(tiny_models, prepared):
    write_teacher(tiny_models, 1)
    with (tiny_models / "teacher1" / KERAS_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelBundleError, match=KERAS_FILE):
        Teachers(["teacher1"], prepared)


def test_teacher_of_other_classes_is_refused(tiny_models, prepared):
    object.__setattr__(prepared, "class_names", ("clapping", "running", "swimming"))
    with pytest.raises(ModelBundleError, match="other classes"):
        Teachers(["tiny"], prepared)


def test_teacher_that_saw_held_out_photographs_is_refused(tiny_models, prepared, tmp_path):
    folder = run_of(tmp_path / "t", write_teacher(tiny_models, 1), 224)
    table = prepared.table.drop(columns="path").assign(split="train")
    (tmp_path / "t" / SPLITS_FILE).write_bytes(table.to_parquet())
    with pytest.raises(ModelBundleError, match="that are held out"):
        Teachers([folder], prepared)
    # A recipe that goes on with another table leaves a teacher alone that is done.
    renamed = table.assign(label=table["label"].replace("running", "jogging"))
    (tmp_path / "t" / SPLITS_FILE).write_bytes(renamed.to_parquet())
    with pytest.raises(ModelBundleError, match=r"other classes apart than .*jogging"):
        Teachers([folder], prepared)
