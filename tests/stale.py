"""What a browser sends that has not yet heard of what the page shows by now."""

from typing import Any

from streamlit.proto.WidgetStates_pb2 import WidgetStates


def say_again(widget: Any) -> None:
    """Send once more what a widget held that is no longer on the page, as any message does.

    Streamlit has forgotten the widget by then, takes that for a change, and calls what hears of it.

    Parameters
    ----------
    widget : element of an AppTest
        As it was drawn, with what was chosen in it.
    """
    widget.root._runner._run(WidgetStates(widgets=[widget._widget_state]))
