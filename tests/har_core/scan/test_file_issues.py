"""What is wrong with photographs as files."""

import numpy as np
import pandas as pd

from har_core.scan.file_issues import Damaged, WrongExtension


def test_a_damage_of_which_nothing_is_seen_is_a_finding() -> None:
    scores, found = Damaged().find(pd.DataFrame({"damage": [None, 0.0, 0.3]}))
    np.testing.assert_allclose(scores, [1, 0.99, 0.7])
    assert found.tolist() == [False, True, True]


def test_name_without_an_extension_promises_no_format() -> None:
    names = ["a.jpg", "a.JPEG", "a.png", "s3://b.c/a", "a.jpg", "a.jpg"]
    content = ["JPEG", "JPEG", "JPEG", "JPEG", "a web page (HTML)", None]
    _, found = WrongExtension().find(pd.DataFrame({"filename": names, "content": content}))
    assert found.tolist() == [False, False, True, False, True, False]
