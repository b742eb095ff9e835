"""The sections of the evaluation page, each a function that draws one of them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import evaluation_charts as charts
from dashboard import evaluation_data as data
from dashboard.evaluated_photos import EvaluatedPhotos
from dashboard.evaluation_wording import (
    METRIC_MEANINGS,
    METRIC_TITLES,
    abstention_sentence,
    calibration_sentence,
    cell_title,
    metric_interval,
    metric_value,
    signed_difference,
)
from dashboard.wording import escape_markdown, human_name, percent
from har_core import bundle
from har_core.bundle import BundleManifest
from har_core.calibration import reliability_bins
from har_core.comparison import disagreements
from har_core.confusion import Share, most_confused_pairs
from har_core.curves import DRAWN_POINTS, macro_areas
from har_core.errors import HarError
from har_core.evaluation import CLASS_METRICS, HEADLINE_METRICS, EvaluationResult
from har_core.evaluations import Evaluation
from har_core.selective import answer_above, coverage_curve
from har_core.thumbnails import thumbnails

TRUE_KEY: Final = "true"
PREDICTED_KEY: Final = "predicted"
THRESHOLD_KEY: Final = "threshold"
_NO_TOOLBAR: Final = {"displayModeBar": False}
_SIDE_BY_SIDE_UP_TO: Final = 20


@dataclass(frozen=True, eq=False)
class Shown:
    """What the page shows: a model's evaluation and where its photographs are."""

    folder: Path
    manifest: BundleManifest
    evaluation: Evaluation
    paths: Mapping[str, str]

    @property
    def result(self) -> EvaluationResult:
        """With the model's temperature."""
        return self.evaluation.result

    @property
    def photos(self) -> EvaluatedPhotos:
        """Draws photographs of the evaluation."""
        return EvaluatedPhotos(self.result, self.paths)


def show_headline(result: EvaluationResult) -> None:
    """Draw the five headline metrics with intervals; tooltips say what each means."""
    with st.grid(5, min_column_width=150, gap="small"):
        for name, interval in result.headline_intervals.items():
            st.metric(
                METRIC_TITLES[name],
                metric_value(name, interval.value),
                metric_interval(name, interval),
                delta_color="off",
                delta_arrow="off",
                help=METRIC_MEANINGS[name],
                border=True,
            )
    st.caption(
        "Under each value its 95 % interval: a bootstrap over groups of near-duplicate photographs."
    )


def show_confusions(shown: Shown) -> None:
    """Draw the confusion matrix, and beside it the worst pairs or the chosen cell's photographs."""
    result = shown.result
    names = result.class_names
    if len(names) <= _SIDE_BY_SIDE_UP_TO:
        left, right = st.columns([7, 4], gap="medium")
    else:
        left, right = st.container(), st.container()
    with right:
        cell = chosen_cell(names)
    with left:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            share: Share = st.segmented_control(
                "Cells show",
                ["count", "row", "column"],
                default="count",
                required=True,
                key="cells",
                format_func={
                    "count": "photographs",
                    "row": "share of true class",
                    "column": "share of answers",
                }.__getitem__,
            )
            with st.popover("Arrange", icon=":material/tune:"):
                by_name = st.segmented_control(
                    "Order of classes",
                    [False, True],
                    default=False,
                    required=True,
                    key="order",
                    format_func=lambda by_name: "by name" if by_name else "similar side by side",
                )
                hide = st.toggle("Hide right answers", key="hide_right")
        order = np.argsort(np.asarray(names)) if by_name else result.similarity_order
        st.plotly_chart(
            charts.confusion_figure(
                result.confusion,
                names,
                share=share,
                order=order,
                hide_diagonal=hide,
                selected=cell if None not in cell else None,  # type: ignore[arg-type]
                on_dark=st.context.theme.type == "dark",
            ),
            key="confusion",
            on_select=_choose_clicked_cell,
            selection_mode="points",
            config=_NO_TOOLBAR,
            alt="Confusion matrix: photographs by true and predicted class",
        )
        st.caption(
            "Rows are true classes, columns what the model said. Teal: right, orange: wrong, each "
            "with a colour scale of its own. Click a cell to see its photographs."
        )
    with right:
        _show_cell(shown, cell)


def chosen_cell(class_names: tuple[str, ...]) -> tuple[str | None, str | None]:
    """Draw the choice of a true and a predicted class, which the page's address keeps."""
    for key in (TRUE_KEY, PREDICTED_KEY):
        if st.session_state.get(key, class_names[0]) not in (*class_names, None):
            st.session_state[key] = None  # chosen for a model with other classes
    with st.grid(2, min_column_width=120, gap="small"):
        label, prediction = (
            st.selectbox(
                title,
                class_names,
                index=None,
                key=key,
                bind="query-params",
                format_func=human_name,
                placeholder="any",
            )
            for title, key in (("True class", TRUE_KEY), ("Predicted class", PREDICTED_KEY))
        )
    return label, prediction


def choose_cell(label: str | None, prediction: str | None) -> None:
    """Show the photographs of a cell, of a class, or (two times None) no selection."""
    st.session_state[TRUE_KEY] = label
    st.session_state[PREDICTED_KEY] = prediction


def _choose_clicked_cell() -> None:
    # Redrawing the chart empties its selection: that is no wish to leave the cell.
    points = st.session_state["confusion"]["selection"]["points"]
    if points:
        choose_cell(*points[0]["customdata"][:2])


def _show_cell(shown: Shown, cell: tuple[str | None, str | None]) -> None:
    label, prediction = cell
    if label is None and prediction is None:
        _show_confused_pairs(shown)
        return
    photographs = shown.result.photographs()
    if label is not None:
        photographs = photographs[photographs["label"] == label]
    if prediction is not None:
        photographs = photographs[photographs["prediction"] == prediction]
    photographs = photographs.sort_values("confidence", ascending=False, kind="stable")
    st.button(
        f"{cell_title(label, prediction)} · {len(photographs):,}",
        key="clear_cell",
        icon=":material/close:",
        icon_position="right",
        on_click=choose_cell,
        args=(None, None),
        help="Remove this filter",
    )
    shown.photos.show(photographs, key="cell_photographs", tile_width=124)


def _show_confused_pairs(shown: Shown) -> None:
    pairs = most_confused_pairs(shown.result.confusion, shown.result.class_names, limit=6)
    st.markdown("**Most confused**")
    if pairs.empty:
        st.caption("The model makes no mistake on these photographs.")
        return
    photographs = shown.result.photographs()
    for rank, pair in enumerate(pairs.itertuples()):
        with st.container(border=True, gap="xsmall"):
            st.button(
                f"**{cell_title(pair.label, pair.prediction)}**",
                key=f"pair_{rank}",
                type="tertiary",
                icon=":material/arrow_forward:",
                icon_position="right",
                on_click=choose_cell,
                args=(pair.label, pair.prediction),
            )
            n = pairs["count"].iloc[rank]
            st.caption(f"{n:,} photographs, {percent(pair.share)} of {human_name(pair.label)}")
            chosen = (photographs["label"] == pair.label) & (
                photographs["prediction"] == pair.prediction
            )
            names = photographs.loc[chosen].nlargest(3, "confidence")["filename"]
            pictures = thumbnails([shown.paths.get(name) for name in names])
            if any(pictures):
                with st.container(horizontal=True, gap="xsmall"):
                    for name, picture in zip(names, pictures, strict=True):
                        if picture is not None:
                            st.image(picture, width=76, alt=f"The photograph {name}")


def show_classes(shown: Shown) -> None:
    """Draw the table of classes; choosing one shows its hits and misses."""
    table = shown.result.per_class()
    with_intervals = st.toggle("95 % intervals", key="class_intervals")
    display = pd.DataFrame({"class": table["class"].map(human_name)})
    for name in ("f1", "precision", "recall"):
        undefined = table["predicted"] + table["support"] == 0
        undefined |= (name == "precision") & (table["predicted"] == 0)
        undefined |= (name == "recall") & (table["support"] == 0)
        display[name] = (100 * table[name]).where(~undefined)
        if with_intervals:
            display[f"{name}_interval"] = [
                f"{100 * low:.0f} – {100 * high:.0f} %"
                for low, high in zip(table[f"{name}_low"], table[f"{name}_high"], strict=True)
            ]
    display["average_precision"] = (100 * table["average_precision"]).where(table["support"] > 0)
    display["support"] = table["support"]
    bar = st.column_config.ProgressColumn
    selection = st.dataframe(
        display,
        key="classes",
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        height="content" if len(display) <= 20 else 560,
        alt="Metrics of every class",
        column_config={
            "class": st.column_config.TextColumn("Class", pinned=True, width=150),
            "f1": bar("F1", min_value=0, max_value=100, format="%.0f %%", color="primary"),
            "precision": bar(
                "Precision",
                min_value=0,
                max_value=100,
                format="%.0f %%",
                color="primary",
                help="Of the photographs that the model gives this class, the share that has it.",
            ),
            "recall": bar(
                "Recall",
                min_value=0,
                max_value=100,
                format="%.0f %%",
                color="primary",
                help="Of the photographs of this class, the share that the model recognises.",
            ),
            "average_precision": st.column_config.NumberColumn(
                "Average precision",
                format="%.1f %%",
                help="Precision averaged over all thresholds on the class's probability.",
            ),
            "support": st.column_config.NumberColumn("Photographs", format="localized"),
            **{f"{name}_interval": st.column_config.TextColumn("95 %") for name in CLASS_METRICS},
        },
    )
    rows = selection["selection"]["rows"]
    if not rows or rows[0] >= len(table):
        st.caption("Choose a row to see the photographs that the class's numbers come from.")
        return
    _show_hits_and_misses(shown, str(table["class"].iloc[rows[0]]))


def _show_hits_and_misses(shown: Shown, name: str) -> None:
    photographs = shown.result.photographs()
    is_class, said = photographs["label"] == name, photographs["prediction"] == name
    kinds = {
        "missed": photographs[is_class & ~said],
        "wrongly given": photographs[~is_class & said],
        "recognised": photographs[is_class & said],
    }
    st.markdown(f"#### {human_name(name)}")
    kind = st.segmented_control(
        "Photographs",
        list(kinds),
        default="missed",
        required=True,
        key="hits_or_misses",
        format_func=lambda kind: f"{kind} · {len(kinds[kind]):,}",
        label_visibility="collapsed",
    )
    chosen = kinds[kind].sort_values("confidence", ascending=False, kind="stable")
    shown.photos.show(chosen, key="class_photographs")


def show_curves(shown: Shown) -> None:
    """Draw precision–recall and ROC curves, a few classes in colour."""
    result = shown.result
    names = result.class_names
    f1 = result.per_class().set_index("class")["f1"]
    hardest = f1[result.confusion.sum(axis=1) > 0].nsmallest(3).index.tolist()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.segmented_control(
            "Curve",
            ["precision_recall", "roc"],
            default="precision_recall",
            required=True,
            key="curve",
            format_func={"precision_recall": "precision–recall", "roc": "ROC"}.__getitem__,
        )
        highlighted = st.multiselect(
            "Classes in colour",
            names,
            default=hardest,
            format_func=human_name,
            max_selections=8,
            key=f"highlighted_{shown.manifest.name}",
            width=520,
        )
    with st.spinner("Computing the curves …"):
        curves, micro = result.curves, result.micro_curves
    macro_precision, macro_area = macro_areas(curves)
    macro, pooled = (
        (macro_area, micro.roc_area)
        if kind == "roc"
        else (macro_precision, micro.average_precision)
    )
    st.plotly_chart(
        charts.ranking_figure(curves, names, micro, kind=kind, highlighted=highlighted),
        key="curves",
        config=_NO_TOOLBAR,
        alt="Curves of each class against the rest",
    )
    what = "area under the ROC curve" if kind == "roc" else "average precision"
    st.markdown(
        f"Mean {what} over classes (macro): **{macro:.3f}**; over all pairs of a photograph and a "
        f"class (micro): **{pooled:.3f}**."
    )
    st.caption(
        f"Each class against the rest. Curves are drawn through at most {DRAWN_POINTS} points; the "
        "areas use every photograph."
    )


def show_confidence(shown: Shown) -> None:
    """Draw calibration, temperature, and what a confidence threshold would do."""
    calibration, abstention = st.columns(2, gap="large")
    with calibration:
        st.markdown("#### Can its confidence be believed?")
        _show_calibration(shown)
    with abstention:
        st.markdown("#### When should it rather not answer?")
        _show_abstention(shown.result)


def _show_calibration(shown: Shown) -> None:
    result, present = shown.result, shown.manifest.temperature
    bins = reliability_bins(result.confidence, result.correct)
    st.markdown(calibration_sentence(result.confidence.mean(), result.correct.mean()))
    series = {f"temperature {present:.2f}": bins}
    fitted = None
    if st.toggle("Compare with a freshly fitted temperature", key="fit_temperature"):
        try:
            fitted = data.fitted_temperature(shown.folder)
        except HarError as error:
            st.info(escape_markdown(str(error)), icon=":material/info:")
    if fitted is not None:
        after = shown.evaluation.raw.calibrated(fitted)
        series[f"temperature {fitted:.2f}"] = reliability_bins(after.confidence, after.correct)
        _show_temperature(shown, fitted, after)
        result = after
    st.plotly_chart(
        charts.reliability_figure(series, result.confidence, result.correct),
        key="reliability",
        config=_NO_TOOLBAR,
        alt="Share of right answers against confidence",
    )
    least, most = bins.counts.min(), bins.counts.max()
    each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    st.caption(
        f"{len(bins.counts)} bins with {each} photographs each. On the dotted line confidence and "
        "share of right answers agree; below it the model is too sure of itself."
    )


def _show_temperature(shown: Shown, fitted: float, after: EvaluationResult) -> None:
    before = shown.result.totals.headline()
    then = after.totals.headline()
    rows = {
        METRIC_TITLES[name]: [metric_value(name, m[name][0]) for m in (before, then)]
        for name in ("top1", "log_loss", "ece")
    }
    columns = [f"now ({shown.manifest.temperature:.2f})", f"fitted ({fitted:.2f})"]
    st.table(pd.DataFrame(rows, index=columns).T, alt="Metrics before and after")
    if abs(fitted - shown.manifest.temperature) < 0.005:
        st.caption("The model uses the fitted temperature already.")
        return
    st.button(
        f"Use {fitted:.2f} from now on",
        key="store_temperature",
        icon=":material/thermostat:",
        on_click=_store_temperature,
        args=(shown, fitted),
        help="Stores it in the model: the Predict page and the REST API then give the calibrated "
        "probabilities. Which action comes first never changes.",
    )
    if error := st.session_state.pop("store_temperature_error", None):
        st.error(escape_markdown(error))


def _store_temperature(shown: Shown, temperature: float) -> None:
    """Store the temperature, and the headline metrics that follow from it."""
    metrics: dict[str, Any] = dict(shown.manifest.metrics)
    try:
        if metrics.get("split") == "test":
            own = data.load_evaluation(shown.folder, "test").raw.calibrated(temperature)
            metrics |= own.headline()
        bundle.update_manifest(shown.folder, temperature=temperature, metrics=metrics)
    except HarError as error:
        st.session_state["store_temperature_error"] = str(error)


def _show_abstention(result: EvaluationResult) -> None:
    threshold = st.slider(
        "Answer only from this confidence on",
        0.0,
        1.0,
        0.5,
        0.01,
        key=THRESHOLD_KEY,
        bind="query-params",
    )
    coverage, accuracy = answer_above(result.confidence, result.correct, threshold)
    st.markdown(f"**{abstention_sentence(threshold, coverage, accuracy)}**")
    curve = coverage_curve(result.confidence, result.correct)
    st.plotly_chart(
        charts.coverage_figure(curve, coverage, accuracy),
        key="coverage",
        config=_NO_TOOLBAR,
        alt="Accuracy among the answered photographs against their share",
    )
    st.caption(
        "Photographs in order of confidence, the surest first. Further left the model answers less "
        "and errs less."
    )


def show_errors(shown: Shown) -> None:
    """Draw the most confident mistakes or the least confident hits, with filters."""
    result = shown.result
    with st.container(horizontal=True, vertical_alignment="bottom"):
        hits = st.segmented_control(
            "Photographs",
            [False, True],
            default=False,
            required=True,
            key="errors_or_hits",
            format_func=lambda hits: "doubtful hits" if hits else "confident mistakes",
        )
        labels = st.multiselect(
            "True class",
            result.class_names,
            format_func=human_name,
            key="error_labels",
            placeholder="any",
            width=175,
        )
        predictions = st.multiselect(
            "Predicted class",
            result.class_names,
            format_func=human_name,
            key="error_predictions",
            placeholder="any",
            width=175,
        )
        search = st.text_input(
            "File name", key="error_search", type="search", placeholder="contains …", width=150
        )
    photographs = result.photographs()
    photographs = photographs[photographs["correct"] == hits]
    if labels:
        photographs = photographs[photographs["label"].isin(labels)]
    if predictions:
        photographs = photographs[photographs["prediction"].isin(predictions)]
    if search:
        found = photographs["filename"].str.contains(search.strip(), case=False, regex=False)
        photographs = photographs[found]
    photographs = photographs.sort_values("confidence", ascending=hits, kind="stable")
    st.caption(f"{len(photographs):,} photographs, {'least' if hits else 'most'} confident first")
    shown.photos.show(photographs, key="error_photographs", page_size=20)


def show_comparison(shown: Shown, others: Mapping[str, Path]) -> None:
    """Draw metrics of several models side by side, and where two of them disagree."""
    if not others:
        st.info("There is no other model to compare with.", icon=":material/info:")
        return
    chosen = st.multiselect(
        "Compare with",
        list(others),
        default=[next(iter(others))],
        key=f"compare_{shown.manifest.name}",
        width=520,
    )
    if not chosen:
        return
    folders = {shown.manifest.name: shown.folder} | {name: others[name] for name in chosen}
    try:
        comparison = data.load_comparison(folders, shown.evaluation.name)
    except HarError as error:
        st.warning(escape_markdown(str(error)), icon=":material/info:")
        return
    first = shown.manifest.name
    table = {first: _metric_column(comparison.results[first])}
    for name in chosen:
        table[name] = _metric_column(comparison.results[name])
        table[f"{name} minus {first}"] = [
            signed_difference(metric, comparison.differences[name][metric])
            for metric in HEADLINE_METRICS
        ]
    st.table(
        pd.DataFrame(table, index=[METRIC_TITLES[name] for name in HEADLINE_METRICS]),
        alt="Headline metrics of the compared models",
    )
    left_out = {m: n for m, n in comparison.n_left_out.items() if n}
    st.caption(
        f"{comparison.results[first].n:,} photographs that every model was evaluated on"
        + "".join(f"; {n:,} more of {escape_markdown(m)} left out" for m, n in left_out.items())
        + ". Differences with 95 % intervals from paired bootstrap samples."
    )
    for name in chosen:
        st.markdown(escape_markdown(comparison.tests[name].describe(first, name)))
    rival = chosen[0]
    if len(chosen) > 1:
        rival = st.segmented_control(
            f"Where {human_name(first)} disagrees with",
            chosen,
            default=chosen[0],
            required=True,
            key="rival",
        )
    differing = disagreements(comparison.results[first], comparison.results[rival])
    winner = st.segmented_control(
        "Photographs",
        [1, 2],
        default=1,
        required=True,
        key="winner",
        format_func=lambda which: f"only {first if which == 1 else rival} is right",
        label_visibility="collapsed",
    )
    rows = differing[differing["right"] == winner]
    side, other = (comparison.results[first], 2) if winner == 1 else (comparison.results[rival], 1)
    photographs = side.photographs().set_index("filename", drop=False).loc[rows["filename"]]
    photographs["note"] = [
        f"the other says {human_name(name)}" for name in rows[f"prediction_{other}"]
    ]
    EvaluatedPhotos(side, shown.paths).show(photographs, key="disagreements")


def _metric_column(result: EvaluationResult) -> list[str]:
    return [metric_value(name, i.value) for name, i in result.headline_intervals.items()]


def show_downloads(
    shown: Shown, render_report: Callable[[], str], predictions_csv: Callable[[], str]
) -> None:
    """Offer the report, the metrics and the predictions as files, made when asked for."""
    stem = f"{shown.manifest.name}_{shown.evaluation.name}"
    with st.popover("Take it away", icon=":material/download:"):
        for label, suffix, mime, make in (
            ("Report (HTML, opens offline)", "report.html", "text/html", render_report),
            ("Metrics (JSON)", "metrics.json", "application/json", lambda: metrics_json(shown)),
            ("Predictions (CSV)", "predictions.csv", "text/csv", predictions_csv),
        ):
            st.download_button(
                label,
                make,
                file_name=f"{stem}_{suffix}",
                mime=mime,
                on_click="ignore",
                width="stretch",
            )


def metrics_json(shown: Shown) -> str:
    """Return the metrics of an evaluation as JSON, with the fields of the command line's file."""
    body = {
        "model": shown.manifest.name,
        "evaluation": shown.evaluation.name,
        "created": shown.evaluation.created,
        "temperature": shown.manifest.temperature,
        **shown.result.metrics(),
        "skipped": shown.evaluation.skipped.to_dict("records"),
    }
    return json.dumps(body, indent=2, ensure_ascii=False) + "\n"
