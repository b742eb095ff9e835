import numpy as np
import pandas as pd
import pytest
from PIL import Image

import har_core
from har_core.dataset.table import load_dataset
from har_core.errors import DatasetError
from har_core.evaluation.run import evaluate_dataset
from har_core.evaluation.store import network_sha256
from tests.drawing import CLASS_NAMES, COLOUR_WEIGHTS, encode
from tests.evaluated import write_evaluated_bundle
from tests.guarded import checkerboard, write_guarded_bundle


@pytest.fixture
def table(tiny_dataset) -> pd.DataFrame:
    return load_dataset(tiny_dataset)


def test_every_photograph_is_evaluated_as_by_prediction(tiny_models, table):
    model = har_core.load_model()
    seen = []
    evaluation = evaluate_dataset(model, table, progress=lambda *step: seen.append(step))
    assert seen == [(12, 12)]
    assert evaluation.result.filenames.tolist() == table["filename"].tolist()
    for row, path in enumerate(table["path"]):
        expected = list(model.predict(path).probabilities.values())
        assert evaluation.result.probabilities[row] == pytest.approx(expected, abs=1e-4)
    assert evaluation.skipped.empty
    assert len(set(evaluation.raw.sha256)) == 12
    assert evaluation.network == network_sha256(model.manifest) != ""
    assert evaluation.raw.in_scope is None


def test_what_looks_foreign_is_recorded(tiny_models, tiny_dataset):
    write_guarded_bundle(tiny_models)
    (tiny_dataset / "train" / "running_0.jpg").write_bytes(checkerboard())
    evaluation = evaluate_dataset(har_core.load_model("guarded"), load_dataset(tiny_dataset))
    foreign = evaluation.raw.filenames[~evaluation.raw.in_scope]
    assert "running_0.jpg" in foreign and len(foreign) < 6


def test_rows_that_cannot_be_used_are_listed_with_their_reason(tiny_models, tiny_dataset):
    (tiny_dataset / "train" / "running_1.jpg").write_bytes(b"<html>gone</html>")
    (tiny_dataset / "train" / "running_2.jpg").unlink()
    with (tiny_dataset / "train.csv").open("a") as csv:
        csv.write("sitting_0.jpg,sitting\nsitting_1.jpg,running\n")
    table = load_dataset(tiny_dataset)
    table.loc[table["filename"] == "clapping_0.jpg", "label"] = "flying"
    table.loc[table["filename"] == "clapping_1.jpg", "label"] = "Clapping"
    evaluation = evaluate_dataset(har_core.load_model(), table)
    skipped = evaluation.skipped.groupby("filename")["reason"].first().to_dict()
    assert skipped == {
        "running_1.jpg": "unreadable photograph (html)",
        "running_2.jpg": "photograph missing",
        "sitting_0.jpg": "listed twice",
        "sitting_1.jpg": "listed with different labels",
        "clapping_0.jpg": "label unknown to the model: flying",
        "clapping_1.jpg": "label unknown to the model: Clapping (its class is clapping)",
    }
    assert evaluation.result.n == 7
    assert len(evaluation.skipped) == 7


def test_near_duplicates_share_a_group(tiny_models, tiny_dataset):
    photos = tiny_dataset / "train"
    (photos / "sitting_3.jpg").write_bytes((photos / "sitting_2.jpg").read_bytes())
    for name in ("running_0.jpg", "running_1.jpg"):  # of one colour, they resemble nothing
        (photos / name).write_bytes(encode(Image.new("RGB", (96, 64), (9, 9, 9))))
    evaluation = evaluate_dataset(har_core.load_model(), load_dataset(tiny_dataset))
    group = dict(zip(evaluation.raw.filenames, evaluation.raw.groups, strict=True))
    assert group["sitting_2.jpg"] == group["sitting_3.jpg"]
    assert group["running_0.jpg"] == group["running_1.jpg"]
    assert len(set(group.values())) == 10


def test_the_raw_probabilities_undo_the_temperature(tmp_path, table):
    weights = COLOUR_WEIGHTS
    photographs = table.assign(split="test")
    write_evaluated_bundle(tmp_path, photographs, CLASS_NAMES, name="plain", weights=weights)
    write_evaluated_bundle(
        tmp_path, photographs, CLASS_NAMES, name="soft", weights=weights, temperature=2.5
    )
    plain = evaluate_dataset(har_core.load_model(tmp_path / "plain"), table)
    soft = evaluate_dataset(har_core.load_model(tmp_path / "soft"), table)
    assert np.allclose(soft.raw.probabilities, plain.raw.probabilities, atol=1e-9)
    assert soft.result.confidence.mean() < plain.result.confidence.mean()


def test_nothing_usable_is_an_error(tiny_models, table):
    with pytest.raises(DatasetError, match=r"No row of the table.*12 × label unknown"):
        evaluate_dataset(har_core.load_model(), table.assign(label="flying"))


def test_an_exception_from_progress_ends_the_run(tiny_models, table):
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate_dataset(har_core.load_model(), table, progress=stop)
