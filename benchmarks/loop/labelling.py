"""Whether the photographs that are chosen to be labelled teach more than random ones.

``python -m benchmarks.loop.labelling DATASET --model NAME`` takes photographs that the network has
not learned from, hides the labels of all but a few of one half, and has them labelled fifty at a
time, as chosen and at random. After each fifty a quick training's head is measured on the other
half.
"""

import argparse
from pathlib import Path

import numpy as np

from har_core.analysis.components import principal_components
from har_core.analysis.features import compute_features
from har_core.analysis.labelling import N_TO_LABEL, choose_to_label
from har_core.analysis.whole_set import group_numbers
from har_core.model.loading import find_model
from har_core.model.records import match_splits, read_splits
from har_core.scan.scanning import scan_dataset
from har_core.training.quick.head import fit_linear_head


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--start", type=int, default=75, help="labelled at the beginning")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    folder = find_model(arguments.model)
    photographs = scan_dataset(arguments.dataset)
    split = match_splits(photographs["sha256"], read_splits(folder))
    usable = photographs["pixels"].notna() & split.isin(["validation", "test"])
    photographs = photographs[usable & photographs["label"].ne("")].reset_index(drop=True)
    found = compute_features(folder, photographs)
    features = found.features[found.rows_of(photographs["sha256"].tolist())]
    labels, groups = photographs["label"].to_numpy(str), group_numbers(photographs)
    gains = []
    for seed in range(arguments.seeds):
        gain = replay(features, labels, groups, arguments.start, arguments.rounds, seed)
        print(f"seed {seed}: {', '.join(f'{100 * value:+.1f}' for value in gain)} points")
        gains.append(gain)
    means = 100 * np.mean(gains, axis=1)
    rng = np.random.default_rng(0)
    drawn = rng.choice(means, (10_000, len(means))).mean(axis=1)
    low, high = np.percentile(drawn, [2.5, 97.5])
    print(
        f"mean over {arguments.rounds} rounds of {N_TO_LABEL}: better in "
        f"{int((means > 0).sum())} of {len(means)} seeds, {means.mean():+.2f} points "
        f"(95 % interval {low:+.2f} to {high:+.2f}, bootstrap over seeds), {len(features):,} "
        "photographs"
    )


def replay(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    start: int,
    rounds: int,
    seed: int,
) -> list[float]:
    """Return by how much chosen labels beat random ones in top-1 accuracy, after each round."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))
    pool, held_out = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    held_out = held_out[~np.isin(groups[held_out], groups[pool])]
    components = principal_components(features[pool])
    classes, codes = np.unique(labels, return_inverse=True)

    def accuracy(known: np.ndarray) -> float:
        taught = pool[known]
        assert len(np.unique(codes[taught])) == len(classes)
        head = fit_linear_head(features[taught], codes[taught])
        said = head.probabilities(features[held_out]).argmax(axis=1)
        return float((said == codes[held_out]).mean())

    known = {"chosen": np.arange(start), "random": np.arange(start)}
    gains = []
    for _ in range(rounds):
        visible = np.full(len(pool), "", dtype=labels.dtype)
        visible[known["chosen"]] = labels[pool[known["chosen"]]]
        chosen = choose_to_label(components, visible, groups[pool]).rows
        hidden = np.setdiff1d(np.arange(len(pool)), known["random"])
        drawn = rng.choice(hidden, len(chosen), replace=False)
        known = {
            "chosen": np.append(known["chosen"], chosen),
            "random": np.append(known["random"], drawn),
        }
        gains.append(accuracy(known["chosen"]) - accuracy(known["random"]))
    return gains


if __name__ == "__main__":
    main()
