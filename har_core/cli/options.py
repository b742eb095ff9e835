"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from har_core.settings import DATASET

ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="Bundle name or path. Default: HAR_MODEL, else the newest."),
]
DatasetOption = Annotated[
    Path,
    typer.Option(
        envvar=DATASET.name,
        help="Folder with train.csv (filename,label) and the photographs in train/.",
    ),
]
OptionalDatasetOption = Annotated[
    Path | None,
    typer.Option(
        envvar=DATASET.name,
        help="Folder with train.csv (filename,label) and the photographs in train/.",
    ),
]
