"""Fixtures of the page tests, and of others that run a page."""

import functools
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner

_scan_once = functools.cache(manifest_scanner.scan_component_manifests)


@pytest.fixture(scope="package", autouse=True)
def installed_components_are_searched_once() -> Iterator[None]:
    """Each `AppTest` reads the metadata of all installed packages, which takes half its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", _scan_once)
        yield
