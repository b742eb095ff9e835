"""Two runs of one visitor's page take turns with what is remembered of the visitor."""

import threading

import pytest
from streamlit.runtime.state import SafeSessionState, SessionState

from dashboard.session_lock import share_session_locks


@pytest.fixture(autouse=True)
def shared_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SafeSessionState, "__init__", SafeSessionState.__init__)  # put back after
    share_session_locks()


def of_a_run(state: SessionState) -> SafeSessionState:
    return SafeSessionState(state, lambda: None)


def test_a_run_that_ends_changes_nothing_while_the_next_one_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = SessionState()
    ending, beginning = of_a_run(state), of_a_run(state)
    ending["a"] = 1
    writer = threading.Thread(target=ending.__setitem__, args=("b", 2))

    def keys(state: SessionState) -> set[str]:
        names = iter(state._new_session_state)
        first = next(names)
        writer.start()
        writer.join(0.05)
        return {first, *names}

    monkeypatch.setattr(SessionState, "_keys", keys)
    assert beginning.filtered_state == {"a": 1}
    writer.join()
    assert ending["b"] == 2


def test_visitors_do_not_wait_for_each_other() -> None:
    one, other = of_a_run(SessionState()), of_a_run(SessionState())
    with one._lock:
        writer = threading.Thread(target=other.__setitem__, args=("a", 1), daemon=True)
        writer.start()
        writer.join(5)
        assert not writer.is_alive()
