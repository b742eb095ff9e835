"""What a page hands out and shows that an `AppTest` does not tell."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest


def handed_out(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], str]]:
    """Return what pages that run from now on offer to download, by its label, as last drawn."""
    files: dict[str, Callable[[], str]] = {}

    def offer(label: str, data: Any, **_: Any) -> None:
        def content() -> str:
            made = data() if callable(data) else data
            return made if isinstance(made, str) else made.decode()

        files[label] = content

    monkeypatch.setattr(st, "download_button", offer)
    return files


def tiles_of(page: AppTest, key: str) -> list[dict[str, Any]]:
    """Return what the gallery whose key begins so is told to draw."""
    (drawn,) = [
        component
        for component in page.get("bidi_component")
        if component.proto.component_name.endswith("har_gallery")
        and f"-{key}" in component.proto.id
    ]
    tiles: list[dict[str, Any]] = json.loads(drawn.proto.json)["tiles"]
    return tiles
