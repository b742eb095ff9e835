"""What to label next: between two classes, unlike what is known, and no copies."""

import numpy as np

from har_core.analysis.labelling import choose_to_label


def test_doubtful_ones_that_differ_come_first() -> None:
    height = np.linspace(-3, 3, 20)
    left, right = (np.stack([np.full(20, x), height], axis=1) for x in (-3.0, 3.0))
    between = np.array([[0.0, -3.0], [0.0, 0.0], [0.0, 0.01], [0.0, 3.0]])
    features = np.concatenate([left[::2], left[1::2], right[::2], right[1::2], between])
    labels = np.array(["run"] * 10 + [""] * 10 + ["sit"] * 10 + [""] * 10 + [""] * 4)
    choice = choose_to_label(features, labels, np.arange(44), n=3)
    assert {40, 43} < set(choice.rows)  # of the two that are alike only one
    assert len({41, 42} & set(choice.rows)) == 1
    assert (np.diff(choice.margins) >= 0).all()
    assert choice.class_names.tolist() == ["run", "sit"]
    assert choice.probabilities.shape == (3, 2)
    torn = np.full((44, 2), 0.5)  # a model's answers, which do not count beside labels
    assert choose_to_label(features, labels, np.arange(44), torn, n=3).rows.tolist() == [
        *choice.rows
    ]
    everything = choose_to_label(features, labels, np.arange(44), n=100)
    assert sorted(everything.rows) == np.flatnonzero(labels == "").tolist()


def test_copies_are_asked_about_once_and_those_of_labelled_ones_never() -> None:
    features = np.arange(8, dtype=np.float32)[:, np.newaxis]
    labels = np.array(["run", "", "", "", "sit", "", "", ""])
    groups = np.array([0, 0, 1, 1, 2, 3, 4, 5])
    chosen = set(choose_to_label(features, labels, groups, n=50).rows)
    assert 1 not in chosen
    assert len(chosen & {2, 3}) == 1
    assert {5, 6, 7} < chosen


def test_without_labels_a_models_margins_count_or_nothing_does() -> None:
    features = np.arange(4, dtype=np.float32)[:, np.newaxis]
    labels, groups = np.array([""] * 4), np.arange(4)
    said = np.array([[0.9, 0.1], [0.5, 0.5], [0.8, 0.2], [0.6, 0.4]])
    choice = choose_to_label(features, labels, groups, said, n=1)
    assert choice.rows.tolist() == [1]
    assert choice.margins.tolist() == [0.0]
    choice = choose_to_label(features, labels, groups, n=2)
    assert len(choice.rows) == 2
    assert np.isnan(choice.margins).all()
    assert choice.probabilities.shape == (2, 0)
    labelled = np.array(["run"] * 4)
    assert not len(choose_to_label(features, labelled, groups).rows)


def test_of_photographs_that_look_the_same_each_is_chosen_once() -> None:
    features, groups = np.zeros((60, 4), np.float32), np.arange(60)
    choice = choose_to_label(features, np.array([""] * 60), groups, n=20)
    assert len(set(choice.rows)) == len(choice.rows) == 20
    labels = np.array(["run"] * 5 + ["sit"] * 5 + [""] * 50)
    choice = choose_to_label(features, labels, groups, n=20)
    assert len(set(choice.rows)) == len(choice.rows) == 20
