"""Scan, duplicates and analysis against the programs that look for the same: time and findings.

    python -m benchmarks.peers.findings DATASET [--sample N] [--workers N] [--rounds N]
                                  [--imagededup PYTHON] [--fastdup PYTHON]

The same photographs, the same workers, in turns; the best time of each counts. imagededup needs
PyTorch and fastdup NumPy 1, so each runs in an environment of its own, whose Python is named.
Labels and outliers are judged by the same features, which are made before.
"""

import argparse
import itertools
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.bench_scan import copy_sample, seconds_of
from har_core.analysis.components import principal_components
from har_core.analysis.features import compute_features
from har_core.analysis.outliers import find_outliers, score_outliers
from har_core.analysis.suspects import cross_validated_probabilities, find_label_suspects
from har_core.analysis.whole_set import group_numbers
from har_core.dataset.duplicates import pairs_of_thumbnails
from har_core.images.decoding import decode_image
from har_core.images.fingerprints import grey_thumbnail
from har_core.model.loading import find_model
from har_core.scan.scanning import list_rows, scan_dataset
from tests.dashboard_process import ROOT

KINDS = ("dark", "light", "blurry", "low_information", "odd_size", "odd_aspect_ratio", "grayscale")


def main() -> None:
    """Print both tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--sample", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--imagededup", type=Path, help="Python of its environment")
    parser.add_argument("--fastdup", type=Path, help="Python of its environment")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HAR_CACHE_DIR"] = temporary
        dataset = copy_sample(arguments.dataset, arguments.sample, Path(temporary) / "sample")
        times, findings = compare_scans(dataset, arguments)
        more_times, more_findings = compare_analyses(scan_dataset(dataset), arguments.rounds)
    print(f"{arguments.sample} photographs, {arguments.workers} workers, load {os.getloadavg()[0]}")
    for table in (times + more_times, findings + more_findings):
        print(pd.DataFrame(table).to_markdown(index=False, floatfmt=".2f"), end="\n\n")


def compare_scans(dataset: Path, arguments: argparse.Namespace) -> tuple[list[dict], list[dict]]:
    """Compare a whole scan with cleanvision and fastdup, and with imagededup's duplicates."""
    from cleanvision import Imagelab

    paths = sorted(list_rows(dataset)["path"].dropna())
    taken: defaultdict[str, list[float]] = defaultdict(list)
    pairs_of: dict[str, set[frozenset]] = {}
    for number in range(arguments.rounds):
        lab = Imagelab(filepaths=paths, verbose=False)
        cache = dataset.parent / f"{number}.sqlite"

        def scan(cache: Path = cache) -> None:
            scan_dataset(dataset, workers=arguments.workers, cache=cache)

        def find(lab: Imagelab = lab) -> None:
            lab.find_issues(n_jobs=arguments.workers, verbose=False)

        taken["scan"].append(seconds_of(scan))
        taken["cleanvision"].append(seconds_of(find))
        for peer in ("imagededup", "fastdup"):
            if python := getattr(arguments, peer):
                said = _said_by(peer, python, dataset / "train", arguments.workers)
                taken[peer].append(said["seconds"])
                taken[f"{peer}'s search"].append(said.get("search", np.nan))
                pairs_of[peer] = {frozenset(pair) for pair in said["pairs"]}
        if arguments.imagededup:
            start = time.perf_counter()
            thumbnails = thumbnails_of(paths, arguments.workers)
            middle = time.perf_counter()
            pairs_of_thumbnails(thumbnails)
            end = time.perf_counter()
            taken["duplicates"].append(end - start)
            taken["search"].append(end - middle)
    rows = scan_dataset(dataset, cache=cache).set_index("path")
    found = [
        _agreement(
            "cleanvision",
            kind,
            set(rows.index[rows[f"is_{kind}_issue"]]),
            set(lab.issues.index[lab.issues[f"is_{kind}_issue"]]),
        )
        for kind in KINDS
    ]
    sets = [lab.info[kind]["sets"] for kind in ("exact_duplicates", "near_duplicates")]
    ours = _pairs(rows.groupby("duplicate_group").groups.values())
    exact = _pairs(rows.groupby("pixels").groups.values())
    found.append(
        _agreement(
            "cleanvision", "pairs of duplicates", ours | exact, _pairs(itertools.chain(*sets))
        )
    )
    named = {frozenset(Path(path).name for path in pair) for pair in ours | exact}
    found += [
        _agreement(peer, "pairs of duplicates", named, theirs) for peer, theirs in pairs_of.items()
    ]
    times = [
        _time("scan, 16 kinds", "cleanvision, default kinds", taken["scan"], taken["cleanvision"])
    ]
    if arguments.fastdup:
        times.append(_time("scan, 16 kinds", "fastdup, its run", taken["scan"], taken["fastdup"]))
    if arguments.imagededup:
        peer = "imagededup, PHash"
        times += [
            _time("scan, 16 kinds", f"{peer}, duplicates", taken["scan"], taken["imagededup"]),
            _time(
                "duplicates alone", f"{peer}, duplicates", taken["duplicates"], taken["imagededup"]
            ),
            _time("search alone", f"{peer}: search", taken["search"], taken["imagededup's search"]),
        ]
    return times, found


def _said_by(peer: str, python: Path, folder: Path, workers: int) -> dict:
    script = ROOT / "benchmarks" / "peers" / f"{peer}_pairs.py"
    done = subprocess.run(
        [python, script, folder, str(workers)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare_analyses(photographs: pd.DataFrame, rounds: int) -> tuple[list[dict], list[dict]]:
    """Compare doubtful labels and outliers with cleanlab's, by the same features."""
    from cleanlab.classification import CleanLearning
    from cleanlab.outlier import OutOfDistribution

    photographs = photographs[photographs["pixels"].notna() & photographs["label"].ne("")]
    photographs = photographs.reset_index(drop=True)
    features = compute_features(find_model(), photographs)
    vectors = features.features[features.rows_of(photographs["sha256"])]
    labels = photographs["label"].to_numpy(dtype=str)
    groups = group_numbers(photographs)
    results: dict[str, np.ndarray] = {}

    def our_labels() -> None:
        probabilities, names = cross_validated_probabilities(vectors, labels, groups)
        found = find_label_suspects(pd.Series(labels), probabilities, names.tolist(), groups)
        ranking = found.ranking
        results["our labels"] = ranking.index[ranking["is_label_issue"]].to_numpy()

    def our_outliers() -> None:
        results["our outliers"] = find_outliers(score_outliers(principal_components(vectors)))

    def their_labels() -> None:
        issues = CleanLearning(seed=0).find_label_issues(
            vectors, np.unique(labels, return_inverse=True)[1]
        )
        results["their labels"] = issues["is_label_issue"].to_numpy()

    def their_outliers() -> None:
        scores = OutOfDistribution().fit_score(features=vectors, verbose=False)
        results["their outliers"] = find_outliers(np.asarray(scores))

    steps = (our_labels, their_labels, our_outliers, their_outliers)
    taken: dict[str, list[float]] = {step.__name__: [] for step in steps}
    for _, step in itertools.product(range(rounds + 1), steps):
        taken[step.__name__].append(seconds_of(step))
    agreements = [
        _agreement(
            "cleanlab",
            "doubtful labels",
            set(results["our labels"]),
            set(np.flatnonzero(results["their labels"])),
        ),
        _agreement(
            "cleanlab",
            "outliers",
            set(np.flatnonzero(results["our outliers"])),
            set(np.flatnonzero(results["their outliers"])),
        ),
    ]
    times = [
        _time(
            "doubtful labels, cross-validated",
            "cleanlab, CleanLearning",
            taken["our_labels"],
            taken["their_labels"],
        ),
        _time(
            "outliers",
            "cleanlab, OutOfDistribution",
            taken["our_outliers"],
            taken["their_outliers"],
        ),
    ]
    return times, agreements


def thumbnails_of(paths: list[str], workers: int) -> np.ndarray:
    """Return what duplicates are found by, uint8 (N, 1024); decoding leaves the interpreter."""
    with ThreadPoolExecutor(workers) as pool:
        return np.stack([*pool.map(_thumbnail, paths)])


def _thumbnail(path: str) -> np.ndarray:
    return grey_thumbnail(decode_image(Path(path).read_bytes()))


def _pairs(groups: Iterable[Iterable[str]]) -> set[frozenset]:
    return {frozenset(pair) for group in groups for pair in itertools.combinations(group, 2)}


def _agreement(peer: str, what: str, ours: set, theirs: set) -> dict:
    return {
        "peer": peer,
        "what": what,
        "both": len(ours & theirs),
        "only ours": len(ours - theirs),
        "only theirs": len(theirs - ours),
    }


def _time(what: str, peer: str, ours: list[float], theirs: list[float]) -> dict:
    a, b = min(ours), min(theirs)
    return {"what": what, "against": peer, "ours, s": a, "theirs, s": b, "times as fast": b / a}


if __name__ == "__main__":
    main()
