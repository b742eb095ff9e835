import io
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import har_core
from har_core import ActionModel
from har_core.errors import InvalidImageError, ModelBundleError
from har_core.model.temperature import apply_temperature
from tests.drawing import CLASS_NAMES, draw_photo, photo_bytes
from tests.patience import PATIENCE_S


class RecordingEngine:
    """Notes whether its callers were alone; with `meet`, each waits until all have begun."""

    batch_size = 1
    scales = False

    def __init__(self, n_classes, n_callers):
        self.n_classes = n_classes
        self.alone = []
        self.meet = False
        self._barrier = threading.Barrier(n_callers, timeout=PATIENCE_S)

    def run(self, batch, *, alone=True):
        self.alone.append(alone)
        if self.meet:
            self._barrier.wait()
        return np.full((len(batch), self.n_classes), 1 / self.n_classes, np.float32)


def test_prediction_from_bytes_path_and_array_agree(tiny_models, tmp_path):
    model = har_core.load_model()
    image = draw_photo("sitting", 3)
    path = tmp_path / "photo.png"
    image.save(path)
    from_path = model.predict(path)
    assert from_path == model.predict(path.read_bytes()) == model.predict(np.asarray(image))
    assert from_path.action == "sitting"
    assert list(from_path.probabilities) == list(CLASS_NAMES)
    assert sum(from_path.probabilities.values()) == pytest.approx(1, abs=1e-12)
    assert from_path.top(2)[0] == ("sitting", from_path.confidence)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8, 3)),
        np.zeros((8, 8, 3), np.int16),
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_array_that_is_no_picture_is_refused(tiny_models, array):
    with pytest.raises(InvalidImageError, match="must be uint8 RGB with shape"):
        har_core.load_model().predict(array)


def test_whatever_holds_bytes_is_a_photograph(tiny_models):
    model = har_core.load_model()
    data = photo_bytes()
    assert model.predict(bytearray(data)) == model.predict(memoryview(data)) == model.predict(data)


def test_anything_else_is_refused_with_what_to_hand_in(tiny_models):
    model = har_core.load_model()
    with pytest.raises(TypeError, match=r"not 'BytesIO'; hand in what its read\(\) returns"):
        model.predict(io.BytesIO(photo_bytes()))
    with pytest.raises(TypeError, match=r"not 'Image'; numpy\.asarray\(image\.convert\('RGB'\)\)"):
        model.predict_batch([draw_photo("sitting", 3)])
    with pytest.raises(TypeError, match=r"a uint8 array of shape .* not 'NoneType'"):
        model.predict(None)


def test_batch_is_anything_that_yields_photographs_but_no_single_one(tiny_models, tmp_path):
    model = har_core.load_model()
    path = tmp_path / "photo.png"
    draw_photo("sitting", 3).save(path)
    assert model.predict_batch(tmp_path.glob("*.png")) == [model.predict(path)]
    pixels = np.asarray(draw_photo("sitting", 3))
    assert model.predict_batch(np.stack([pixels, pixels])) == [model.predict(pixels)] * 2
    for single in (path, str(path), path.read_bytes(), pixels):
        with pytest.raises(TypeError, match="for a single one use predict"):
            model.predict_batch(single)


@pytest.mark.parametrize("size", [0, -1])
def test_batches_of_no_photograph_are_refused(tiny_models, size):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        har_core.load_model().predict_batch([photo_bytes()], batch_size=size)


def test_prepared_photographs_of_another_kind_are_refused(tiny_models):
    model = har_core.load_model()
    pixels = model.prepare(photo_bytes())
    side = len(pixels)
    wrong = [
        pixels,
        pixels[np.newaxis][:0],  # ONNX Runtime would end the process
        pixels[np.newaxis, :-1],
        pixels[np.newaxis] / 255,
    ]
    for call in (model.predict_probabilities, model.predict_with_novelty):
        for batch in wrong:
            with pytest.raises(ValueError, match=rf"uint8 with shape \(N, {side}, {side}, 3\)"):
                call(batch)


def test_one_bad_image_does_not_spoil_the_batch(tiny_models):
    model = har_core.load_model()
    sources = [photo_bytes("running", i) for i in range(5)]
    sources[2] = b"<html>not found</html>"
    seen = []
    results = model.predict_batch(sources, batch_size=2, progress=lambda *step: seen.append(step))
    assert isinstance(results[2], InvalidImageError)
    assert [r.action for i, r in enumerate(results) if i != 2] == ["running"] * 4
    assert results[4].confidence == pytest.approx(model.predict(sources[4]).confidence, abs=1e-6)
    assert seen == [(2, 5), (4, 5), (5, 5)]
    assert model.predict_batch([]) == []


def test_batch_gives_the_predictions_of_one_at_a_time_in_order(tiny_models):
    model = har_core.load_model()
    sources = [photo_bytes(name, seed) for seed in range(9) for name in CLASS_NAMES[:3]]
    single = [list(model.predict(source).probabilities.values()) for source in sources]
    batch = [list(result.probabilities.values()) for result in model.predict_batch(sources)]
    assert np.allclose(single, batch, atol=1e-4)  # sums in another order


def test_exception_in_progress_ends_a_batch_early(tiny_models, monkeypatch):
    model = har_core.load_model()
    prepared = []
    monkeypatch.setattr(
        type(model), "_prepare", lambda self, source: prepared.append(source) or (source, "")
    )
    pixels = np.zeros((model.manifest.input_size,) * 2 + (3,), np.uint8)

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.predict_batch([pixels] * 5000, batch_size=1, progress=cancel)
    assert len(prepared) < 5000


def test_only_a_lone_caller_gets_all_cores(tiny_models):
    model = har_core.load_model()
    engine = RecordingEngine(len(CLASS_NAMES), n_callers=2)
    shared = ActionModel(model.manifest, engine)
    shared.predict(photo_bytes())
    assert engine.alone == [True]
    engine.meet = True
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(shared.predict, [photo_bytes()] * 2))
    assert False in engine.alone[1:]  # whichever of the two noted it first


def test_photograph_that_is_a_batch_by_itself_gets_all_cores(tiny_models):
    model = har_core.load_model()
    engine = RecordingEngine(len(CLASS_NAMES), n_callers=1)
    shared = ActionModel(model.manifest, engine)
    seen = []
    (answer,) = shared.predict_batch([photo_bytes()], progress=lambda *step: seen.append(step))
    assert (answer, engine.alone, seen) == (shared.predict(photo_bytes()), [True, True], [(1, 1)])
    shared.predict_batch([photo_bytes()] * 2)
    assert engine.alone[2:] == [False, False]
    assert isinstance(shared.predict_batch([b"no photograph"])[0], InvalidImageError)


def test_caller_that_others_wait_behind_leaves_them_the_other_cores(tiny_models):
    model = har_core.load_model()
    engine = RecordingEngine(len(CLASS_NAMES), n_callers=1)
    ActionModel(model.manifest, engine).predict(photo_bytes(), others_wait=True)
    assert engine.alone == [False]


def test_same_model_is_loaded_once(tiny_models):
    assert har_core.load_model() is har_core.load_model("tiny")
    assert har_core.load_model(tiny_models / "tiny") is har_core.load_model()


def test_temperature_softens_without_changing_the_ranking():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(5), 100)
    soft = apply_temperature(probabilities, 2.0)
    assert np.array_equal(probabilities.argsort(1), soft.argsort(1))
    assert (soft.max(1) < probabilities.max(1)).all()
    assert soft.sum(1) == pytest.approx(1, abs=1e-12)
    exact = apply_temperature(np.array([[1.0, 0.0, 0.0]]), 1.7)
    assert exact.tolist() == [[1, 0, 0]]


def test_import_and_prediction_never_import_tensorflow(tiny_models, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(photo_bytes())
    code = (
        "import sys, har_core; har_core.load_model().predict(sys.argv[1]);"
        "sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'streamlit')))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "photo.jpg")], check=True)


@pytest.mark.parametrize(
    ("last", "message"),
    [({"activation": "relu"}, "no probabilities"), ({"activation": "sigmoid"}, "no probabilities")],
)
def test_plain_keras_file_that_gives_no_probabilities_is_refused(tmp_path, last, message):
    import keras

    pixels = keras.Input((32, 32, 3))
    x = keras.layers.GlobalAveragePooling2D()(pixels)
    keras.Model(pixels, keras.layers.Dense(2, **last)(x)).save(tmp_path / "raw.keras")
    (tmp_path / "class_indices.json").write_text('{"0": "a", "1": "b"}')
    with pytest.raises(ModelBundleError, match=message):
        har_core.load_model(tmp_path / "raw.keras")


@pytest.mark.parametrize("shape", [(None, None, 3), (32, 32, 1), (32, 16, 3)])
def test_plain_keras_file_for_other_pictures_is_refused(tmp_path, shape):
    import keras

    pixels = keras.Input(shape)
    x = keras.layers.GlobalAveragePooling2D()(pixels)
    network = keras.Model(pixels, keras.layers.Dense(2, activation="softmax")(x))
    network.save(tmp_path / "odd.keras")
    (tmp_path / "class_indices.json").write_text('{"0": "a", "1": "b"}')
    with pytest.raises(ModelBundleError, match="square RGB"):
        har_core.load_model(tmp_path / "odd.keras")
