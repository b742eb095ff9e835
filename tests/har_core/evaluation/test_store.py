import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from har_core.errors import DatasetError, ModelBundleError
from har_core.evaluation import store
from har_core.evaluation.caveats import caveats
from har_core.evaluation.store import (
    Evaluation,
    delete_evaluation,
    evaluation_stamp,
    keep_evaluation,
    list_evaluations,
    read_evaluation,
    thumbnails_path,
)
from har_core.model import bundle
from har_core.model.answers import AnswerRules
from har_core.model.manifest import (
    INHERITED_FILE,
    PREDICTIONS_FILE,
    SPLITS_FILE,
    read_manifest,
)
from har_core.model.records import read_lineage, unrecorded_ancestors
from har_core.model.temperature import apply_temperature
from tests.evaluated import HAR_CLASSES, draw_table, write_evaluated_bundle


@pytest.fixture
def table() -> pd.DataFrame:
    return draw_table(600)


@pytest.fixture
def folder(tmp_path, table, monkeypatch):
    monkeypatch.setenv("HAR_CACHE_DIR", str(tmp_path / "cache"))
    write_evaluated_bundle(tmp_path / "models", table)
    return tmp_path / "models" / "drawn"


def test_evaluations_outlive_the_cache(folder, tmp_path):
    keep_evaluation(replace(read_evaluation(folder, "test"), name="mine"))
    shutil.rmtree(tmp_path / "cache", ignore_errors=True)
    assert list_evaluations(folder, read_manifest(folder)) == ["test", "validation", "mine"]


def test_evaluations_of_version_1_0_are_found_in_the_cache_and_moved(folder, tmp_path):
    path = keep_evaluation(replace(read_evaluation(folder, "test"), name="mine"))
    old = tmp_path / "cache" / "evaluations" / "drawn" / path.name
    old.parent.mkdir(parents=True)
    path.rename(old)
    assert list_evaluations(folder, read_manifest(folder)) == ["test", "validation", "mine"]
    assert path.is_file()
    assert read_evaluation(folder, "mine").result.n == read_evaluation(folder, "test").result.n
    assert not (tmp_path / "cache" / "evaluations").exists()


def find_caveats(evaluation: Evaluation, folder) -> list[str]:
    lineage, unrecorded = read_lineage(folder), unrecorded_ancestors(folder)
    return caveats(evaluation, read_manifest(folder), lineage, unrecorded)


def rewrite_predictions(folder, change) -> None:
    """Damage the predictions file as a faulty program would: with a valid checksum."""
    path = folder / PREDICTIONS_FILE
    change(pd.read_parquet(path)).to_parquet(path, index=False)
    manifest = read_manifest(folder)
    files = manifest.files | {PREDICTIONS_FILE: bundle.sha256_of_file(path)}
    bundle.update_manifest(folder, files=files)


def test_bundle_splits_are_read_with_groups_and_hashes(folder, table):
    manifest = read_manifest(folder)
    assert list_evaluations(folder, manifest) == ["test", "validation"]
    evaluation = read_evaluation(folder, "test")
    expected = table[table["split"] == "test"]
    assert evaluation.result.filenames.tolist() == expected["filename"].tolist()
    assert evaluation.result.label_names.tolist() == expected["label"].tolist()
    assert evaluation.result.groups.tolist() == expected.index.tolist()
    assert all(len(digest) == 64 for digest in evaluation.raw.sha256)
    assert find_caveats(evaluation, folder) == []
    assert find_caveats(replace(evaluation, network=""), folder) == []
    tuned = read_evaluation(folder, "validation")
    assert find_caveats(tuned, folder) == []
    surer = AnswerRules(confidence=((0.0, 0.1), (1.0, 0.9)))
    for fitted in (replace(tuned, temperature=0.7), replace(tuned, rules=surer)):
        (own,) = find_caveats(fitted, folder)
        assert "confidence was fitted on these very photographs" in own
    assert find_caveats(replace(evaluation, temperature=0.7, rules=surer), folder) == []
    (seen,) = find_caveats(replace(tuned, name="mine"), folder)
    assert seen.startswith(f"{tuned.raw.n} of {tuned.raw.n} photographs")


def test_what_the_network_learned_elsewhere_is_not_known(folder):
    own = read_evaluation(folder, "test")
    bundle.update_manifest(folder, training={"effort": "quick", "base": "older"})
    assert find_caveats(own, folder) == []
    others = np.array([f"{n:064}" for n in range(2)] + [*own.raw.sha256[2:]], dtype=object)
    elsewhere = replace(own, name="mine", raw=replace(own.raw, sha256=others))
    (found,) = find_caveats(elsewhere, folder)
    assert found.startswith(f"Of 2 of {own.raw.n} photographs it is not known here whether older,")
    met = pd.DataFrame({"sha256": others[:2], "split": ["train", "test"], "duplicate_group": 0})
    inherited = {INHERITED_FILE: met.to_parquet()}
    bundle.update_bundle(folder, inherited, training={"base": "older", "unrecorded": []})
    (found,) = find_caveats(elsewhere, folder)
    assert found.startswith(f"1 of {own.raw.n} photographs is among those that the model was train")
    stranger = replace(elsewhere.raw, sha256=np.array(["?", *others[1:]], dtype=object))
    assert find_caveats(replace(elsewhere, raw=stranger), folder) == []
    bundle.update_manifest(folder, training={"base": "older", "unrecorded": ["oldest"]})
    (found,) = find_caveats(replace(elsewhere, raw=stranger), folder)
    assert found.startswith(f"Of 1 of {own.raw.n} photographs it is not known here whether oldest,")


def test_the_stored_temperature_applies_to_what_is_read(folder):
    raw = read_evaluation(folder, "test").raw.probabilities
    before = evaluation_stamp(folder, "test")
    bundle.update_manifest(folder, temperature=1.7)
    assert evaluation_stamp(folder, "test") != before
    evaluation = read_evaluation(folder, "test")
    assert np.array_equal(evaluation.raw.probabilities, raw)
    assert np.allclose(evaluation.result.probabilities, apply_temperature(raw, 1.7))
    assert np.array_equal(evaluation.result.predictions, evaluation.raw.predictions)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda t: t.assign(running=np.nan), "NaN.*Image_"),
        (lambda t: t.assign(running=t["running"] + 0.2), "do not sum to 1: Image_"),
        (lambda t: t.assign(label="flying"), "flying"),
        (lambda t: pd.concat([t, t.head(1).assign(split="test")] * 2), "repeated: Image_"),
        (lambda t: t.drop(columns="running"), "lacks running"),
        (lambda t: t.assign(flying=0.0), "unknown classes flying"),
    ],
)
def test_unusable_predictions_are_named_and_nothing_is_returned(folder, change, named):
    rewrite_predictions(folder, change)
    with pytest.raises(DatasetError, match=named):
        read_evaluation(folder, "test")


def test_a_damaged_predictions_file_is_named(folder):
    path = folder / PREDICTIONS_FILE
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ModelBundleError, match=r"predictions\.parquet is damaged"):
        read_evaluation(folder, "test")
    with pytest.raises(ModelBundleError, match=r"predictions\.parquet"):
        list_evaluations(folder, read_manifest(folder))


def kept(folder, name: str = "holiday", **fields) -> Evaluation:
    own = read_evaluation(folder, "test")
    values = {
        "name": name,
        "model": "drawn",
        "created": "2024-05-01T10:00:00+00:00",
        "raw": own.raw,
        "network": own.network,
        "folder": "/photos",
        "skipped": pd.DataFrame(
            [["x.jpg", "flying", "label unknown to the model: flying"]],
            columns=["filename", "label", "reason"],
        ),
    }
    return Evaluation(**values | fields)


def test_a_kept_evaluation_comes_back_as_it_was(folder):
    own = read_evaluation(folder, "test").raw
    evaluation = kept(folder, raw=replace(own, in_scope=np.arange(own.n) % 3 > 0))
    path = keep_evaluation(evaluation)
    assert not path.is_relative_to(folder)
    bundle.verify_bundle(folder)
    assert list_evaluations(folder, read_manifest(folder))[2:] == ["holiday"]
    again = read_evaluation(folder, "holiday")
    assert np.array_equal(again.raw.probabilities, evaluation.raw.probabilities)
    assert again.raw.groups.tolist() == evaluation.raw.groups.tolist()
    assert again.raw.sha256.tolist() == evaluation.raw.sha256.tolist()
    assert np.array_equal(again.raw.in_scope, evaluation.raw.in_scope)
    assert (again.created, again.folder) == (evaluation.created, "/photos")
    assert again.network == evaluation.network != ""
    assert again.skipped.equals(evaluation.skipped)
    before = evaluation_stamp(folder, "holiday")
    keep_evaluation(replace(evaluation, created="2025-05-01T10:00:00+00:00"))
    assert evaluation_stamp(folder, "holiday") != before
    delete_evaluation("drawn", "holiday")
    with pytest.raises(DatasetError, match="no evaluation 'holiday'"):
        read_evaluation(folder, "holiday")


def test_thumbnails_are_those_of_the_evaluation_that_is_kept(folder):
    keep_evaluation(kept(folder), {"0" * 64: b"a picture"})
    assert thumbnails_path("drawn", "holiday").is_file()
    keep_evaluation(kept(folder))
    assert not thumbnails_path("drawn", "holiday").exists()
    keep_evaluation(kept(folder), {"0" * 64: b"a picture"})
    delete_evaluation("drawn", "holiday")
    assert not thumbnails_path("drawn", "holiday").exists()


def test_a_class_that_is_called_like_a_column_of_the_file_is_refused(folder):
    raw = read_evaluation(folder, "test").raw
    named = replace(raw, class_names=("group", *raw.class_names[1:]))
    with pytest.raises(DatasetError, match="cannot be called 'group'"):
        keep_evaluation(kept(folder, raw=named))


@pytest.mark.parametrize(
    "name", ["test", "train", "../evil", "", "a/b", ".hidden", " a", "a ", "a  b", "a\nb"]
)
def test_names_that_are_no_file_names_are_refused(folder, name):
    with pytest.raises(DatasetError):
        keep_evaluation(kept(folder, name))


def test_a_truncated_kept_evaluation_is_named(folder):
    path = keep_evaluation(kept(folder))
    table = pq.read_table(path)
    for metadata in (b"{}", b"[]", b'{"created": "", "network": "", "folder": "", "skipped": 1}'):
        pq.write_table(table.replace_schema_metadata({store._METADATA_KEY: metadata}), path)
        with pytest.raises(DatasetError, match=r"holiday\.parquet cannot be read"):
            read_evaluation(folder, "holiday")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"holiday\.parquet cannot be read"):
        read_evaluation(folder, "holiday")


def test_caveats_name_overlap_skipped_rows_absent_classes_and_old_networks(folder):
    splits = pd.read_parquet(folder / SPLITS_FILE)
    trained = splits.loc[splits["split"] == "train", "sha256"].to_numpy(str)
    evaluation = kept(folder)
    gone = ["running", HAR_CLASSES[-1]]
    rows = np.flatnonzero(~np.isin(evaluation.raw.label_names, gone))
    sha256 = evaluation.raw.sha256[rows]
    sha256[:3] = trained[:3]
    raw = replace(evaluation.raw.take(rows), sha256=sha256)
    evaluation = kept(folder, raw=raw, network="other")
    old, overlap, skipped, absent = find_caveats(evaluation, folder)
    assert "earlier model" in old
    assert overlap.startswith(f"3 of {len(rows)} photographs")
    assert "1 × label unknown to the model: flying" in skipped
    assert f"2 of the model's {len(HAR_CLASSES)} classes: running, {HAR_CLASSES[-1]}." in absent
    assert absent.endswith("Answered all the same, and 0 in macro F1: running.")
    probabilities = np.eye(len(HAR_CLASSES))[raw.labels]
    right = kept(folder, raw=replace(raw, probabilities=probabilities))
    assert find_caveats(right, folder)[-1].endswith(f": running, {HAR_CLASSES[-1]}.")


@pytest.mark.parametrize(("n", "said"), [(1, "The only photograph is"), (3, "The 3 photographs")])
def test_a_single_group_is_said_to_give_losses_no_interval(folder, n: int, said: str):
    own = read_evaluation(folder, "test")
    raw = own.raw.take(np.arange(n))
    raw = replace(raw, groups=np.zeros(n, int))
    intervals = raw.headline_intervals
    assert intervals["log_loss"].low == intervals["log_loss"].high
    (found,) = [c for c in find_caveats(replace(own, raw=raw), folder) if "interval" in c]
    assert found.startswith(said) and "log loss and calibration error have no interval" in found


def test_photographs_that_nothing_tells_apart_are_admitted(folder):
    own = read_evaluation(folder, "test").raw
    for n, them in ((1, "it"), (2, "them")):
        sha256 = np.where(np.arange(own.n) < n, "", own.sha256)
        unknown, _ = find_caveats(kept(folder, raw=replace(own, sha256=sha256)), folder)
        assert unknown.startswith(f"Of {n} of {own.n} photographs it is not known")
        assert unknown.endswith(f"trained on {them}.")


def test_unknown_training_photographs_are_admitted(folder):
    (folder / SPLITS_FILE).unlink()
    found = find_caveats(read_evaluation(folder, "test"), folder)
    assert "not known which photographs" in found[0]
