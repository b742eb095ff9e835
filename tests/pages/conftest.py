"""Fixtures of the page tests, and of others that run a page."""

import functools
from collections.abc import Iterator

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.scriptrunner.script_cache import ScriptCache
from streamlit.testing.v1 import app_test, local_script_runner

_scan_once = functools.cache(manifest_scanner.scan_component_manifests)
_compiled = ScriptCache()


@pytest.fixture(scope="package", autouse=True)
def installed_components_are_searched_once() -> Iterator[None]:
    """Each `AppTest` reads the metadata of all installed packages, which takes half its time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", _scan_once)
        yield


@pytest.fixture(scope="package", autouse=True)
def pages_are_compiled_once() -> Iterator[None]:
    """Each run of an `AppTest` compiles the page, which a server does once."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (app_test, local_script_runner):
            patch.setattr(module, "ScriptCache", lambda: _compiled)
        yield
