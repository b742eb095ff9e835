"""What each ingredient of the training recipe gives: short runs that leave one out at a time.

    HAR_DATASET=/path/to/DataSet python -m benchmarks.learning.ablation \
        --backbone mobilenet_v2.keras --teacher teacher_lite2 --markdown ablation.md

All runs learn from the same part of the training split and are measured on the whole validation
split after their last epoch; the epoch is not chosen. A finished run is kept in ``--store``, and is
not repeated.
"""

import argparse
import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from har_core.progress import silent
from har_core.storage.files import write_atomically
from har_core.training.preparation import PreparedDataset, prepare_dataset
from har_core.training.run_folder import RunFolder
from har_core.training.settings import TrainingSettings
from har_core.training.trainer import Trainer

HEADINGS: Final = ("variant", "top-1", "against the first", "log loss", "seconds")


def variants(backbone: str, teachers: tuple[str, ...]) -> dict[str, TrainingSettings]:
    """Return the recipe, shortened, and what leaves out or adds one ingredient."""
    recipe = TrainingSettings(backbone_weights=backbone, head_epochs=2, epochs=5, small_epochs=4)
    augmentation = recipe.augmentation

    def but(**changes: Any) -> TrainingSettings:
        return dataclasses.replace(recipe, **changes)

    def augmented(**changes: float) -> TrainingSettings:
        return but(augmentation=dataclasses.replace(augmentation, **changes))

    return {
        "the recipe": recipe,
        "the recipe, another seed": but(seed=1),
        "head only": but(epochs=0),
        **({"with teachers": but(teachers=teachers)} if teachers else {}),
        "all epochs at 224×224": but(small_epochs=0),
        "no mixup": augmented(mixup=0.0),
        "no erasing, no colours": augmented(erasing=0.0, colour=0.0, greyscale=0.0),
        "no crops": augmented(min_crop_area=1.0, max_aspect_change=1.0),
        "no label smoothing": but(label_smoothing=0.0),
        "no layer-wise decay": but(layer_decay=1.0),
        "no moving average": but(ema_epochs=0.0),
        "no dropout": but(dropout=0.0),
    }


def part_of(prepared: PreparedDataset, n: int) -> PreparedDataset:
    """Return the dataset with `n` training photographs, drawn at random; the rest is not used."""
    rows = np.random.default_rng(0).permutation(prepared.rows_of("train"))
    table = prepared.table.copy()
    table.loc[rows[n:], "split"] = "left out"
    return dataclasses.replace(prepared, table=table)


def run(prepared: PreparedDataset, settings: TrainingSettings, folder: Path) -> dict[str, Any]:
    """Train, and return the last row of the log with the time of all epochs; or read it."""
    result = folder.with_suffix(".json")
    if not result.exists():
        files = RunFolder(folder)
        files.make()
        trainer = Trainer(prepared, settings, files, silent, silent)
        trainer.learn()
        log = trainer.stages.reached.log
        last = {**log[-1], "seconds": sum(row["seconds"] for row in log)}
        write_atomically(result, json.dumps(last).encode())
        files.remove()
    return json.loads(result.read_text())


def slug(name: str, settings: TrainingSettings, part: PreparedDataset) -> str:
    """Return a folder name that changes with everything that a run depends on."""
    readable = "".join(letter if letter.isalnum() else "_" for letter in name)
    photographs = [part.fingerprint, len(part.rows_of("train"))]
    content = json.dumps([dataclasses.asdict(settings), photographs], sort_keys=True)
    return f"{readable}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def main() -> None:
    """Run what was not run yet, and print the table after every run."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--backbone", default="imagenet")
    parser.add_argument("--teacher", action="append", default=[])
    parser.add_argument("--photographs", type=int, default=2000)
    parser.add_argument("--store", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--only", nargs="*", help="Names of variants.")
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    prepared = prepare_dataset(os.environ["HAR_DATASET"], options.store)
    part = part_of(prepared, options.photographs)
    lines = [f"| {' | '.join(HEADINGS)} |", "|" + " --- |" * len(HEADINGS)]
    first = None
    for name, settings in variants(options.backbone, tuple(options.teacher)).items():
        if options.only and name not in options.only:
            continue
        last = run(part, settings, options.store / slug(name, settings, part))
        top1 = 100 * last["validation_top1"]
        first = top1 if first is None else first
        cells = [name, f"{top1:.1f} %", f"{top1 - first:+.1f}"]
        cells += [f"{last['validation_calibrated_log_loss']:.3f}", f"{last['seconds']:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if options.markdown:
        options.markdown.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
