"""Times ``keras.Model.predict`` on one picture, as often as each line of the input says.

python -m benchmarks.peers.keras_predict model.keras
"""

import sys
import time

import keras
import numpy as np

network = keras.models.load_model(sys.argv[1])
pixels = np.random.default_rng(0).uniform(-1, 1, (1, *network.input_shape[1:])).astype(np.float32)
for line in sys.stdin:
    times = []
    for _ in range(int(line)):
        start = time.perf_counter()
        network.predict(pixels, verbose=0)
        times.append(time.perf_counter() - start)
    print(*times, flush=True)
