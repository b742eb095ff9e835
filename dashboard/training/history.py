"""All runs: which data, which model, which result; any of them can be opened again."""

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.training.estimate import duration
from dashboard.training.runs import Run
from dashboard.training.start import OPENED
from dashboard.wording.names import short_accuracy
from har_core.storage.spreadsheets import neutralise_formulas

_STATES: Final = {
    "starting": "starting",
    "waiting": "waiting",
    "running": "at work",
    "finished": "finished: use or discard",
    "used": "in use",
    "failed": "failed",
    "stopped": "stopped, can go on",
    "interrupted": "interrupted, can go on",
    "gone": "model removed",
}
_KEY: Final = "run_table"


def show_history(runs: list[Run]) -> None:
    """Draw the table of runs; selecting one opens it."""
    if not runs:
        st.caption("No training was started here yet.")
        return
    table = pd.DataFrame([_row(run) for run in runs])
    st.dataframe(
        neutralise_formulas(table),
        hide_index=True,
        key=_KEY,
        on_select=lambda: _open(runs),
        selection_mode="single-row",
        height=min(38 + 35 * len(table), 320),
        alt="Training runs, the newest first",
    )
    st.caption(
        "Data: the first digits of the fingerprint of all filenames, labels and contents. The same "
        "digits are the same data."
    )


def _row(run: Run) -> dict[str, str]:
    manifest = run.manifest()
    training = manifest.training if manifest is not None else {}
    changed = f"{run.relabelled} relabelled, {run.excluded} excluded"
    return {
        "Model": run.name,
        "From": run.base.rsplit("/", 1)[-1],
        "Data": str(training.get("dataset_fingerprint", ""))[:8] or "–",
        "Review": changed if run.relabelled or run.excluded else "as it is",
        "Effort": run.effort,
        "State": _STATES[run.state],
        "Test accuracy": (short_accuracy(manifest) if manifest is not None else None) or "–",
        "Took": duration(run.seconds).removeprefix("about ") if run.seconds else "–",
        "Started (UTC)": run.created.replace("T", " ").removesuffix("+00:00"),
    }


def _open(runs: list[Run]) -> None:
    chosen = st.session_state[_KEY]["selection"]["rows"]
    if chosen:
        st.query_params[OPENED] = runs[chosen[0]].id
    else:
        st.query_params.pop(OPENED, None)
