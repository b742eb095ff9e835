"""The Dataset page's findings: what is wrong, how often, and the photographs behind each count."""

from typing import Final

import pandas as pd
import streamlit as st

from dashboard.charts.dataset import issue_counts
from dashboard.charts.style import NO_TOOLBAR
from dashboard.dataset.decision_bar import show_decision_bar
from dashboard.dataset.tiles import OUTLIER_MEANING, PAGE_SIZE, issue_title, show_groups, show_tiles
from dashboard.dataset.view import DatasetView, section
from dashboard.widgets.gallery import choose_page
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.names import bold_count, counted_share, percent, reason_in_words, score_text
from har_core.scan.issues import ISSUE_KINDS, count_issues, issue_column, score_column
from har_core.wording import counted

_GROUPS_PER_PAGE: Final = 8
_DUPLICATES: Final = ("exact_duplicates", "near_duplicates", "label_conflict")


def show_findings(view: DatasetView) -> None:
    """Draw the counts, and a gallery of the chosen kind."""
    counts = count_issues(view.photographs)
    if view.analysis is not None:
        counts["outlier"] = int(view.analysis.table["is_outlier_issue"].sum())
    found = {name: n for name, n in counts.items() if n}
    if not found:
        st.success("Nothing is wrong with these photographs.", icon=":material/check_circle:")
        return
    affected = int(view.has_finding.sum())
    chart, explanation = st.columns([3, 2], gap="large")
    with chart:
        st.plotly_chart(
            issue_counts([(issue_title(name), n) for name, n in found.items()]),
            key="issue_counts",
            config=NO_TOOLBAR,
            alt="Photographs with each kind of finding",
        )
    with explanation:
        share = counted_share(affected / len(view.photographs))
        have = f"photograph ({share}) has", f"photographs ({share}) have"
        st.markdown(f"{bold_count(affected, *have)} at least one finding.")
        clean = [issue_title(name).lower() for name in counts if name not in found]
        if clean:
            st.caption(f"Looked for and not found: {', '.join(clean)}.")
    _show_kind(view, list(found))


@section()
def _show_kind(view: DatasetView, found: list[str]) -> None:
    chosen = st.pills(
        "Show",
        found,
        format_func=issue_title,
        default=_DUPLICATES[0] if _DUPLICATES[0] in found else found[0],
        required=True,
        key="finding",
        bind="query-params",
    )
    st.caption(
        OUTLIER_MEANING if chosen == "outlier" else ISSUE_KINDS[chosen].meaning,
        help=GLOSSARY["near-duplicate group"] if chosen in _DUPLICATES else None,
    )
    rows = view.photographs[view.photographs[issue_column(chosen)].eq(True)]
    if chosen in _DUPLICATES:
        _show_groups(view, rows, chosen)
    else:
        _show_worst_first(view, rows.sort_values(score_column(chosen), kind="stable"), chosen)


def _show_worst_first(view: DatasetView, rows: pd.DataFrame, issue: str) -> None:
    page = choose_page(len(rows), PAGE_SIZE, f"finding_page_{issue}")
    bar = st.container()
    selected = show_tiles(
        view,
        rows.iloc[page],
        key=f"finding_gallery_{issue}",
        note=lambda row: _explain(row, issue),
    )
    with bar:
        show_decision_bar(view, selected, key="finding")


def _explain(row: pd.Series, issue: str) -> str:
    if issue == "unreadable":
        return reason_in_words(str(row["reason"]))
    if issue == "wrong_extension":
        return f"holds {row['content']}"
    if issue in ("missing", "unlisted"):
        return str(row["filename"])
    if issue in ("odd_size", "odd_aspect_ratio"):
        return f"{row['width']:.0f} × {row['height']:.0f} pixels"
    return score_text(row[score_column(issue)])


def _show_groups(view: DatasetView, rows: pd.DataFrame, issue: str) -> None:
    """Draw duplicates side by side, a row of tiles per group, near and exact ones together."""
    alone = rows[rows["duplicate_group"].isna()]  # one file listed under two labels
    numbers = rows["duplicate_group"].dropna().unique()
    page = choose_page(len(numbers), _GROUPS_PER_PAGE, f"finding_page_{issue}")
    selected: list[str] = []
    bar = st.container()
    members = view.photographs[view.photographs["duplicate_group"].isin(numbers[page])]
    groups = {
        f"Group {number} · {counted(len(rows), 'photograph')}": rows
        # Columns of one kind can be read by rows at once.
        for number, rows in members.astype(object).groupby("duplicate_group")
    }
    selected += show_groups(view, groups, key=issue, note=_compare)
    if len(alone):
        st.markdown("**Listed more than once, under different labels**")
        page = choose_page(len(alone), PAGE_SIZE, "listed_twice_page")
        selected += show_tiles(view, alone.iloc[page], key="listed_twice")
    with bar:
        show_decision_bar(view, selected, key="finding")


def _compare(row: pd.Series) -> str:
    kind = "exact copy" if row["copies"] > 1 else f"{percent(row['correlation'])} alike"
    split = f"{row['split']} · " if row["split"] else ""
    return f"{split}{kind} · {row['width']:.0f}×{row['height']:.0f}"
