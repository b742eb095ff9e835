"""What photographs and the recipe's ingredients give: many short runs on one GPU.

    python -m benchmarks.learning pack --dataset DataSet --unlabelled MorePhotographs \
        --backbone mobilenet_v2.keras --lite efficientnet_lite0.keras FOLDER
    python -m benchmarks.learning measure FOLDER
    python -m benchmarks.learning table FOLDER

``pack`` makes of photographs and ImageNet weights (`recipes.efficientnet_lite`) a folder of 60 MB
that can be carried to the machine with the GPU; ``measure`` needs Keras, JAX, Pillow and simplejpeg
there. A finished run stays in the folder and is not repeated.
"""

import argparse
import os
from pathlib import Path
from typing import Final

_RUNS: Final = "runs"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning")
    commands = parser.add_subparsers(dest="command", required=True)
    pack = commands.add_parser("pack")
    pack.add_argument("--dataset", required=True)
    pack.add_argument("--unlabelled", required=True)
    pack.add_argument("--backbone", required=True, type=Path)
    pack.add_argument("--lite", required=True, type=Path)
    measure = commands.add_parser("measure")
    measure.add_argument("--seconds", type=float, default=float("inf"), help="Begin no run after.")
    measure.add_argument("--trial", action="store_true", help="Minutes on a CPU; tells nothing.")
    table = commands.add_parser("table")
    for command in (pack, measure, table):
        command.add_argument("folder", type=Path)
    options = parser.parse_args()
    # Each imports what its machine has.
    match options.command:
        case "pack":
            from benchmarks.learning.packing import pack_photographs, pack_weights

            options.folder.mkdir(parents=True, exist_ok=True)
            pack_weights(options.backbone, options.folder / "mobilenet.npz")
            pack_weights(options.lite, options.folder / "lite0.npz")
            pack_photographs(options.dataset, options.unlabelled, options.folder)
        case "measure":
            os.environ.setdefault("KERAS_BACKEND", "jax")
            from benchmarks.learning.measuring import TRIAL, Budget, Measuring

            name, budget = ("trial", TRIAL) if options.trial else (_RUNS, Budget())
            Measuring(options.folder, options.folder / name, budget).run(options.seconds)
        case "table":
            from benchmarks.learning.table import markdown

            print(markdown(options.folder / _RUNS))


if __name__ == "__main__":
    main()
