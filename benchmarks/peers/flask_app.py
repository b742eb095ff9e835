"""What the project replaces: a minimal Flask app that calls ``model.predict`` per request.

python -m benchmarks.peers.flask_app BUNDLE PORT
"""

import json
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
from flask import Flask, request
from PIL import Image

app = Flask(__name__)
folder = Path(sys.argv[1])
class_names = list(json.loads((folder / "class_indices.json").read_text()).values())
model = keras.models.load_model(folder / "model.keras")


@app.get("/health")
def health() -> dict[str, Any]:
    return {"status": "ready"}


@app.post("/predict")
def predict() -> dict[str, Any]:
    image = Image.open(request.files["file"].stream).convert("RGB").resize(model.input_shape[1:3])
    pixels = np.asarray(image, np.float32) / 127.5 - 1
    probabilities = model.predict(pixels[np.newaxis], verbose=0)[0]
    best = int(probabilities.argmax())
    return {
        "action": class_names[best],
        "confidence": float(probabilities[best]),
        "all_predictions": dict(zip(class_names, probabilities.tolist(), strict=True)),
    }


if __name__ == "__main__":
    app.run(port=int(sys.argv[2]), threaded=True)
