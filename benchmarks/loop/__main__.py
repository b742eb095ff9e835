"""How good is the loop? Wrong labels planted, found by the review queue, and learned from.

``python -m benchmarks.loop DATASET --model NAME`` flips labels of training photographs at
random, and measures how many of them the first of the queue hold, against cleanlab on the same
probabilities; then what quick training makes of the wrong, the reviewed and the original labels.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

from har_core.analysis.components import principal_components
from har_core.analysis.features import compute_features
from har_core.analysis.neighbours import nearest_others
from har_core.analysis.opinions import collect_opinions
from har_core.analysis.review import review_queue
from har_core.analysis.suspects import cross_validated_probabilities
from har_core.analysis.whole_set import Analysis, group_numbers
from har_core.model.loading import find_model
from har_core.model.manifest import read_manifest
from har_core.model.records import match_splits, read_splits
from har_core.model.temperature import apply_temperature
from har_core.scan.scanning import scan_dataset
from har_core.training.quick.head import fit_linear_head


def flip_labels(photographs: pd.DataFrame, n: int, seed: int) -> pd.Series:
    """Return the labels with `n` of those of training photographs made another class's."""
    rng = np.random.default_rng(seed)
    labels = photographs["label"].copy()
    rows = rng.choice(np.flatnonzero(photographs["split"].eq("train")), n, replace=False)
    classes = np.array(sorted(labels.unique()))
    for row in rows:
        labels.iloc[row] = rng.choice(classes[classes != labels.iloc[row]])
    return labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--flips", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    folder = find_model(arguments.model)
    manifest, splits = read_manifest(folder), read_splits(folder)
    photographs = scan_dataset(arguments.dataset)
    photographs["split"] = match_splits(photographs["sha256"], splits)
    usable = photographs[
        photographs["pixels"].notna() & photographs["split"].isin(["train", "test"])
    ]
    usable = usable.reset_index(drop=True)
    features = compute_features(folder, usable)
    rows = features.rows_of(usable["sha256"].tolist())
    vectors = features.features[rows]
    components = principal_components(vectors)
    own = apply_temperature(features.probabilities[rows], manifest.temperature)
    print(f"{len(usable):,} photographs, {manifest.name}, {arguments.flips} labels flipped")
    for seed in range(arguments.seeds):
        wrong = usable.assign(label=flip_labels(usable, arguments.flips, seed))
        measure(folder, usable, wrong, vectors, components, own, arguments.flips)


def measure(
    folder: Path,
    original: pd.DataFrame,
    wrong: pd.DataFrame,
    vectors: np.ndarray,
    components: np.ndarray,
    own: np.ndarray,
    n: int,
) -> None:
    from cleanlab.filter import find_label_issues

    flipped = (original["label"] != wrong["label"]).to_numpy()
    train = original["split"].eq("train").to_numpy()
    started = time.perf_counter()
    probabilities, class_names = cross_validated_probabilities(
        vectors, wrong["label"].to_numpy(str), group_numbers(wrong)
    )
    print(f"cross-validation: {time.perf_counter() - started:.0f} s")
    table = pd.DataFrame(index=wrong.index)
    every = np.arange(len(wrong))
    nearest = nearest_others(components, every, group_numbers(wrong), every)
    analysis = Analysis(table, probabilities, every, class_names, own, components, nearest)
    started = time.perf_counter()
    queue = review_queue(wrong, collect_opinions(wrong, analysis, folder), {})
    print(f"queue: {time.perf_counter() - started:.0f} s, {len(queue):,} photographs")
    order = queue.index[train[queue.index]].to_numpy()[:n]
    codes = np.searchsorted(class_names, wrong["label"].to_numpy(str))
    ranked = find_label_issues(codes, probabilities, return_indices_ranked_by="self_confidence")
    theirs = ranked[train[ranked]][:n]
    ours, cleanlabs = flipped[order].mean(), flipped[theirs].mean()
    print(f"precision at {n}: queue {ours:.3f}, cleanlab {cleanlabs:.3f}")
    agreed = queue.loc[order][queue.loc[order, "agreed"]]
    right = agreed["suggested"] == original.loc[agreed.index, "label"]
    share = right[flipped[agreed.index]].mean()
    print(
        f"of {len(agreed)} agreed suggestions among them, {share:.3f} of the flipped are the truth"
    )
    reviewed = wrong["label"].mask(wrong.index.isin(order), original["label"])
    for title, labels in (
        ("wrong", wrong["label"]),
        ("reviewed", reviewed),
        ("original", original["label"]),
    ):
        of_class = np.searchsorted(class_names, labels.to_numpy(str))
        started = time.perf_counter()
        head = fit_linear_head(vectors[train], of_class[train])
        test = ~train
        truth = np.searchsorted(class_names, original["label"].to_numpy(str)[test])
        top1 = (head.probabilities(vectors[test]).argmax(axis=1) == truth).mean()
        seconds = time.perf_counter() - started
        print(f"{title} labels: top-1 {top1:.4f} on {test.sum():,}, {seconds:.0f} s")


if __name__ == "__main__":
    main()
