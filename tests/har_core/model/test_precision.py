"""A bundle's 8-bit graph runs where it is asked for, or faster and exact; else float32 does."""

import json

import numpy as np
import pytest

from har_core.cli import main
from har_core.errors import HarError, ModelBundleError
from har_core.model import load_model, precision
from har_core.model.bundle import verify_bundle
from har_core.model.manifest import INT8_ONNX_FILE
from tests.drawing import give_8_bits, photo_bytes

FASTER = {"time_ratio": 0.5, "difference": 0.01, "int8_pays": True}


@pytest.fixture
def bundle(tiny_models, tmp_path, monkeypatch):
    """Give the tiny bundle an 8-bit graph, and measurements a place of their own."""
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("HAR_PRECISION", "auto")
    return give_8_bits(tiny_models / "tiny")


def runs_int8(folder) -> bool:
    return precision.graph_to_run(folder, verify_bundle(folder)).name == INT8_ONNX_FILE


def answers(monkeypatch, wish):
    """Return probabilities and answers of the tiny bundle at a precision that is wished for."""
    monkeypatch.setenv("HAR_PRECISION", wish)
    model = load_model("tiny")
    photographs = [photo_bytes(name, 3) for name in ("running", "sitting", "clapping")]
    pixels = np.stack([model.prepare(photograph) for photograph in photographs])
    batch = model.predict_batch(photographs)
    return model.predict_probabilities(pixels), [answer.probabilities for answer in batch]


def test_wish_decides_and_both_answer_alike(bundle, monkeypatch):
    of_float, batch_of_float = answers(monkeypatch, "float32")
    of_int8, batch_of_int8 = answers(monkeypatch, "int8")
    np.testing.assert_allclose(of_int8, of_float, atol=1e-5)
    assert batch_of_int8 == [pytest.approx(one, abs=1e-5) for one in batch_of_float]
    assert runs_int8(bundle)
    for otherwise in ("float32", ""):
        monkeypatch.setenv("HAR_PRECISION", otherwise)
        assert not runs_int8(bundle)


def test_wish_that_is_none_is_an_error_of_one_line(bundle, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HAR_PRECISION", "half")
    with pytest.raises(
        ModelBundleError, match="HAR_PRECISION is 'half'; it must be float32, int8 or auto"
    ):
        load_model("tiny")
    photograph = tmp_path / "a.png"
    photograph.write_bytes(photo_bytes("running"))
    monkeypatch.setattr("sys.argv", ["har", "predict", str(photograph), "--model", "tiny"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "HAR_PRECISION" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("found", "taken"),
    [(FASTER, True), ({**FASTER, "int8_pays": False}, False)],
    ids=["faster", "not faster"],
)
def test_measurement_decides_once(bundle, monkeypatch, found, taken):
    measured = []
    monkeypatch.setattr(precision, "compare_graphs", lambda *_: measured.append(1) or found)
    assert [runs_int8(bundle) for _ in range(3)] == [taken] * 3
    assert len(measured) == 1
    monkeypatch.setattr(precision, "_processor", lambda: "another")
    runs_int8(bundle)
    monkeypatch.setattr("onnxruntime.__version__", "another")
    runs_int8(bundle)
    manifest = verify_bundle(bundle)
    manifest.files[INT8_ONNX_FILE] = "another's"
    precision.graph_to_run(bundle, manifest)
    assert len(measured) == 4


def test_damaged_or_unwritable_memory_is_measured_again(bundle, monkeypatch, tmp_path):
    measured = []
    monkeypatch.setattr(precision, "compare_graphs", lambda *_: measured.append(1) or FASTER)
    runs_int8(bundle)
    (file,) = (tmp_path / "cache" / "precision").iterdir()
    file.write_text("{")
    assert runs_int8(bundle)
    assert json.loads(file.read_text()) == FASTER
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "file"))
    assert runs_int8(bundle)
    assert len(measured) == 3


def test_comparison_measures_time_and_exactness(bundle, monkeypatch):
    found = precision.compare_graphs(bundle, verify_bundle(bundle))
    assert found["difference"] == 0
    assert 0 < found["time_ratio"] < 100
    assert found["int8_pays"] == (found["time_ratio"] <= 0.85)
    # Products that saturate make another answer than the same sums in float32.
    run = precision.OnnxEngine.run
    monkeypatch.setattr(precision, "_WORTHWHILE", np.inf)
    assert precision.compare_graphs(bundle, verify_bundle(bundle))["int8_pays"]
    compared = []

    def saturating(engine, batch, **how):
        outputs = run(engine, batch, **how)
        compared.extend([engine] * (not how))
        return outputs[:, ::-1] if len(compared) == 1 and not how else outputs

    monkeypatch.setattr(precision.OnnxEngine, "run", saturating)
    assert not precision.compare_graphs(bundle, verify_bundle(bundle))["int8_pays"]


def test_processor_that_gives_no_number_is_not_exact(bundle, monkeypatch):
    precision.check_exact(bundle, 224)
    for difference in (0.11, np.nan):
        monkeypatch.setattr(precision, "_difference", lambda *_, d=difference: d)
        with pytest.raises(HarError, match="does not compute exactly with 8 bits"):
            precision.check_exact(bundle, 224)


def test_bundle_without_8_bits_is_never_measured(tiny_models, monkeypatch):
    monkeypatch.setattr(precision, "compare_graphs", lambda *_: pytest.fail("measured"))
    monkeypatch.setenv("HAR_PRECISION", "int8")
    assert not runs_int8(tiny_models / "tiny")
    assert load_model("tiny").predict(photo_bytes("running")).action == "running"
