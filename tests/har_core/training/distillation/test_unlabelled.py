import shutil

import numpy as np
import pytest
from PIL import Image

from har_core.errors import DatasetError
from har_core.images.decoding import decode_square
from har_core.training.distillation.unlabelled import read_unlabelled
from har_core.training.preparation import STORED_SIZE, prepare_dataset
from tests.drawing import draw_photo


@pytest.fixture
def prepared(tiny_dataset, tmp_path):
    return prepare_dataset(tiny_dataset, tmp_path)


def test_copies_and_near_duplicates_of_held_out_photographs_are_not_learned_from(
    prepared, tmp_path
):
    folder = tmp_path / "more" / "deep"
    folder.mkdir(parents=True)
    draw_photo("running", seed=101).save(folder / "new.jpg")
    (folder / "notes.txt").write_text("no photograph")
    paths = prepared.table["path"]
    shutil.copy(paths.iloc[prepared.rows_of("train")[0]], folder / "copy.jpg")
    for split in ("validation", "test"):
        photo = Image.open(paths.iloc[prepared.rows_of(split)[0]])
        photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / f"mirrored {split}.jpg")
    found = read_unlabelled(tmp_path / "more", prepared, tmp_path)
    assert found.table["filename"].tolist() == ["deep/new.jpg"]
    assert found.pixels.shape == (1, 256, 256, 3)
    assert isinstance(found.pixels, np.memmap)  # a hundred thousand of them are 20 GB
    new = decode_square((folder / "new.jpg").read_bytes(), STORED_SIZE)
    np.testing.assert_array_equal(found.pixels[0], new)


def test_folder_without_a_new_photograph_is_refused(prepared, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    with pytest.raises(DatasetError, match="no photograph in"):
        read_unlabelled(folder, prepared, tmp_path)
    shutil.copy(prepared.table["path"].iloc[0], folder / "copy.jpg")
    with pytest.raises(DatasetError, match="not in the dataset already"):
        read_unlabelled(folder, prepared, tmp_path)
