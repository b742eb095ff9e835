"""The model card: a bundle's README.md, written from its manifest and its test evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from har_core.dataset.given_splits import NEAR_DUPLICATE
from har_core.evaluation.answers import FEW_PHOTOGRAPHS
from har_core.evaluation.documents import answers_text, metric_rows, temperature_words
from har_core.evaluation.result import EvaluationResult
from har_core.model.manifest import BundleManifest
from har_core.wording import counted


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
    n = training["photographs"]
    parts = [
        f"{n[split]:,} {purpose}"
        for split, purpose in (
            ("train", "photographs for training"),
            ("validation", "for validation"),
            ("test", "for testing"),
            ("unlabelled", "without labels for distillation"),
        )
        if n.get(split)
    ]
    notes = training.get("notes") or training["settings"].get("notes")
    notes = f"\n{notes}\n" if notes else ""
    return f"""# {manifest.name}

{manifest.architecture}. Input: one RGB photograph, resized to {manifest.input_size}×\
{manifest.input_size} without keeping its aspect ratio, scaled to [-1, 1]. Output: the \
probability of each of {len(manifest.class_names)} actions: {", ".join(manifest.class_names)}.

## How good it is

Measured once, after everything was decided, on the test split of \
{counted(manifest.metrics["n"], "photograph")}, in no near-duplicate group with the others \
and used for nothing else; 95 % intervals by bootstrap over such groups:

| metric | value (95 % interval) |
|---|---|
{metric_rows(result.headline())}

Probabilities are divided by {temperature_words(manifest.temperature)}, fitted on the validation \
split. `evaluation/predictions.parquet` holds each photograph's probabilities before that.

{_paragraph(answers_text(manifest.rules))}
## How it was trained

{", ".join(parts)}; {_skipped(training["skipped"])}. \
{training.get("summary", "")} All settings and package versions are in `bundle.json`, the log in \
`training_log.csv`, the split in `splits.parquet`.
{notes}
{_NOT_FOR}"""


def summarise(settings: Mapping[str, Any], n_validation: int) -> str:
    """Say in sentences how a network was trained.

    Parameters
    ----------
    settings : mapping of str to object
        A `TrainingSettings` as dict.
    n_validation : int
        Photographs of the validation split.
    """
    sentences = [f"Backbone weights: `{settings['backbone_weights']}`."]
    if settings["head_epochs"]:
        sentences.append(
            f"{counted(settings['head_epochs'], 'epoch')} of the head on frozen features."
        )
    if settings["epochs"]:
        small = max(0, min(settings["small_epochs"], settings["epochs"] - 1))
        side, frozen = settings["small_size"], settings["frozen_blocks"]
        text = f"{counted(settings['epochs'], 'epoch')} of the whole network"
        text += f", the first {small} at {side}×{side} pixels" if small else ""
        text += f", without the stem and the first {counted(frozen, 'block')}" if frozen else ""
        sentences.append(f"{text}.")
    if settings["teachers"]:
        names = ", ".join(f"`{name}`" for name in settings["teachers"])
        sentences.append(
            f"While fine-tuning, {settings['teacher_weight']:.0%} of each target was the opinion "
            f"of {names} (knowledge distillation)."
        )
    sentences.append(
        "The last epoch was kept: few validation photographs would choose one by luck."
        if n_validation < FEW_PHOTOGRAPHS
        else "The epoch with the lowest validation log loss, after the temperature that suits it "
        "best, was kept."
    )
    return " ".join(sentences)


def format_quick_card(manifest: BundleManifest, result: EvaluationResult) -> str:
    """Write the card of a model whose head alone was trained; see `format_model_card`."""
    training = manifest.training
    n = ", ".join(f"{count} in {split}" for split, count in training["photographs"].items())
    learned = "is known to have learned" if training["unrecorded"] else "learned"
    return f"""# {manifest.name}

{manifest.architecture}. Output: the probability of each of {len(manifest.class_names)} actions: \
{", ".join(manifest.class_names)}.

## How good it is

Measured on the test split of {counted(manifest.metrics["n"], "photograph")}, which neither \
this head nor `{training["base"]}` {learned} from; 95 % intervals by bootstrap over \
near-duplicate groups:

| metric | value (95 % interval) |
|---|---|
{metric_rows(result.headline())}

Probabilities are divided by {temperature_words(manifest.temperature)}. \
`evaluation/predictions.parquet` holds each photograph's probabilities before that.

## How it was trained

Quick training: the network of `{training["base"]}` was left as it is, and a penalised multinomial \
logistic regression was fitted on the mean of its last feature map. Photographs: {n}; \
{_skipped(training["skipped"])}. Everything is in the split that it \
had for `{training["base"]}`. The log is in `training_log.csv`, the split in `splits.parquet`.

{_NOT_FOR}"""


_NOT_FOR: Final = """## What it is not for

It knows only the actions above; the most probable of them says little of a picture that shows \
something else. It has seen web and stock photographs; people, places and poses that are rare \
there are predicted worse. It must not be used to judge or watch people.
"""


def _skipped(skipped: Sequence[Mapping[str, Any]]) -> str:
    n_alike = sum(row["reason"].startswith(NEAR_DUPLICATE) for row in skipped)
    words = f"{len(skipped) - n_alike} skipped as unreadable or missing"
    return f"{words}, {n_alike} left out as near duplicates across splits" if n_alike else words


def _paragraph(text: str) -> str:
    return f"{text}\n" if text else ""
