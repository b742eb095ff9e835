import runpy
from pathlib import Path

from streamlit.testing.v1 import AppTest

from tests.patience import PATIENCE_S

SCRIPT = Path(__file__).parents[2] / "dashboard" / "navigation.py"


def test_the_page_says_what_this_is_and_what_it_must_not_be_used_for(tiny_models):
    app = AppTest.from_file(str(SCRIPT), default_timeout=PATIENCE_S).run()
    app.switch_page("../pages/about.py").run()
    assert not app.exception
    text = "\n".join(element.value for element in app.markdown)
    assert app.title[0].value == "What is Gerund?"
    assert "must not be used to judge or to watch people" in text
    assert "It tells apart: clapping, running, sitting." in text
    assert len(text.split()) < 250


def test_a_worker_process_of_a_scan_can_import_the_running_script():
    """Python runs the main script of the server anew in each, under this name."""
    assert "show" in runpy.run_path(str(SCRIPT), run_name="__mp_main__")
