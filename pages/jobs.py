"""How far are the jobs that score or scan very many photographs, and what came out?"""

import streamlit as st

from dashboard.results.jobs import PLACE_KEY, show_place
from dashboard.widgets.path_field import path_field
from har_core.settings import RESULTS

st.title("How far are the jobs?", anchor=False)
st.session_state.setdefault(PLACE_KEY, RESULTS.value)
place = path_field(
    "Results",
    key=PLACE_KEY,
    bind="query-params",
    placeholder="/path/to/results",
    help="A folder that `har score` or `har scan` writes to by `--to`, or one that holds such "
    "folders; on the server or in a bucket. It starts with `HAR_RESULTS`.",
)
if place:
    show_place(place)
else:
    st.info(
        "`har score SOURCE… --to RESULTS` lets the model answer for more photographs than fit one "
        "page: of a folder, list, table or bucket, on all cores or a Ray cluster.\n\n`har "
        "scan SOURCE… --to FOLDER` looks for what is wrong with them in the same way. What `har "
        "suspects` and `har evaluate` compute from results is shown with these.\n\nName the folder "
        "of its results above, or set `HAR_RESULTS` before starting, to watch it here.",
        icon=":material/schedule:",
    )
