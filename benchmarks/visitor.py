"""A visitor of the pages without a browser: speaks with the server as the pages' script does."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

Value = str | bool | float
# What a browser sends of a widget: the field, and whether it is a list of one.
_SENT_AS: Final = {
    "button_group": ("string_array_value", True),
    "selectbox": ("string_value", False),
    "text_input": ("string_value", False),
    "checkbox": ("bool_value", False),
    "slider": ("double_array_value", True),
    "plotly_chart": ("string_value", False),
    "pagination": ("int_value", False),
    "button": ("trigger_value", False),
}


class Visitor:
    """One visitor's connection: what the page shows now, and what was set.

    Parameters
    ----------
    url : str
        Of a running dashboard.
    page : str
        Name of a page, as in its address.
    query : str
        Of that address, without ``?``.

    Attributes
    ----------
    seconds : float
        Until the server had sent all of the page.
    """

    def __init__(self, url: str, page: str, query: str = "") -> None:
        address = url.replace("http", "ws", 1) + "/_stcore/stream"
        self._socket = connect(address, max_size=None, compression=None)
        self._query = query
        self._page_hash = ""
        self._kept: dict[str, ForwardMsg] = {}
        self._shown: dict[tuple[int, ...], Any] = {}
        self._set: dict[str, WidgetState] = {}
        self.seconds = self._run(self._request(page_name=page))

    def __enter__(self) -> Self:
        """Return the visitor."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Go away."""
        self._socket.close()

    def options(self, key: str) -> Sequence[str]:
        """Return what a widget offers, as people read it."""
        name, widget, _ = self._widget(key)
        if name == "button_group":
            return [option.content for option in widget.options]
        return list(widget.options)

    def change(self, key: str, value: Value) -> float:
        """Set a widget, and return the seconds until the server has sent all that changes.

        As in a browser, a widget in a fragment runs this alone.

        Raises
        ------
        RuntimeError
            If the page shows an exception.
        """
        name, widget, fragment = self._widget(key)
        field, is_list = _SENT_AS[name]
        state = WidgetState(id=widget.id)
        if is_list:
            getattr(state, field).data.append(value)
        else:
            setattr(state, field, value)
        self._set[widget.id] = state
        request = self._request(fragment_id=fragment)
        if name == "button":  # which is pressed once
            del self._set[widget.id]
        return self._run(request)

    def _widget(self, key: str) -> tuple[str, Any, str]:
        for delta in self._shown.values():
            name = delta.new_element.WhichOneof("type")
            widget = getattr(delta.new_element, name) if name else None
            if widget is not None and getattr(widget, "id", "").endswith(f"-{key}"):
                return name, widget, delta.fragment_id
        raise KeyError(key)

    def _request(self, **fields: str) -> bytes:
        message = BackMsg()
        run = message.rerun_script
        run.query_string = self._query
        run.page_script_hash = self._page_hash
        run.widget_states.widgets.extend(self._set.values())
        run.cached_message_hashes.extend(self._kept)
        for name, value in fields.items():
            setattr(run, name, value)
        return message.SerializeToString()

    def _run(self, request: bytes) -> float:
        start = time.perf_counter()
        self._socket.send(request)
        messages = []
        while True:
            messages.append(ForwardMsg.FromString(self._socket.recv(decode=False)))
            if (
                messages[-1].WhichOneof("type") == "script_finished"
                and messages[-1].script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
            ):
                break
        seconds = time.perf_counter() - start
        if messages[-1].script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            self._shown = {}  # all is drawn again, not a fragment
        for message in messages:
            self._take(message)
        return seconds

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            path = message.metadata.delta_path
            message = ForwardMsg.FromString(self._kept[message.ref_hash].SerializeToString())
            message.metadata.delta_path[:] = path
            kind = message.WhichOneof("type")
        elif message.metadata.cacheable:
            self._kept[message.hash] = message
        if kind == "navigation":
            self._page_hash = message.navigation.page_script_hash
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "delta":
            shown = message.delta.new_element
            if shown.WhichOneof("type") == "exception":
                raise RuntimeError(shown.exception.message)
            self._shown[tuple(message.metadata.delta_path)] = message.delta
