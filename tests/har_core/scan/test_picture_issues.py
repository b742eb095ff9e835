"""What is wrong with photographs as pictures."""

import pandas as pd

from har_core.scan.picture_issues import OddSize


def test_where_all_pictures_have_one_size_any_other_is_odd() -> None:
    """There the quartiles are one, and no size lies three of their distances off."""
    sizes = pd.DataFrame({"pixels": "digest", "width": [100] * 10 + [105], "height": 100})
    for n, expected in ((11, [False] * 10 + [True]), (10, [False] * 10)):
        _, found = OddSize().find(sizes.head(n))
        assert found.tolist() == expected
