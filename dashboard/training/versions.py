"""All versions: which data made which model with which result; any can be opened and used."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd
import streamlit as st

from dashboard import sidebar
from dashboard.resources import file_stamp
from dashboard.training.advanced import describe_settings
from dashboard.training.runs import Run
from dashboard.training.start import OPENED
from dashboard.widgets.messages import show_failure
from dashboard.wording.names import duration, escape_markdown, short_accuracy
from har_core.errors import HarError, ModelBundleError
from har_core.model.bundle import choose_default, chosen_default, list_bundles
from har_core.model.manifest import SPLITS_FILE, BundleManifest
from har_core.model.records import read_splits
from har_core.settings import MODEL
from har_core.storage.spreadsheets import escape_formulas
from har_core.training.preparation import dataset_fingerprint
from har_core.wording import counted

_STATES: Final = {
    "starting": "starting",
    "waiting": "waiting",
    "running": "at work",
    "finished": "on trial",
    "used": "ready",
    "failed": "failed",
    "stopped": "stopped",
    "interrupted": "interrupted",
    "gone": "model removed",
}
_DIGITS: Final = 6
_KEY: Final = "version_table"
_DRAWN: Final = "version_table_drawn"


@dataclass(frozen=True)
class Version:
    """A model, or a run that is to make one.

    Parameters
    ----------
    name : str
    folder : Path
        Of the bundle, which is not there before a run is done.
    manifest : BundleManifest or None
        None before that.
    run : Run or None
        That made it here.
    """

    name: str
    folder: Path
    manifest: BundleManifest | None
    run: Run | None = None

    @property
    def data(self) -> str:
        """First digits of the fingerprint of the table that it learned from, ``""`` if unknown."""
        if self.manifest is None:
            return ""
        recorded = self.manifest.training.get("dataset_fingerprint")
        return str(recorded or _fingerprint(self.folder, file_stamp(self.folder / SPLITS_FILE)))[
            :_DIGITS
        ]

    @property
    def origin(self) -> str:
        """Name of the model that it goes on from, ``""`` if it is not known."""
        if self.run is not None:
            return Path(self.run.base).name
        return str(self.manifest.training.get("base") or "") if self.manifest is not None else ""

    @property
    def review(self) -> str:
        """What the review had changed in the table."""
        run = self.run
        if run is None:
            return ""
        changed = f"{run.relabelled} relabelled, {run.excluded} excluded"
        return changed if run.relabelled or run.excluded else "as it is"

    @property
    def created(self) -> str:
        """When, in UTC, as people read it."""
        time = self.run.created if self.run else self.manifest.created if self.manifest else ""
        return time.replace("T", " ").removesuffix("+00:00")

    @property
    def result(self) -> str:
        """Test accuracy, ``""`` if it was not measured."""
        return (short_accuracy(self.manifest) or "") if self.manifest is not None else ""

    @property
    def is_ready(self) -> bool:
        """Whether it is among the models that can answer."""
        return self.manifest is not None and (self.run is None or self.run.used)


@st.cache_data(max_entries=100, show_spinner=False)
def _fingerprint(folder: Path, stamp: tuple[int, int]) -> str:
    """Return the fingerprint of a model from before that was recorded."""
    try:
        splits = read_splits(folder)
    except ModelBundleError:
        return ""
    return "" if splits is None else dataset_fingerprint(splits[splits["label"].ne("")])


def list_versions(runs: Sequence[Run]) -> list[Version]:
    """Return all runs and models, the newest first."""
    versions = [Version(run.name, run.model, run.manifest(), run) for run in runs]
    made_here = {version.folder for version in versions if version.is_ready}
    versions += [
        Version(entry.name, entry.path, entry.manifest)
        for entry in list_bundles()
        if entry.manifest is not None and entry.path not in made_here
    ]
    return sorted(versions, key=lambda version: version.created, reverse=True)


def show_override() -> None:
    """Say so where ``HAR_MODEL`` lets another model answer than the one that was chosen here."""
    chosen = chosen_default([e for e in list_bundles() if e.manifest is not None])
    wanted, default = MODEL.value, sidebar.default_model_folder()
    if not wanted or chosen is None or default == chosen.path.resolve():
        return
    st.warning(
        f"{escape_markdown(chosen.name)} is chosen as the default, but the server was started "
        f"with `HAR_MODEL`: {escape_markdown(wanted)} answers on REST, and on the pages of new "
        "visitors.\n\nStart it without `HAR_MODEL` to let the choice count.",
        icon=":material/settings:",
    )


def show_versions(runs: list[Run]) -> None:
    """Draw the table of versions with what can be done with a selected one, and the tree."""
    versions = list_versions(runs)
    if not versions:
        st.caption("There is no model, and no training was started here yet.")
        return
    default = sidebar.default_model_folder()
    table = pd.DataFrame([_row(version, default) for version in versions])
    # A row is a number: where versions come or go, another table takes this one's place.
    key = st.session_state[_DRAWN] = f"{_KEY} {hash(tuple(v.folder for v in versions))}"
    event = st.dataframe(
        escape_formulas(table),
        hide_index=True,
        key=key,
        on_select=lambda: _open_run(versions, key),
        selection_mode="single-row",
        height=min(38 + 35 * len(table), 320),
        alt="Versions of data and models, the newest first",
    )
    rows = event["selection"]["rows"]
    if rows:
        _show_actions(versions[rows[0]], default)
    else:
        st.caption("Select a version to open, compare or use it.")
    _show_tree(versions, default)


def _is(version: Version, default: Path | None) -> bool:
    return version.is_ready and version.folder.resolve() == default


def _row(version: Version, default: Path | None) -> dict[str, str]:
    run = version.run
    state = _STATES[run.state] if run is not None else "ready"
    return {
        "Model": version.name,
        "State": "the default" if _is(version, default) else state,
        "Test accuracy": version.result or "–",
        "Data": version.data or "–",
        "Review": version.review or "–",
        "From": version.origin or "–",
        "Effort": _effort(run) if run is not None else "–",
        "Took": duration(run.seconds) if run and run.seconds else "–",
        "Made (UTC)": version.created[:16],  # to the minute: all columns fit beside the sidebar
    }


def _effort(run: Run) -> str:
    changed = describe_settings(run.settings)
    return f"{run.effort}, {changed}" if changed else run.effort


def _open_run(versions: list[Version], key: str) -> None:
    if key != st.session_state[_DRAWN]:  # said by a browser that has not heard of the present one
        return
    chosen = st.session_state[key]["selection"]["rows"]
    run = versions[chosen[0]].run if chosen else None
    if run is not None:
        st.query_params[OPENED] = run.id
    else:
        st.query_params.pop(OPENED, None)


def _show_actions(version: Version, default: Path | None) -> None:
    name = escape_markdown(version.name)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{name}**", width="content")
        if version.is_ready:
            st.page_link(
                "../pages/evaluation.py",
                label="Open its evaluation",
                icon=":material/query_stats:",
                query_params={"model": version.name, "view": "Overview"},
            )
        chosen = sidebar.chosen_model_folder()
        if version.manifest is not None and chosen is not None and chosen != version.folder:
            st.page_link(
                "../pages/evaluation.py",
                label=f"Compare with {escape_markdown(chosen.name)}",
                icon=":material/compare_arrows:",
                query_params={"model": chosen.name, "view": "Compare", "with": version.name},
            )
        if version.is_ready and not _is(version, default):
            st.button(
                "Make it the default",
                icon=":material/check:",
                key="make_default",
                on_click=_make_default,
                args=(version.name,),
                help="Predict, REST and the command line answer with it from now on.",
            )
        if version.run is not None:
            st.caption("Its run is opened above.", width="content")


def _make_default(name: str) -> None:
    try:
        choose_default(name)
    except HarError as error:
        show_failure(error)
        return
    st.session_state[sidebar.MODEL_KEY] = name


def _show_tree(versions: list[Version], default: Path | None) -> None:
    """Draw what came from which data, as a list in a list."""
    with st.expander("Which data made which model"):
        lines = []
        for data in dict.fromkeys(version.data for version in versions if version.manifest):
            of_data = [v for v in versions if v.manifest is not None and v.data == data]
            lines.append(f"- {_describe_data(data, of_data)}")
            for version in of_data:
                name = escape_markdown(version.name)
                told = [
                    f"**{version.result}** on its test photographs" if version.result else "",
                    f"from {escape_markdown(version.origin)}" if version.origin else "",
                    "the default" if _is(version, default) else "",
                    "" if version.is_ready else "on trial",
                ]
                lines.append(f"    - {', '.join([name, *filter(None, told)])}")
        st.markdown("\n".join(lines))
        st.caption(
            "Data: the first digits of the fingerprint of all filenames, labels and contents. The "
            "same digits are the same data."
        )


def _describe_data(data: str, versions: list[Version]) -> str:
    manifest = versions[0].manifest
    splits = manifest.training.get("photographs", {}) if manifest is not None else {}
    n = sum(count for split, count in splits.items() if split != "unlabelled")
    told = [f"Data `{data}`" if data else "Data that is not recorded"]
    if data and n:
        told.append(counted(n, "photograph"))
    told += sorted({v.review for v in versions} - {"", "as it is"})
    return ", ".join(told)
