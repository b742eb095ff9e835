"""The Dataset page's overview: class balance, and what the pictures are like."""

from typing import Final

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard.charts.dataset import class_balance, distribution_by_class, size_scatter
from dashboard.charts.style import NO_TOOLBAR
from dashboard.dataset.view import BY_IDENTITY, DatasetView, section
from dashboard.wording.glossary import GLOSSARY
from dashboard.wording.names import counted_share, escape_markdown, human_name
from har_core.dataset.slips import ClassBalance
from har_core.dataset.splits import splits_in

_PROPERTIES: Final = {
    "Aspect ratio": ("Width ÷ height", ""),
    "File size": ("Kilobytes", " KB"),
    "Brightness": ("Mean perceived brightness (0 black … 1 white)", ""),
    "Sharpness": ("Sharpness (0 blurred … 1 sharp)", ""),
}


def show_overview(view: DatasetView) -> None:
    """Draw the class balance, and after a scan what the pictures are like."""
    show_class_balance(view.photographs["label"], view.photographs["split"])
    if view.scanned:
        show_image_properties(view)


def show_class_balance(labels: pd.Series, splits: pd.Series | None = None) -> None:
    """Draw the class balance of labels, by split if any is known, with its reading."""
    balance = ClassBalance.of(labels)
    if not len(balance.counts):
        st.info("No photograph has a label.", icon=":material/label_off:")
        return
    st.header("Class balance", anchor=False)
    reading, tooltip = f"**{escape_markdown(_capitalised(balance.describe()))}**", None
    if len(balance.counts) > 1:
        reading += (
            f"  \n:small[Largest to smallest class {balance.imbalance_ratio:.2f} : 1 · normalised "
            f"entropy {balance.normalised_entropy:.3f} (1 is perfectly even)]"
        )
        tooltip = GLOSSARY["normalised entropy"]
    st.markdown(reading, help=tooltip)
    by_split = None
    both = pd.DataFrame({"label": labels, "split": "" if splits is None else splits})
    both = both[labels.ne("")]
    if both["split"].ne("").any():
        # What `crosstab` takes three times as long for.
        by_split = both.groupby(["label", "split"]).size().unstack(fill_value=0)
        by_split = by_split[[*splits_in(both["split"]), *({""} & {*by_split})]]
    _show_counts(balance.counts.rename("photographs").to_frame(), by_split)


@st.fragment
def _show_counts(counts: pd.DataFrame, by_split: pd.DataFrame | None) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        measure = st.segmented_control(
            "Measure",
            ["Counts", "Shares"],
            default="Counts",
            required=True,
            key="balance_measure",
            label_visibility="collapsed",
        )
        order = st.segmented_control(
            "Sort",
            ["By count", "By name"],
            default="By count",
            required=True,
            key="balance_order",
            label_visibility="collapsed",
        )
        if by_split is not None and st.toggle("By split", value=True, key="balance_by_split"):
            counts = by_split
    st.plotly_chart(
        _balance_figure(counts, shares=measure == "Shares", by_name=order == "By name"),
        key="class_balance",
        config=NO_TOOLBAR,
        alt="Photographs of each class",
    )


# Drawing takes longer than all else on the page; nobody changes a figure.
@st.cache_resource(max_entries=32, show_spinner=False)
def _balance_figure(counts: pd.DataFrame, *, shares: bool, by_name: bool) -> go.Figure:
    return class_balance(counts, shares=shares, by_name=by_name)


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=BY_IDENTITY)
def _size_figure(view: DatasetView, chosen: str | None, side: int | None) -> go.Figure:
    return size_scatter(view.photographs, chosen, input_side=side)


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=BY_IDENTITY)
def _property_figure(view: DatasetView, name: str) -> go.Figure:
    usable = view.photographs[view.photographs["width"].notna()]
    values = {
        "Aspect ratio": lambda: usable["width"] / usable["height"],
        "File size": lambda: usable["size_bytes"] / 1000,
        "Brightness": lambda: usable["brightness"],
        "Sharpness": lambda: usable["sharpness"],
    }[name]()
    title, unit = _PROPERTIES[name]
    return distribution_by_class(values, usable["label"], title=title, unit=unit)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


@section()
def show_image_properties(view: DatasetView) -> None:
    """Draw sizes, and the distribution of a chosen property by class."""
    photographs = view.photographs
    usable = photographs[photographs["width"].notna()]
    if usable.empty:
        return
    st.header("The pictures", anchor=False)
    side = view.manifest.input_size if view.manifest else None
    text = f"Typically **{usable['width'].median():.0f} × {usable['height'].median():.0f}** pixels"
    if side is not None:
        small = usable[["width", "height"]].min(axis=1).lt(side).mean()
        share = f"**{counted_share(small)}** have" if small else "none has"
        text += f"; {share} a side below the network's {side} pixels, to which it is enlarged"
    st.markdown(f"{text}.")
    sizes, spread = st.columns(2, gap="large")
    with sizes:
        chosen = st.selectbox(
            "Highlight a class",
            [None, *view.class_names],
            format_func=lambda name: human_name(name) if name else "no class",
            key="size_class",
        )
        st.plotly_chart(
            _size_figure(view, chosen, side),
            key="size_scatter",
            config=NO_TOOLBAR,
            alt="Width and height of the photographs",
        )
        st.caption("A mark for each size: the larger it is, the more photographs have it.")
    with spread:
        name = st.selectbox("Property by class", list(_PROPERTIES), key="property")
        if usable["label"].eq("").all():
            st.caption("No readable photograph has a label.")
            return
        st.plotly_chart(
            _property_figure(view, name),
            key="property_by_class",
            config=NO_TOOLBAR,
            alt=f"{name} by class: median, quartiles, 5th and 95th percentile",
        )
        st.caption("Box: half of the photographs. Whiskers: 5th to 95th percentile.")
