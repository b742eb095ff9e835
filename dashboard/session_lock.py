"""One lock for what the program remembers of a visitor."""

import threading
from collections.abc import Callable

from streamlit.runtime.state import SafeSessionState, SessionState

_init = SafeSessionState.__init__


def share_session_locks() -> None:
    """Let the runs of a visitor's page take turns with the session's state.

    Streamlit begins the next run while the one before still ends, and gives a lock to each: what
    one counts, the other changes ("dictionary changed size during iteration").
    """

    def init(safe: SafeSessionState, state: SessionState, yield_callback: Callable) -> None:
        _init(safe, state, yield_callback)
        # The state has no room for a lock; its query parameters live as long.
        lock = vars(state.query_params).setdefault("_lock", threading.RLock())
        object.__setattr__(safe, "_lock", lock)

    SafeSessionState.__init__ = init  # type: ignore[method-assign, assignment]
