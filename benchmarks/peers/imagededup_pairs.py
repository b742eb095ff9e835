"""Runs in an environment of imagededup's own: the near duplicates that it finds, and its time.

PYTHON benchmarks/peers/imagededup_pairs.py FOLDER WORKERS
"""

import json
import sys
import time

from imagededup.methods import PHash

if __name__ == "__main__":
    folder, workers = sys.argv[1], int(sys.argv[2])
    hasher = PHash(verbose=False)
    start = time.perf_counter()
    hashes = hasher.encode_images(folder, num_enc_workers=workers)
    middle = time.perf_counter()
    found = hasher.find_duplicates(encoding_map=hashes, num_dist_workers=workers)
    end = time.perf_counter()
    pairs = sorted({tuple(sorted((name, other))) for name in found for other in found[name]})
    print(json.dumps({"seconds": end - start, "search": end - middle, "pairs": pairs}))
