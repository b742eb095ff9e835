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
    rules = refit_rules(folder, before, temperature) if before.answers else before.rules
    metrics = dict(before.metrics)
    if metrics.get("split") == "test":
        metrics |= read_evaluation(folder, "test").raw.calibrated(temperature, rules).headline()
    changes: dict[str, Any] = {"temperature": temperature, "metrics": metrics}
    if before.answers:
        changes["answers"] = rules.to_dict()
    card = folder / MODEL_CARD_FILE
    files = {}
    if card.is_file():
        after = dataclasses.replace(before, **changes)
        try:
            text = card.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise ModelBundleError(f"Cannot read {card}: {error}.") from error
        files[MODEL_CARD_FILE] = updated_card(text, before, after).encode()
    return update_bundle(folder, files, **changes)
