import pytest

from har_core.exports import neutralise_formula


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_a_spreadsheet_would_run_is_made_literal(start):
    assert neutralise_formula(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("cell", ["", "photo.jpg", "a=b", "Zoë-1.png", "'=1"])
def test_other_text_is_unchanged(cell):
    assert neutralise_formula(cell) == cell
