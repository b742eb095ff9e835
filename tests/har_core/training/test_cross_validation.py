"""Labels are judged by what was learned without them, and without their copies."""

import io
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd

from har_core.training.cross_validation import cross_validate


def test_a_copy_with_the_same_wrong_label_vouches_for_none() -> None:
    n = 40
    group = np.arange(n)
    group[[20, 21]] = 20  # one photograph and its copy, both running and both called sitting
    label = np.array(["running", "sitting"]).repeat(n // 2)
    split = np.resize(["train", "validation", "train", "test"], n)
    split[[20, 21]] = "train"
    seen = np.where(np.isin(group, 20), "running", label)
    # What both are known by, besides what is seen of running.
    features = np.stack([seen == "running", seen == "sitting", np.isin(group, 20) * 3], axis=1)
    table = pd.DataFrame({"filename": [f"{i}.jpg" for i in range(n)], "label": label})
    table = table.assign(sha256=[f"{i:064}" for i in range(n)], duplicate_group=group)
    rows = {name: np.flatnonzero(split == name) for name in ("train", "validation", "test")}
    prepared = cast(Any, SimpleNamespace(table=table, rows_of=rows.__getitem__))
    order = np.concatenate(list(rows.values()))
    record = cross_validate(
        prepared, lambda: features[order].astype(np.float32), origin=None, teachers=()
    )
    assert record is not None
    judged = pd.read_parquet(io.BytesIO(record))
    assert judged["filename"].tolist() == table["filename"].tolist()
    assert (judged["running"] > 0.5).tolist() == (seen == "running").tolist()
