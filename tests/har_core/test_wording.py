from har_core.wording import are, counted


def test_a_number_stands_before_its_noun():
    assert counted(1, "row") == "1 row"
    assert counted(0, "row") == "0 rows"
    assert counted(1204, "row has", "rows have") == "1,204 rows have"
    assert [are(n) for n in (0, 1, 2)] == ["are", "is", "are"]
