"""Storing another temperature in a bundle, with all that follows from it."""

import dataclasses
from pathlib import Path
from typing import Any

from har_core.errors import ModelBundleError
from har_core.evaluation.answers import refit_rules
from har_core.evaluation.documents import updated_card
from har_core.evaluation.store import read_evaluation
from har_core.model.bundle import checked_manifest, update_bundle
from har_core.model.manifest import MODEL_CARD_FILE, BundleManifest, read_manifest
from har_core.storage.paths import is_file


def store_temperature(folder: str | Path, temperature: float) -> BundleManifest:
    """Let a model answer with another temperature; answers, metrics and README follow.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    temperature : float
        Positive divisor of the logits, fitted on photographs that are not test photographs.

    Returns
    -------
    BundleManifest
        As written.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read or written, or the temperature is not in (0, 1000).
    DatasetError
        If the recorded predictions are unusable.
    """
    folder = Path(folder)
    before = read_manifest(folder)
    checked_manifest(folder, dataclasses.replace(before, temperature=temperature))
    # The map of confidence and the answer sets follow the temperature; the threshold is a choice.
    rules = before.rules
    if before.answers:
        fitted = refit_rules(folder, before, temperature)
        rules = dataclasses.replace(fitted, abstain_below=rules.abstain_below)
    metrics = dict(before.metrics)
    if metrics.get("split") == "test":
        metrics |= read_evaluation(folder, "test").raw.calibrated(temperature, rules).headline()
    changes: dict[str, Any] = {"temperature": temperature, "metrics": metrics}
    if before.answers:
        changes["answers"] = rules.to_dict()
    card = folder / MODEL_CARD_FILE
    files = {}
    if is_file(card):
        after = dataclasses.replace(before, **changes)
        try:
            text = card.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelBundleError(f"Cannot read {card}: {error}.") from error
        files[MODEL_CARD_FILE] = updated_card(text, before, after).encode()
    return update_bundle(folder, files, **changes)


def store_abstention(folder: str | Path, abstain_below: float) -> BundleManifest:
    """Let a model abstain below a confidence, wherever it answers from now on.

    Parameters
    ----------
    folder : str or Path
        Of the bundle.
    abstain_below : float
        In [0, 1]; 0: it always answers.

    Raises
    ------
    ModelBundleError
        If the bundle cannot be read or written, or the value is outside [0, 1].
    """
    rules = dataclasses.replace(read_manifest(folder).rules, abstain_below=abstain_below)
    return update_bundle(Path(folder), {}, answers=rules.to_dict())
