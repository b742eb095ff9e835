"""The Dataset page's leakage: the same picture in training and in what measures the model."""

import pandas as pd
import streamlit as st

from dashboard.dataset.decision_bar import show_decision_bar
from dashboard.dataset.tiles import show_groups
from dashboard.dataset.view import BY_IDENTITY, DatasetView, section
from dashboard.widgets.gallery import choose_page
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.names import escape_markdown
from har_core.dataset.splits import leaking_groups, split_columns
from har_core.wording import counted

_GROUPS_PER_PAGE = 8


@section()
def show_leakage(view: DatasetView) -> None:
    """Draw the duplicate groups that cross splits, for the split column chosen."""
    columns = _split_columns(view)
    if not columns:
        st.info(
            "No splits are known: the chosen model records none for these photographs, and the "
            "table has no split column.",
            icon=":material/call_split:",
        )
        return
    source = next(iter(columns))
    if len(columns) > 1:
        source = st.segmented_control(
            "Splits",
            list(columns),
            default=source,
            required=True,
            format_func=escape_markdown,
            key="split_source",
        )
    split = columns[source]
    counts = split[split.ne("")].value_counts()
    sizes = " · ".join(f"{name} {n:,}" for name, n in counts.items())
    st.caption(f"Splits {escape_markdown(source)}: {sizes}", help=GLOSSARY["near-duplicate group"])
    leaks = leaking_groups(view.photographs, split)
    if leaks.empty:
        n_groups = view.photographs["duplicate_group"].nunique()
        st.success(no_leak(n_groups), icon=":material/check_circle:")
        return
    groups = leaks["duplicate_group"].astype(object).fillna(leaks["filename"])
    numbers = groups.unique()
    st.error(
        f"Duplicates cross splits: {counted(len(numbers), 'group')}, "
        f"{counted(len(leaks), 'photograph')}. The measured accuracy is too good by what the model "
        "has seen before. Keep each group in one split, or exclude all but one.",
        icon=":material/leak_add:",
    )
    page = choose_page(len(numbers), _GROUPS_PER_PAGE, "leak_page")
    bar = st.container()
    by_heading = {}
    for number in numbers[page]:
        rows = leaks[groups.eq(number)]
        # A photograph that is in several splits itself needs no duplicate.
        who = escape_markdown(number) if isinstance(number, str) else f"Group {number}"
        heading = f"{who} · {' and '.join(sorted(set(rows['split'])))}"
        by_heading[heading] = view.photographs.loc[rows.index]
    selected = show_groups(view, by_heading, key="leak", note=lambda row: str(split[row.name]))
    with bar:
        show_decision_bar(view, selected, key="leaks")


def no_leak(n_groups: int) -> str:
    """Return that no group of duplicates crosses splits, of so many groups."""
    if not n_groups:
        return "No leak: there are no duplicates."
    return f"No leak: {counted(n_groups, 'group')} of duplicates, each within one split."


@st.cache_resource(max_entries=4, show_spinner=False, hash_funcs=BY_IDENTITY)
def _split_columns(view: DatasetView) -> dict[str, pd.Series]:
    """Return every known division into splits, by a name for people."""
    columns = {}
    if view.photographs["split"].ne("").any():
        name = view.manifest.name if view.manifest else "model"
        columns[f"of the model {name}"] = view.photographs["split"]
    by_name = split_columns(view.dataset).set_index("filename")
    for column in by_name.columns:
        values = by_name[column].reindex(view.photographs["filename"]).fillna("")
        title = "of the folders" if column == "folder" else f"column “{column}” of the table"
        columns[title] = pd.Series(values.to_numpy(), index=view.photographs.index)
    return columns
