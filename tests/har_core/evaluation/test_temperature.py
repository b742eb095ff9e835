"""Another temperature changes everything that follows from it, and nothing else."""

import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from har_core.errors import ModelBundleError
from har_core.evaluation import answers
from har_core.evaluation.answers import (
    ABSTAIN_BELOW,
    refit_rules,
    store_abstention,
    store_temperature,
)
from har_core.evaluation.documents import answers_text, metric_rows, temperature_words
from har_core.evaluation.store import read_evaluation
from har_core.model import bundle
from har_core.model.answers import AnswerRules
from har_core.model.manifest import MODEL_CARD_FILE, PREDICTIONS_FILE, read_manifest
from tests.drawing import write_tiny_bundle
from tests.evaluated import draw_table, write_evaluated_bundle

SHIPPED = Path(__file__).parents[3] / "models" / "cnn_lstm_har15"
LIGHT = shutil.ignore_patterns("*.onnx", "*.keras")


def copy_shipped(tmp_path: Path) -> Path:
    """Copy the shipped bundle but for its networks."""
    folder = shutil.copytree(SHIPPED, tmp_path / SHIPPED.name, ignore=LIGHT)
    files = {n: d for n, d in read_manifest(folder).files.items() if (folder / n).is_file()}
    bundle.update_manifest(folder, files=files)
    return folder


def test_the_readme_says_the_new_temperature_and_metrics(tmp_path):
    folder = copy_shipped(tmp_path)
    before = (folder / MODEL_CARD_FILE).read_text()
    old = read_manifest(folder)
    assert metric_rows(old.metrics) in before
    assert temperature_words(old.temperature) in before
    manifest = store_temperature(folder, 1.25)
    assert bundle.verify_bundle(folder) == manifest
    assert manifest.temperature == 1.25
    after = read_evaluation(folder, "test").result.headline()
    assert {name: manifest.metrics[name] for name in after} == after
    card = (folder / MODEL_CARD_FILE).read_text()
    assert metric_rows(after) in card
    assert "a temperature of 1.250 (on the logits)" in card
    changed = [a != b for a, b in zip(before.splitlines(), card.splitlines(), strict=True)]
    assert sum(changed) == 4  # log loss, calibration error, temperature, answer sets
    store_temperature(folder, old.temperature)
    assert (folder / MODEL_CARD_FILE).read_text() == before


def test_what_was_written_into_the_readme_by_hand_stays(tmp_path):
    folder = copy_shipped(tmp_path)
    card = folder / MODEL_CARD_FILE
    text = card.read_text().replace("# cnn_lstm_har15", "# Ours, see the 0.687 below")
    bundle.update_bundle(folder, {MODEL_CARD_FILE: text.encode()})
    store_temperature(folder, 1.25)
    assert card.read_text().startswith("# Ours, see the 0.687 below")


def test_copies_are_no_further_photographs_to_fit_rules_on(tmp_path):
    table = draw_table(2_000)
    write_evaluated_bundle(tmp_path, table.assign(duplicate_group=np.arange(2_000) % 99))
    folder = tmp_path / "drawn"
    assert refit_rules(folder, read_manifest(folder), 1.0) == AnswerRules(ABSTAIN_BELOW)


def test_the_rules_of_its_answers_are_fitted_again(tmp_path):
    write_evaluated_bundle(tmp_path, draw_table(2_000))
    folder = tmp_path / "drawn"
    rules = refit_rules(folder, read_manifest(folder), 1.0)
    assert rules.set_threshold is not None
    card = f"# Drawn\n\n{answers_text(rules)}\n"
    bundle.update_bundle(folder, {MODEL_CARD_FILE: card.encode()}, answers=rules.to_dict())
    after = store_temperature(folder, 2.0)
    assert after.rules == refit_rules(folder, after, 2.0)
    assert after.rules.set_threshold != rules.set_threshold
    assert answers_text(after.rules) in (folder / MODEL_CARD_FILE).read_text()
    shown = read_evaluation(folder, "test").result
    expected = after.rules.shown(read_evaluation(folder, "test").raw.calibrated(2.0).probabilities)
    assert (shown.probabilities == expected).all()


def test_a_chosen_threshold_of_abstention_outlasts_whatever_is_fitted_again(tmp_path):
    write_evaluated_bundle(tmp_path, draw_table(2_000))
    folder = tmp_path / "drawn"
    for _ in range(2):
        rules = refit_rules(folder, read_manifest(folder), 1.0)
        bundle.update_bundle(folder, {}, answers=rules.to_dict())
        store_abstention(folder, 0.8)
    assert rules.abstain_below == 0.8
    assert store_temperature(folder, 2.0).rules.abstain_below == 0.8


def test_the_readme_says_below_what_it_abstains_now(tmp_path):
    folder = copy_shipped(tmp_path)
    before = (folder / MODEL_CARD_FILE).read_text()
    assert "It abstains below a confidence of 50%. " in before
    after = store_abstention(folder, 0.8)
    assert bundle.verify_bundle(folder) == after
    card = (folder / MODEL_CARD_FILE).read_text()
    assert card == before.replace("a confidence of 50%", "a confidence of 80%")
    after = store_temperature(folder, 1.25)
    assert answers_text(after.rules) in (folder / MODEL_CARD_FILE).read_text()
    with pytest.raises(ModelBundleError, match="answers"):
        store_abstention(folder, 2.0)


def test_what_two_visitors_store_at_once_is_kept(tmp_path, monkeypatch):
    write_evaluated_bundle(tmp_path, draw_table(300))
    folder = tmp_path / "drawn"
    store_abstention(folder, 0.6)
    with ThreadPoolExecutor() as pool:
        others = []

        def fit_meanwhile(*arguments):
            others.append(pool.submit(store_abstention, folder, 0.8))
            wait(others, timeout=0.2)
            return refit_rules(*arguments)

        monkeypatch.setattr(answers, "refit_rules", fit_meanwhile)
        store_temperature(folder, 2.0)
    after = bundle.verify_bundle(folder)
    assert (after.temperature, after.rules.abstain_below) == (2.0, 0.8)


@pytest.mark.parametrize("n", [0, 99])
def test_where_nobody_has_chosen_the_usual_threshold_of_abstention_holds(tmp_path, n):
    table = draw_table(n + 10).assign(split=["validation"] * n + ["test"] * 10)
    write_evaluated_bundle(tmp_path, table)
    folder = tmp_path / "drawn"
    rules = refit_rules(folder, read_manifest(folder), 1.0)
    assert rules == AnswerRules(abstain_below=ABSTAIN_BELOW)


def test_metrics_of_another_split_than_test_stay(tmp_path):
    write_evaluated_bundle(tmp_path, draw_table(90))
    elsewhere = {"split": "validation", "n": 7, "top1": {"value": 0.5, "low": 0.4, "high": 0.6}}
    bundle.update_bundle(tmp_path / "drawn", {}, metrics=elsewhere)
    assert store_temperature(tmp_path / "drawn", 1.5).metrics == elsewhere


def test_a_bundle_without_readme_or_metrics_gets_its_temperature(tmp_path):
    write_evaluated_bundle(tmp_path, draw_table(90))
    assert store_temperature(tmp_path / "drawn", 1.5).temperature == 1.5
    write_tiny_bundle(tmp_path)
    assert store_temperature(tmp_path / "tiny", 1.5).metrics == {}
    bundle.verify_bundle(tmp_path / "tiny")


@pytest.mark.parametrize("temperature", [0.0, -1.0, 1e4])
def test_an_impossible_temperature_changes_nothing(tmp_path, temperature):
    folder = copy_shipped(tmp_path)
    with pytest.raises(ModelBundleError, match="temperature"):
        store_temperature(folder, temperature)
    assert bundle.verify_bundle(folder).temperature == read_manifest(SHIPPED).temperature


@pytest.mark.parametrize("step", range(3))
def test_a_crash_at_any_write_leaves_a_valid_bundle(tmp_path, monkeypatch, step):
    folder = copy_shipped(tmp_path)
    writes = []
    write = bundle.write_atomically

    def crash(path: Path, content: bytes) -> None:
        if len(writes) == step:
            raise KeyboardInterrupt
        writes.append(path)
        write(path, content)

    monkeypatch.setattr(bundle, "write_atomically", crash)
    with pytest.raises(KeyboardInterrupt):
        store_temperature(folder, 1.25)
    assert bundle.verify_bundle(folder).temperature == read_manifest(SHIPPED).temperature
    monkeypatch.undo()
    store_temperature(folder, 1.25)
    assert MODEL_CARD_FILE in bundle.verify_bundle(folder).files


def test_unusable_predictions_keep_the_old_temperature(tmp_path):
    folder = copy_shipped(tmp_path)
    path = folder / PREDICTIONS_FILE
    pd.read_parquet(path).drop(columns="running").to_parquet(path)
    with pytest.raises(ModelBundleError, match="damaged"):
        store_temperature(folder, 1.25)
    assert read_manifest(folder).temperature == read_manifest(SHIPPED).temperature
