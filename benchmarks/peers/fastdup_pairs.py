"""Runs in an environment of fastdup's own: the near duplicates that it finds, and its time.

PYTHON benchmarks/peers/fastdup_pairs.py FOLDER WORKERS
"""

import contextlib
import json
import sys
import tempfile
import time
from pathlib import Path

import fastdup

SIMILAR = 0.96  # from where on fastdup's own components count photographs as duplicates

if __name__ == "__main__":
    folder, workers = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
        start = time.perf_counter()
        run = fastdup.create(work_dir=work, input_dir=folder)
        run.run(num_threads=workers, overwrite=True)
        seconds = time.perf_counter() - start
        alike = run.similarity().to_dict("records")
    pairs = {
        tuple(sorted(Path(row[f"filename_{end}"]).name for end in ("from", "to")))
        for row in alike
        if row["distance"] >= SIMILAR
    }
    print(json.dumps({"seconds": seconds, "pairs": sorted(pairs)}))
