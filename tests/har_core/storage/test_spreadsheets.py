import pandas as pd
import pytest

from har_core.storage.spreadsheets import (
    escape_formula,
    neutralise_formula,
    restore_formula,
    table_csv,
)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_a_spreadsheet_would_run_is_made_literal(start):
    assert neutralise_formula(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("cell", ["", "photo.jpg", "a=b", "Zoë-1.png", "'=1", "-0.5", "+2e-3"])
def test_other_text_is_unchanged(cell):
    assert neutralise_formula(cell) == cell


@pytest.mark.parametrize(
    "cell",
    ["=1.jpg", "'=1.jpg", "''=1.jpg", "-x.jpg", "-5", "'-5", "'n'.jpg", "'", "photo.jpg", ""],
)
def test_what_was_made_literal_is_read_as_it_was(cell):
    escaped = escape_formula(cell)
    assert restore_formula(escaped) == cell
    assert neutralise_formula(escaped) == escaped


def test_a_table_keeps_its_numbers_and_loses_its_formulas():
    table = pd.DataFrame(
        [["=1+1", -0.5], ["Zoë, 1.jpg", 0.1 + 0.2], [None, 1]], columns=["name", "@share"]
    )
    assert table_csv(table).splitlines() == [
        "name,'@share",
        "'=1+1,-0.5",
        '"Zoë, 1.jpg",0.30000000000000004',
        ",1.0",
    ]
    assert list(table.columns) == ["name", "@share"]
    assert table["name"].tolist()[:2] == ["=1+1", "Zoë, 1.jpg"]


def test_columns_of_one_name_are_each_made_literal():
    table = pd.DataFrame([["=1+1", "@a"]], columns=["name", "name"])
    assert table_csv(table) == "name,name\n'=1+1,'@a\n"


def test_texts_that_differ_by_an_apostrophe_alone_stay_apart():
    table = pd.DataFrame({"=sum": ["=sum"], "'=sum": ["'=sum"]})
    assert table_csv(table) == "'=sum,''=sum\n'=sum,''=sum\n"
