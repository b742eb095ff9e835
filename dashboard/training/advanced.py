"""Settings of an effort that people may change, folded away."""

from pathlib import Path
from typing import Any, Final, NamedTuple

import streamlit as st

from dashboard.training.estimate import settings_for
from har_core.training.efforts import Effort
from har_core.training.settings import TrainingSettings


class _Setting(NamedTuple):
    title: str
    least: float
    most: float
    step: float
    form: str
    help: str


# By the names that `har train` and `har_core.training.settings` have for them.
_SETTINGS: Final = {
    "epochs": _Setting(
        "Epochs", 1, 500, 1, "%d", "How often the whole network sees every photograph."
    ),
    "learning_rate": _Setting(
        "Learning rate", 1e-6, 0.1, 1e-5, "%.6f", "Its peak; too high a one forgets what is known."
    ),
    "batch_size": _Setting(
        "Photographs a step", 2, 512, 1, "%d", "Batch size; a larger one needs more memory."
    ),
    "mixup": _Setting(
        "Mixup", 0, 1, 0.05, "%.2f", "How strongly photographs are mixed in pairs; 0: not at all."
    ),
    "dropout": _Setting(
        "Dropout", 0, 0.9, 0.05, "%.2f", "Share of the head's inputs that is hidden at random."
    ),
    "label_smoothing": _Setting(
        "Label smoothing", 0, 0.5, 0.01, "%.2f", "Doubt in every label: the share of other classes."
    ),
}
_SEED: Final = _Setting(
    "Seed",
    *(0, 2**31 - 1, 1),
    "%d",
    "Of the split of photographs that are new to the model, and of all else that is random.",
)

_IN_A_ROW: Final = 3
_PREFIX: Final = "train setting "


def show_settings(effort: Effort, base: Path, n: int) -> None:
    """Draw the settings of an effort; `chosen_settings` returns them, and takes the same."""
    own = settings_for(effort, base, n)
    for key in map(str, list(st.session_state)):
        if key.startswith(_PREFIX):
            st.session_state[key] = st.session_state[key]  # kept while another effort is drawn
    with st.expander("Advanced settings", icon=":material/tune:", key="advanced"):
        for position, (name, setting) in enumerate(_offered(effort).items()):
            if position % _IN_A_ROW == 0:  # a row at a time, so that a phone keeps their order
                columns = st.columns(_IN_A_ROW)
            usual = _value(own, name)
            kind = type(usual)
            key = _key(effort, name, usual)
            st.session_state.setdefault(key, usual)
            columns[position % _IN_A_ROW].number_input(
                setting.title,
                kind(setting.least),
                kind(setting.most),
                step=kind(setting.step),
                format=setting.form,
                key=key,
                help=setting.help,
            )
        if effort == "quick":
            st.caption("A quick training has nothing else to set: its head is fitted to its end.")


def chosen_settings(effort: Effort, base: Path, n: int) -> dict[str, Any]:
    """Return the settings of an effort that this visitor has changed.

    Parameters
    ----------
    effort : {"quick", "standard", "full"}
    base : Path
        The model to go on from.
    n : int
        Photographs: few are learned from in more epochs.

    Returns
    -------
    dict of str to object
        As `har_core.training.efforts.effort_settings` takes them.
    """
    settings = settings_for(effort, base, n)
    usual = {name: _value(settings, name) for name in _offered(effort)}
    chosen = {
        name: st.session_state.get(_key(effort, name, usual[name]), usual[name]) for name in usual
    }
    return {name: value for name, value in chosen.items() if value != usual[name]}


def describe_settings(changes: dict[str, Any]) -> str:
    """Return changed settings in words: ``epochs 8, learning rate 5e-05``."""
    known = {name: setting.title.lower() for name, setting in _offered("full").items()}
    return ", ".join(f"{known.get(name, name)} {value:g}" for name, value in changes.items())


def _offered(effort: Effort) -> dict[str, _Setting]:
    return {"seed": _SEED} if effort == "quick" else {**_SETTINGS, "seed": _SEED}


def _key(effort: Effort, name: str, usual: float) -> str:
    # What is usual is part of it, so that another model or dataset begins with its own.
    return f"{_PREFIX}{effort} {name} {usual}"


def _value(settings: TrainingSettings, name: str) -> Any:
    owner = settings if hasattr(settings, name) else settings.augmentation
    return getattr(owner, name)
