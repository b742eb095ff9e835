"""One run as it happens: what it is doing, the time left, its curves, its last lines."""

import math
from itertools import takewhile
from typing import Any, Final

import streamlit as st

from dashboard.charts.style import NO_TOOLBAR
from dashboard.charts.training import training_curves
from dashboard.training.estimate import about
from dashboard.training.runs import (
    ACTIVE,
    CUT_OFF,
    Run,
    RunState,
    find_run,
    remove_run,
    resume_run,
    stop_run,
)
from dashboard.training.watching import seen, watch
from dashboard.widgets.messages import offer_deletion, show_failure
from dashboard.wording.names import escape_markdown
from har_core.errors import HarError

_STALLED_AFTER: Final = 3


def show_progress(run: Run) -> None:
    """Draw a run; while it is at work, this refreshes by itself."""
    if run.state in ACTIVE:
        watch(run.id)
        _show_live(run.id, run.state)
        return
    seen(run.id)
    _show_state(run)
    _show_curves(run)
    _show_log(run)


@st.fragment(run_every=1.0)
def _show_live(run_id: str, drawn: RunState) -> None:
    run = find_run(run_id)
    if run is None or run.state != drawn:
        if run is None or run.state not in ACTIVE:
            seen(run_id)
        st.rerun()  # the whole page: Versions name the state, too, and at its end Compare opens
        return
    _show_state(run)
    _show_curves(run)
    _show_log(run)


def _show_state(run: Run) -> None:
    state = run.state
    with st.container(border=True):
        if state == "starting":
            st.markdown("**Starting** … Python and its packages are being loaded.")
        elif state == "waiting":
            st.markdown("**Waiting** for the training before it.")
        elif state == "running":
            if steps := present_step(run):
                shares = shares_done(run)
                text = escape_markdown(describe_step(steps[-1], shares))
                st.progress(min(shares[-1][1], 1.0), text=text)
            if run.epochs:
                st.markdown(what_is_going_on(run.epochs))
        elif state == "failed":
            st.error(escape_markdown(run.error), icon=":material/error:")
            if not run.can_go_on:
                st.caption(
                    "Resuming would not help: it learns from the same table. Correct the labels, "
                    "remove it, and start another one."
                )
        elif state == "interrupted":
            st.warning(
                "It ended before it was done: the machine or somebody stopped its process. "
                + what_is_kept(run),
                icon=":material/power_off:",
            )
        elif state == "stopped":
            st.info(f"Stopped. {what_is_kept(run)}")
        with st.container(horizontal=True):
            if state in ACTIVE:
                st.button(
                    "Stop",
                    icon=":material/stop:",
                    key=f"stop {run.id}",
                    disabled=state == "starting",  # its process has not said who it is
                    help="It can be stopped as soon as it has started."
                    if state == "starting"
                    else None,
                    on_click=stop_run,
                    args=(run,),
                )
            elif state in CUT_OFF:
                if run.can_go_on:
                    st.button(
                        "Resume",
                        type="primary",
                        icon=":material/play_arrow:",
                        key=f"resume {run.id}",
                        on_click=_resume,
                        args=(run,),
                    )
                offer_deletion(
                    "Remove",
                    run.name,
                    "What it has learned so far goes with it.",
                    key=f"remove {run.id}",
                    on_click=remove_run,
                    args=(run,),
                    quiet=False,
                )


def what_is_kept(run: Run) -> str:
    """Say what a run that was cut off goes on from."""
    if run.effort == "quick":
        return "Resumed, it begins anew, but what the model has seen of the photographs is kept."
    return "What it has learned until its last epoch is kept."


def _resume(run: Run) -> None:
    try:
        resume_run(run)
    except HarError as error:
        show_failure(error)


def present_step(run: Run) -> list[dict[str, Any]]:
    """Return how far what a run does now has been, from its beginning; nothing if it is not known.

    The same is done again, such as looking at the validation photographs after each epoch.
    """
    said = [event for event in run.attempt if event["event"] == "progress"]
    same = takewhile(lambda event: event["what"] == said[-1]["what"], reversed(said))
    return list(same)[::-1]


def shares_done(run: Run) -> list[tuple[float, float]]:
    """Return when which share was done: of all epochs of a stage, or else of the present step."""
    stage, shares = "", list[tuple[float, float]]()
    for event in run.attempt:
        if event["event"] != "progress" or "epochs" not in event:
            continue
        if event["stage"] != stage:
            stage, shares = event["stage"], []
        share = (event["epoch"] - 1 + _share(event)) / event["epochs"]
        shares.append((event["time"], share))
    if shares and shares[-1][1] < 1:
        return shares
    return [(step["time"], _share(step)) for step in present_step(run)]


def _share(step: dict[str, Any]) -> float:
    return float(step["done"] / max(step["total"], 1))


def describe_step(step: dict[str, Any], shares: list[tuple[float, float]]) -> str:
    """Return in words how far a step is, and the time left of what the shares are of."""
    if step["total"] == 1:
        return str(step["what"])
    text = f"{step['what']}: {step['done']:,} of {step['total']:,}"
    (began, before), (now, share) = shares[0], shares[-1]
    done, elapsed = share - before, now - began
    left = elapsed / done * (1 - share) if done > 0 and elapsed > 2 else math.nan
    return f"{text}, {about(left)} left" if left > 5 else text


def what_is_going_on(epochs: list[dict[str, Any]]) -> str:
    """Return whether a run still improves, in a plain sentence."""
    key = next(
        (k for k in ("validation_calibrated_log_loss", "validation_log_loss") if k in epochs[-1]),
        "training_loss",
    )
    # Another stage trains another network: only its own epochs say whether it improves.
    stage = epochs[-1].get("stage")
    losses = [row[key] for row in epochs if key in row and row.get("stage") == stage]
    ago = len(losses) - 1 - losses.index(min(losses))
    on = "on the validation photographs" if key != "training_loss" else "on what it learns from"
    rate = epochs[-1].get("learning_rate")
    more = f" Learning rate {rate:.2g}." if rate is not None else ""
    if len(losses) < 2:
        return f"The first epoch is done.{more}"
    if not ago:
        return f"Still improving {on}.{more}"
    if ago < _STALLED_AFTER:
        return f"Not better {on} than {ago} epoch{'s' * (ago > 1)} ago.{more}"
    return f"Stopped improving {on} {ago} epochs ago.{more}"


def _show_curves(run: Run) -> None:
    if len(run.epochs) > 1:
        st.plotly_chart(
            training_curves(run.epochs),
            key=f"curves {run.id}",
            config=NO_TOOLBAR,
            alt="Loss and accuracy by epoch",
        )


def _show_log(run: Run) -> None:
    if run.log_lines:
        with st.expander("Last lines of the log", expanded=run.state == "failed"):
            st.code("\n".join(run.log_lines), language=None)
