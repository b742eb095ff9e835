"""Cached handles for the pages; keys are bytes and names, never arrays, which hash by sample."""

from pathlib import Path

import pandas as pd
import streamlit as st

from dashboard.classification import ClassifiedPhoto, classify_photo
from har_core import ActionModel, DatasetError, InvalidImageError
from har_core.dataset.layouts import CSV_FILE
from har_core.dataset.table import load_dataset


@st.cache_data(
    max_entries=400,
    show_spinner=False,
    hash_funcs={ActionModel: lambda model: model.manifest.to_json()},
)
def classified(model: ActionModel, data: bytes) -> ClassifiedPhoto | InvalidImageError:
    """Classify a photograph once per model; see `dashboard.classification.classify_photo`."""
    return classify_photo(model, data)


def dataset_table(folder: str) -> pd.DataFrame:
    """Read a dataset's table once, and again when it changes; see `har_core.dataset.table`."""
    try:
        csv = Path(folder).expanduser().absolute() / CSV_FILE
        return _dataset_table(csv.parent, csv.stat().st_mtime_ns)
    except (OSError, ValueError, RuntimeError) as error:  # "~nobody" is a RuntimeError
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(f"Cannot read {CSV_FILE} in {folder}: {reason}.") from error


@st.cache_data(max_entries=4, show_spinner=False)
def _dataset_table(folder: Path, modified_ns: int) -> pd.DataFrame:
    return load_dataset(folder)
