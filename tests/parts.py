"""A part of a page that runs alone, as in a browser: an `AppTest` runs the whole page."""

from functools import partial
from typing import Any

import pytest
from streamlit.runtime.scriptrunner import RerunData
from streamlit.testing.v1 import local_script_runner


def run_its_part(widget: Any) -> None:
    """Send what was chosen in a widget, and run only the part of the page that it is in.

    Parameters
    ----------
    widget : element of an AppTest
        As it was drawn, with what was chosen in it.
    """
    state = widget.root._runner._session_state._state
    part = state._new_widget_state.widget_metadata[widget.id].fragment_id
    assert part is not None, "It is in none that runs alone."
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_script_runner, "RerunData", partial(RerunData, fragment_id=part))
        widget.run()
