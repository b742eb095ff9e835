"""Charts of a dataset hold what they are given: nothing, or classes whose names look alike."""

import pandas as pd

from dashboard.charts.dataset import (
    class_balance,
    distribution_by_class,
    noise_by_class,
    size_scatter,
)

ALIKE = ["using laptop", "using_laptop"]


def test_classes_that_read_alike_stay_apart() -> None:
    counts = pd.DataFrame({"photographs": [3, 2]}, index=ALIKE)
    values = pd.Series([1.0, 2.0, 3.0, 4.0])
    labels = pd.Series(ALIKE * 2)
    shares = {key: [0.1, 0.2] for key in ("noise", "noise_low", "noise_high")}
    noise = pd.DataFrame({"photographs": [30, 20], **shares}, index=ALIKE)
    for figure in (
        class_balance(counts),
        distribution_by_class(values, labels, title="Kilobytes"),
        noise_by_class(noise),
    ):
        assert sorted(figure.data[0].y) == ALIKE


def test_distribution_without_a_labelled_photograph_is_empty() -> None:
    figure = distribution_by_class(pd.Series([1.0]), pd.Series([""]), title="Kilobytes")
    assert len(figure.data[0].y) == 0


def test_sizes_are_compared_with_the_given_network() -> None:
    photographs = pd.DataFrame({"width": [300], "height": [200], "label": ["running"]})
    assert "160 px" in size_scatter(photographs, input_side=160).layout.annotations[0].text
    assert not size_scatter(photographs).layout.annotations
