"""The JSON file of an evaluation's metrics, the same from the command line and from the page."""

import json
from collections.abc import Sequence

from har_core.dataset.splits import SPLITS
from har_core.evaluation.store import Evaluation


def metrics_json(evaluation: Evaluation, caveats: Sequence[str]) -> str:
    """Return the metrics of an evaluation as JSON.

    Parameters
    ----------
    evaluation : Evaluation
    caveats : sequence of str
        From `har_core.evaluation.caveats.caveats`.

    Returns
    -------
    str
        An object with ``model``, ``evaluation`` (its name), ``created``, ``dataset`` (the folder,
        null if it is not known), ``split`` (its name; null for another set), ``temperature``, the
        fields of `EvaluationResult.metrics`, ``skipped`` (``filename``, ``label`` and
        ``reason`` of each row) and ``caveats``.
    """
    body = {
        "model": evaluation.model,
        "evaluation": evaluation.name,
        "created": evaluation.created,
        "dataset": evaluation.folder or None,
        "split": evaluation.name if evaluation.name in SPLITS else None,
        "temperature": evaluation.temperature,
        **evaluation.result.metrics(),
        "skipped": evaluation.skipped.to_dict("records"),
        "caveats": list(caveats),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
