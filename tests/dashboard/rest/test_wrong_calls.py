"""What is said of a wrong call, without a server."""

import io
import time

import pytest
from starlette.datastructures import FormData, UploadFile

from dashboard.rest.wrong_calls import explain_form


def photo(name: str = "a.jpg", content: bytes = b"x") -> UploadFile:
    return UploadFile(io.BytesIO(content), size=len(content), filename=name)


@pytest.mark.parametrize(
    "fields",
    [
        [("file", photo("")), ("model", "tiny"), ("model", "tiny")],
        [("file", photo(content=b""))],  # whose emptiness is told by what reads it
        [("file", photo()), ("user_id", "5")],
    ],
)
def test_photograph_with_what_disturbs_nothing_is_well(fields):
    assert explain_form(FormData(fields), "file", 1) == ""


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([("file", "  ")], "There is no file in the field 'file'; fields received: 'file'."),
        ([("file", photo()), ("file", "b.jpg")], "The field 'file' holds the text 'b.jpg'"),
        ([("file", "\xff\xd8\xff\xe0\0\x10JFIF")], "The part 'file' of the form has no filename"),
        ([("file", "B" * 5_000 + ".")], "The field 'file' holds the text 'BBB"),
        ([(f"{i}{'c' * 5_000}", photo()) for i in range(50)], "There is no file in the field"),
    ],
)
def test_what_disturbs_is_told_in_few_words(fields, says):
    said = explain_form(FormData(fields), "file", 1)
    assert said.startswith(says) and len(said) < 1_500


def test_long_text_that_is_nearly_base64_holds_nobody_up():
    text = "A" * 30_000 + "%3D"  # as an address has it
    before = time.process_time()
    said = explain_form(FormData([("file", text)]), "file", 1)
    assert said.startswith("The field 'file' holds the text 'AAAA")
    assert time.process_time() - before < 2
