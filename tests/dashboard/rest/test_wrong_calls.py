"""What is said of a wrong call, without a server."""

import time

from starlette.datastructures import FormData

from dashboard.rest.wrong_calls import explain_form


def test_long_text_that_is_nearly_base64_holds_nobody_up():
    text = "A" * 30_000 + "%3D"  # as an address has it
    before = time.process_time()
    said = explain_form(FormData([("file", text)]), "file")
    assert said.startswith("The field 'file' holds the text 'AAAA")
    assert time.process_time() - before < 2
