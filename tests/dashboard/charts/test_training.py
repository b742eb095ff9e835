"""The charts of a training run."""

from dashboard.charts.training import training_curves


def test_axis_of_shares_ends_where_shares_do_also_where_all_are_right() -> None:
    rows = [{"training_loss": 0.1, "training_top1": 1.0, "validation_top1": 1.0}] * 2
    ends = training_curves(rows).layout.yaxis2.autorangeoptions
    assert -0.1 < ends.minallowed < 0
    assert 1 < ends.maxallowed < 1.1  # a point at 100 % is drawn whole
