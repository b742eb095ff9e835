"""What a browser's tab keeps over a reload, which ends Streamlit's session: in memory, for a while.

The tab holds an unguessable token in its `sessionStorage`, the server what belongs to it.
"""

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Final

import streamlit as st

_KEY: Final = "tab_memory"
_TOKEN: Final = "tab_token"
_KEPT_SECONDS: Final = 30 * 60
_MOST_TABS: Final = 100
_MOST_BYTES: Final = 400_000_000

_JS: Final = """
export default function ({ data, setStateValue }) {
  try {
    const kept = sessionStorage.getItem("har_tab")
    if (kept === null || kept === data.token) sessionStorage.setItem("har_tab", data.token)
    else setStateValue("token", kept)
  } catch { /* the browser allows no storage: a reload begins anew */ }
}
"""
_component = st.components.v2.component("tab_memory", html="<span></span>", js=_JS)


@dataclass
class _Tab:
    values: dict[str, Any] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    used: float = 0.0


class TabMemory:
    """Values by tab; what was not used for half an hour, or is too much, is forgotten."""

    def __init__(self) -> None:
        self._tabs: OrderedDict[str, _Tab] = OrderedDict()
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def keep(self, token: str, name: str, value: Any, n_bytes: int = 0) -> None:
        """Keep a value of a tab, or forget it if it is None, or larger than all may be together."""
        with self._lock:
            tab = self._tabs.setdefault(token, _Tab())
            tab.used = time.monotonic()
            self._tabs.move_to_end(token)
            if value is None or n_bytes > _MOST_BYTES:
                tab.values.pop(name, None)
                tab.sizes.pop(name, None)
            else:
                tab.values[name], tab.sizes[name] = value, n_bytes
            while self._tabs and (len(self._tabs) > _MOST_TABS or self._size() > _MOST_BYTES):
                self._tabs.popitem(last=False)
            self._forget_in_time()

    def values(self, token: str) -> dict[str, Any]:
        """Return what is kept of a tab."""
        with self._lock:
            tab = self._tabs.get(token)
            return dict(tab.values) if tab else {}

    def forget(self, token: str) -> None:
        """Forget a tab."""
        with self._lock:
            self._tabs.pop(token, None)

    def _size(self) -> int:
        return sum(sum(tab.sizes.values()) for tab in self._tabs.values())

    def _forget_old(self) -> None:
        with self._lock:
            self._timer = None
            oldest = time.monotonic() - _KEPT_SECONDS
            while self._tabs and next(iter(self._tabs.values())).used <= oldest:
                self._tabs.popitem(last=False)
            self._forget_in_time()

    def _forget_in_time(self) -> None:
        """See to it that the oldest tab is forgotten even if nobody comes any more."""
        if self._timer is not None or not self._tabs:
            return
        age = time.monotonic() - next(iter(self._tabs.values())).used
        self._timer = threading.Timer(max(_KEPT_SECONDS - age, 0) + 1, self._forget_old)
        self._timer.daemon = True
        self._timer.start()


@st.cache_resource(show_spinner=False)
def _memory() -> TabMemory:
    return TabMemory()


def restore() -> None:
    """After a reload put back what the tab kept; call it before any widget is drawn."""
    st.session_state.setdefault(_TOKEN, secrets.token_urlsafe(16))
    found = (st.session_state.get(_KEY) or {}).get("token")
    if not found or found == st.session_state[_TOKEN]:
        return
    _memory().forget(st.session_state[_TOKEN])
    st.session_state[_TOKEN] = found
    for name, value in _memory().values(found).items():
        st.session_state[name] = value


def mount() -> None:
    """Let the tab say which one it is; draws nothing."""
    _component(
        key=_KEY,
        data={"token": st.session_state[_TOKEN]},
        default={"token": None},
        on_token_change=lambda: None,
        height=1,
    )


def keep(name: str, n_bytes: int = 0) -> None:
    """Keep what the session holds under a name now, also nothing."""
    if token := st.session_state.get(_TOKEN):
        _memory().keep(token, name, st.session_state.get(name), n_bytes)
