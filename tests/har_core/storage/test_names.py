import os
from pathlib import Path

import pytest

from har_core.storage.names import one_line, printable, real_path, storable

LATIN1 = os.fsdecode(b"/photos/caf\xe9.jpg")


@pytest.mark.parametrize("name", ["plain.jpg", "Köln/東京 😀.jpg", "back\\slash.jpg", ""])
def test_unicode_names_stay_as_they_are(name):
    assert printable(name) == storable(name) == real_path(name) == name


def test_bytes_that_are_no_utf8_are_escaped_for_people():
    assert printable(LATIN1) == "/photos/caf%E9.jpg"


def test_a_stored_path_leads_back_to_its_file(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/K\xc3\xb6ln \xe9\xff.jpg")
    stored = storable(path)
    stored.encode()
    assert real_path(stored) == stored, "there is no such file yet"
    Path(path).symlink_to("nowhere")  # also what cannot be opened keeps its name
    assert real_path(stored) == path


def test_a_name_that_really_holds_private_characters_is_left_alone(tmp_path):
    path = tmp_path / "\uf7e9.jpg"
    path.touch()
    assert real_path(path) == str(path)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Köln 東京 😀.jpg", "Köln 東京 😀.jpg"),
        ("a\nb\tc.jpg", "a%0Ab%09c.jpg"),
        ("red\x1b[31m\x07.jpg", "red%1B[31m%07.jpg"),
        ("a\u2028\u200e\u2066b.jpg", "a%E2%80%A8%E2%80%8E%E2%81%A6b.jpg"),
        ("\u202egpj.exe", "%E2%80%AEgpj.exe"),
        ("\u061cgpj.exe", "%D8%9Cgpj.exe"),
        ("\x9b2J.jpg", "%C2%9B2J.jpg"),
    ],
)
def test_a_name_steers_no_terminal(name, shown):
    assert one_line(name) == shown
