"""A model gets a graph of 8 bits, which answers as its float graph does."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss

from har_core.errors import DatasetError, ModelBundleError
from har_core.evaluation.answers import store_abstention
from har_core.images.preprocessing import scale_pixels
from har_core.keras_io.feature_outputs import Features, add_feature_outputs
from har_core.keras_io.onnx_export import export_onnx
from har_core.model import load_model
from har_core.model.bundle import verify_bundle, write_bundle
from har_core.model.class_indices import format_class_indices
from har_core.model.engine import OnnxEngine
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    INT8_NOVELTY_FILE,
    INT8_ONNX_FILE,
    KERAS_FILE,
    NOVELTY_FILE,
    ONNX_FILE,
    SPLITS_FILE,
    BundleManifest,
)
from har_core.model.novelty.detector import fit_novelty
from har_core.training import answering
from har_core.training.answering import calibrate_bundle, measure_novelty
from har_core.training.quantization import run
from har_core.training.quantization.graph import quantised_graph
from tests.drawing import photo_bytes
from tests.har_core.training.quantization.conftest import SIZE

CLASSES = ("clapping", "dancing", "running", "sitting")


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """Return the network's files, as Keras and as ONNX."""
    folder = tmp_path_factory.mktemp("exported")
    network.save(folder / KERAS_FILE)
    probe = scale_pixels(np.arange(SIZE * SIZE * 3).reshape(1, SIZE, SIZE, 3) % 256, "none") / 255
    export_onnx(network, folder / ONNX_FILE, probe=probe)
    return folder / KERAS_FILE, add_feature_outputs((folder / ONNX_FILE).read_bytes())


@pytest.fixture
def bundle(exported, tiny_dataset, tmp_path, monkeypatch):
    """Write a bundle of the network that was trained on the tiny dataset, three in four of it."""
    table = pd.read_csv(tiny_dataset / "train.csv")
    files = [tiny_dataset / "train" / name for name in table["filename"]]
    table["sha256"] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    table["split"] = np.where(np.arange(len(table)) % 4 == 3, "validation", "train")
    table["duplicate_group"] = np.arange(len(table))
    keras_file, graph = exported
    folder = tmp_path / "models" / "small"
    manifest = BundleManifest("small", "small", SIZE, "minus_one_to_one", CLASSES)
    contents = {
        KERAS_FILE: keras_file,
        ONNX_FILE: graph,
        CLASS_INDICES_FILE: format_class_indices(CLASSES).encode(),
        SPLITS_FILE: table.to_parquet(index=False),
    }
    write_bundle(folder, manifest, contents)
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def test_model_gets_8_bits_that_answer_as_float_does(bundle, tiny_dataset, monkeypatch):
    monkeypatch.setattr(run, "_WORST_TOP1", -1)
    monkeypatch.setattr(run, "_WORST_LOSS", 0.2)
    steps = []
    manifest = run.quantise_bundle(
        bundle, tiny_dataset, epochs=2, progress=lambda *step: steps.append(step)
    )
    assert verify_bundle(bundle) == manifest
    assert {KERAS_FILE, ONNX_FILE, INT8_ONNX_FILE, SPLITS_FILE} <= manifest.files.keys()
    found = manifest.training["int8"]
    assert found["split"] == "validation"
    assert found["n"] == 3
    assert found["epochs"] == 2
    assert abs(found["log_loss"]) < 0.2
    assert {what for what, _, _ in steps} >= {
        "Reading photographs",
        "Learning to compute with 8 bits",
        "Comparing with float32",
    }
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3)).astype(np.uint8)
    answers = {}
    for precision in ("float32", "int8"):
        monkeypatch.setenv("HAR_PRECISION", precision)
        answers[precision] = load_model(bundle).predict_probabilities(pixels)
    difference = np.abs(answers["int8"] - answers["float32"]).max()
    assert 0 < difference < 0.1


def test_both_graphs_are_compared_by_the_loss_that_evaluations_count(monkeypatch):
    """A label that rounding leaves no probability costs as much there as in the metrics."""
    answers = {"float": [[0.5, 0.5, 0, 0]], "int8": [[0.0, 1.0, 0, 0]]}

    class Graph:
        def __init__(self, path):
            self.run = lambda pixels: np.array(answers[path])

    monkeypatch.setattr(run, "OnnxEngine", Graph)
    monkeypatch.setattr(run, "read_square", lambda path, size: np.zeros((size, size, 3), np.uint8))
    manifest = BundleManifest("small", "small", SIZE, "minus_one_to_one", CLASSES)
    part = pd.DataFrame({"label": ["clapping"], "path": ["a.jpg"]})
    found = run._compare(manifest, "float", "int8", part, lambda *step: None)
    worst = log_loss([0], answers["int8"], labels=range(4))
    assert found["log_loss"] == pytest.approx(worst + np.log(0.5))
    assert found["top1"] == -1


def test_novelty_is_judged_by_how_8_bits_see_held_out_photographs(
    bundle, twin, tiny_dataset, monkeypatch
):
    graph = bundle.parent / INT8_ONNX_FILE
    graph.write_bytes(quantised_graph(twin, SIZE))
    paths = [str(path) for path in sorted((tiny_dataset / "train").iterdir())] * 2
    rng = np.random.default_rng(0)

    def draw(n):
        return Features(*(rng.uniform(0, 1, (n, width)) for width in (20, 16, 24)))

    detector = fit_novelty(draw(40), np.arange(40), draw(30), "validation")
    files = {name: (bundle / name).read_bytes() for name in verify_bundle(bundle).files}
    files |= {NOVELTY_FILE: detector.to_bytes(), INT8_ONNX_FILE: graph.read_bytes()}
    write_bundle(bundle, verify_bundle(bundle), files, overwrite=True)
    assert measure_novelty(detector.to_bytes(), graph, SIZE, paths[:12]) == {}  # too few
    measured = measure_novelty(detector.to_bytes(), graph, SIZE, paths)
    write_bundle(bundle, verify_bundle(bundle), {**files, **measured}, overwrite=True)
    found = {}
    for precision in ("float32", "int8"):
        monkeypatch.setenv("HAR_PRECISION", precision)
        found[precision] = load_model(bundle).novelty
    np.testing.assert_array_equal(found["float32"].held_out, detector.held_out)
    assert len(found["int8"].held_out) == 24
    features = OnnxEngine(graph).run_with_features(
        np.stack([load_model(bundle).prepare(path) for path in paths[:12]])
    )[1]
    assert found["int8"].judge(features).in_scope.mean() > 0.9
    assert not found["float32"].judge(features).in_scope.any()
    # A new graph or detector has another measure; these few photographs make none.
    monkeypatch.setattr(run, "_WORST_TOP1", -1)
    monkeypatch.setattr(run, "_WORST_LOSS", 10)
    assert INT8_NOVELTY_FILE not in run.quantise_bundle(bundle, tiny_dataset, epochs=0).files
    write_bundle(bundle, verify_bundle(bundle), {**files, **measured}, overwrite=True)
    monkeypatch.setattr(
        answering, "learn_novelty", lambda *_, **__: {NOVELTY_FILE: files[NOVELTY_FILE]}
    )
    assert INT8_NOVELTY_FILE not in calibrate_bundle(bundle, tiny_dataset).files
    with pytest.raises(ModelBundleError, match=r"Cannot read broken\.npz"):
        detector.with_measure(b"PK", "broken.npz")


def test_what_a_page_stores_meanwhile_is_kept(bundle, tiny_dataset, monkeypatch):
    monkeypatch.setattr(run, "_WORST_TOP1", -1)
    monkeypatch.setattr(run, "_WORST_LOSS", 10)

    def choose(what, done, total):
        if what == "Comparing with float32":
            store_abstention(bundle, 0.75)

    manifest = run.quantise_bundle(bundle, tiny_dataset, epochs=0, progress=choose)
    assert manifest.rules.abstain_below == 0.75


def test_8_bits_that_cost_too_much_are_not_stored(bundle, tiny_dataset, monkeypatch):
    monkeypatch.setattr(run, "_WORST_LOSS", -1)
    before = verify_bundle(bundle)
    with pytest.raises(ModelBundleError, match=r"nothing was changed. Give it more epochs"):
        run.quantise_bundle(bundle, tiny_dataset, epochs=0)
    assert verify_bundle(bundle) == before


def test_dataset_of_other_photographs_is_refused(bundle, tiny_dataset):
    for number, path in enumerate(sorted((tiny_dataset / "train").iterdir())):
        path.write_bytes(photo_bytes("running", 1000 + number))
    with pytest.raises(DatasetError, match="none of the train photographs of 'small'"):
        run.quantise_bundle(bundle, tiny_dataset)
