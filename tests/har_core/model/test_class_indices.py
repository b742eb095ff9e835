import json

import pytest

from har_core.errors import ModelBundleError
from har_core.model.class_indices import (
    format_class_indices,
    parse_class_indices,
    read_class_indices,
)

NAMES = ("calling", "clapping", "using_laptop")


@pytest.mark.parametrize(
    "mapping",
    [
        {"0": "calling", "1": "clapping", "2": "using_laptop"},
        {"2": "using_laptop", "0": "calling", "1": "clapping"},
        {"calling": 0, "clapping": 1, "using_laptop": 2},
        {"using_laptop": 2, "clapping": 1, "calling": 0},
    ],
)
def test_both_orders_give_names_in_output_order(mapping, tmp_path):
    path = tmp_path / "class_indices.json"
    path.write_text(json.dumps(mapping))
    assert read_class_indices(path) == NAMES


def test_ten_classes_and_more_are_ordered_by_number_not_by_text():
    names = tuple(f"class {i}" for i in range(12))
    mapping = {str(i): names[i] for i in sorted(range(12), key=str)}
    assert parse_class_indices(mapping) == names


def test_what_is_written_is_read_back(tmp_path):
    names = ("laufen", "schläft", "走る")
    path = tmp_path / "class_indices.json"
    path.write_text(format_class_indices(names))
    assert read_class_indices(path) == names


def test_names_that_are_numbers_belong_to_their_index():
    assert parse_class_indices({"7": 0, "3": 1}) == ("7", "3")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "calling\r\nclapping\r\ncycling\r\n"),
        ("labels.txt", "0 calling\n1 clapping\n2 cycling\n"),  # Teachable Machine
        ("names.json", '["calling", "clapping", "cycling"]'),
        ("config.json", '{"id2label": {"1": "clapping", "0": "calling", "2": "cycling"}, "a": 1}'),
    ],
)
def test_names_in_the_files_of_other_tools_are_read(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    assert read_class_indices(tmp_path / name) == ("calling", "clapping", "cycling")


@pytest.mark.parametrize(
    "names", [("1 hand", "2 hands"), ("0 people", "1 person", "2 people"), ("0 calling", "2 b")]
)
def test_numbers_that_are_no_indices_stay_part_of_the_names(names, tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(names))
    assert read_class_indices(tmp_path / "labels.txt") == names


def test_file_in_another_encoding_is_refused_with_advice(tmp_path):
    (tmp_path / "labels.txt").write_bytes("läuft\n".encode("utf-16"))
    with pytest.raises(ModelBundleError, match="no text in UTF-8; save it"):
        read_class_indices(tmp_path / "labels.txt")


def test_byte_order_mark_of_windows_is_skipped(tmp_path):
    path = tmp_path / "class_indices.json"
    path.write_bytes(b"\xef\xbb\xbf" + format_class_indices(NAMES).encode())
    assert read_class_indices(path) == NAMES


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "must be a JSON object"),
        (["calling", 3], "must be a JSON object"),
        (["calling", "calling"], "repeated class names"),
        (None, "must be a JSON object"),
        ({"0": "calling", "2": "clapping"}, r"each index from 0 to 1 once.*\[0, 2\]"),
        ({"1": "calling", "2": "clapping"}, "each index from 0"),
        ({"calling": 0, "clapping": 0}, "each index from 0"),
        ({"calling": -1, "clapping": 0}, "each index from 0"),
        ({"0": "calling", "00": "clapping"}, "each index from 0"),
        ({"0": "calling", "1": "calling"}, "repeated class names"),
        ({"0": "calling", "1": " "}, "empty or repeated"),
        ({"0": "calling", "1": 1}, "must map indices to names"),
        ({"calling": 0.0, "clapping": 1.0}, "must map indices to names"),
        ({"calling": False, "clapping": True}, "must map indices to names"),
        ({"calling": [0], "clapping": [1]}, "must map indices to names"),
    ],
)
def test_mapping_that_leaves_a_doubt_is_refused(mapping, message):
    with pytest.raises(ModelBundleError, match=message):
        parse_class_indices(mapping, source="indices.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, b'{"0": "calling", "0": "clapping"}'],
)
def test_damaged_file_is_refused_by_its_name(content, tmp_path):
    path = tmp_path / "class_indices.json"
    path.write_bytes(content)
    with pytest.raises(ModelBundleError, match=r"class_indices\.json"):
        read_class_indices(path)


def test_missing_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(ModelBundleError, match=r"no\.json"):
        read_class_indices(tmp_path / "no.json")
