"""The model card: a bundle's README.md, written from its manifest and its test evaluation."""

from typing import Final

from har_core.evaluation.documents import answers_text, metric_rows, temperature_words
from har_core.evaluation.result import EvaluationResult
from har_core.model.manifest import BundleManifest


def format_model_card(manifest: BundleManifest, result: EvaluationResult) -> str:
    """Write a model card in Markdown (Mitchell et al. 2019, arXiv:1810.03993).

    Parameters
    ----------
    manifest : BundleManifest
        With its training record.
    result : EvaluationResult
        Of the test split, at the manifest's temperature.

    Returns
    -------
    str
    """
    training = manifest.training
    settings = training["settings"]
    n = training["photographs"]
    teachers = ""
    if settings["teachers"]:
        names = ", ".join(f"`{name}`" for name in settings["teachers"])
        teachers = (
            f" While fine-tuning, {settings['teacher_weight']:.0%} of each target was the opinion "
            f"of {names} (knowledge distillation)."
        )
    small = min(settings["small_epochs"], settings["epochs"] - 1)
    frozen = settings["frozen_blocks"]
    side = settings["small_size"]
    details = f", the first {small} at {side}×{side} pixels" if small > 0 else ""
    details += f", without the stem and the first {frozen} blocks" if frozen else ""
    if settings.get("refit", False):
        photographs = f"{n['train']} photographs for training, {n['test']} for testing"
        kept = (
            "the last was kept. Those 10 % of the photographs that had served to choose epochs and "
            "temperatures of earlier models were trained on as well, so nothing was chosen any more"
        )
        source = settings.get("temperature_of", "")
        fitted = (
            f"that of `{source}`, fitted on photographs that it had not learned from"
            if source
            else "taken over from the model that it goes on from"
        )
    else:
        photographs = (
            f"{n['train']} photographs for training, {n['validation']} for validation, "
            f"{n['test']} for testing"
        )
        kept = (
            "the epoch with the lowest validation log loss, after the temperature that suits it "
            "best, was kept"
        )
        fitted = "fitted on the validation split"
    notes = f"\n{settings['notes']}\n" if settings["notes"] else ""
    return f"""# {manifest.name}

{manifest.architecture}. Input: one RGB photograph, resized to {manifest.input_size}×\
{manifest.input_size} without keeping its aspect ratio, scaled to [-1, 1]. Output: the \
probability of each of {len(manifest.class_names)} actions: {", ".join(manifest.class_names)}.

## How good it is

Measured once, on the test split of {manifest.metrics["n"]} photographs, which share no \
near-duplicate group with the others and were used for nothing else; 95 % intervals by bootstrap \
over those groups:

| metric | value (95 % interval) |
|---|---|
{metric_rows(result.headline())}

Probabilities are divided by {temperature_words(manifest.temperature)}, \
{fitted}. `evaluation/predictions.parquet` holds each photograph's probabilities before that.

{_paragraph(answers_text(manifest.rules))}
## How it was trained

{photographs}; \
{len(training["skipped"])} skipped as unreadable or missing. Backbone weights: \
`{settings["backbone_weights"]}`. {settings["head_epochs"]} epochs of the head on frozen \
features, then up to {settings["epochs"]} epochs of the whole network{details}; {kept}.{teachers} \
All settings and package versions are in `bundle.json`, the log in `training_log.csv`, the split \
in `splits.parquet`.
{notes}
{_NOT_FOR}"""


def format_quick_card(manifest: BundleManifest, result: EvaluationResult) -> str:
    """Write the card of a model whose head alone was trained; see `format_model_card`."""
    training = manifest.training
    n = ", ".join(f"{count} in {split}" for split, count in training["photographs"].items())
    return f"""# {manifest.name}

{manifest.architecture}. Output: the probability of each of {len(manifest.class_names)} actions: \
{", ".join(manifest.class_names)}.

## How good it is

Measured on the test split of {manifest.metrics["n"]} photographs, which neither this head nor \
`{training["base"]}` learned from; 95 % intervals by bootstrap over near-duplicate groups:

| metric | value (95 % interval) |
|---|---|
{metric_rows(result.headline())}

Probabilities are divided by {temperature_words(manifest.temperature)}. \
`evaluation/predictions.parquet` holds each photograph's probabilities before that.

## How it was trained

Quick training: the network of `{training["base"]}` was left as it is, and a penalised multinomial \
logistic regression was fitted on the mean of its last feature map. Photographs: {n}; \
{len(training["skipped"])} skipped as unreadable or missing. Everything is in the split that it \
had for `{training["base"]}`. The log is in `training_log.csv`, the split in `splits.parquet`.

{_NOT_FOR}"""


_NOT_FOR: Final = """## What it is not for

It knows only the actions above; the most probable of them says little of a picture that shows \
something else. It has seen web and stock photographs; people, places and poses that are rare \
there are predicted worse. It must not be used to judge or watch people.
"""


def _paragraph(text: str) -> str:
    return f"\n{text}\n" if text else ""
