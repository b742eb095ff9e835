"""What a folder on Hugging Face's hub holds beside the network: model card and configuration."""

import json
from pathlib import Path
from typing import Any, Final

from har_core.images.preprocessing import Preprocessing
from har_core.model.class_indices import format_class_indices
from har_core.model.manifest import (
    CLASS_INDICES_FILE,
    KERAS_FILE,
    MODEL_CARD_FILE,
    ONNX_FILE,
    BundleManifest,
)
from har_core.wording import counted

_TASK: Final = "image-classification"
# The hub's names of the metrics that it knows.
_METRICS: Final = {
    "top1": ("accuracy", "top-1 accuracy"),
    "macro_f1": ("f1", "macro F1"),
}
_BILINEAR: Final = 2  # as `PIL.Image.Resampling` counts
# Rescaling, means and deviations of an image processor; Caffe's order of channels it does not know.
_PROCESSORS: Final[dict[Preprocessing, dict[str, Any]]] = {
    "none": {"do_rescale": False, "do_normalize": False},
    "zero_to_one": {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": False},
    "minus_one_to_one": {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    },
    "torch": {
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
}
_SCALED: Final[dict[Preprocessing, str]] = {
    "none": "pixels",
    "zero_to_one": "pixels / 255",
    "minus_one_to_one": "pixels / 127.5 - 1",
    "caffe": "(pixels - [123.68, 116.779, 103.939])[..., ::-1]",
    "torch": "(pixels / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]",
}


def hub_files(folder: Path, manifest: BundleManifest, license: str | None) -> dict[str, bytes]:
    """Return the files of a hub folder but the network.

    Parameters
    ----------
    folder : Path
        The bundle; its model card becomes the text of the hub's.
    manifest : BundleManifest
        What it says of itself.
    license : str or None
        As the hub names it.

    Returns
    -------
    dict of str to bytes
        ``README.md`` with a YAML header, ``config.json``, ``class_indices.json`` and, if the
        scaling can be said there, ``preprocessor_config.json``.
    """
    names = manifest.class_names
    config = {
        "model_type": manifest.architecture,
        "num_labels": len(names),
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "image_size": manifest.input_size,
        "preprocessing": manifest.preprocessing,
        "temperature": manifest.temperature,
    }
    files = {
        MODEL_CARD_FILE: _card(folder, manifest, license).encode(),
        "config.json": _json(config),
        CLASS_INDICES_FILE: format_class_indices(names).encode(),
    }
    if manifest.preprocessing in _PROCESSORS:
        side = {"height": manifest.input_size, "width": manifest.input_size}
        processor = {"do_resize": True, "size": side, "resample": _BILINEAR}
        files["preprocessor_config.json"] = _json(processor | _PROCESSORS[manifest.preprocessing])
    return files


def _json(content: object) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _card(folder: Path, manifest: BundleManifest, license: str | None) -> str:
    header = _header(manifest, license)
    # JSON is YAML, and needs no care for names with colons or quotes.
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in header.items()]
    path = folder / MODEL_CARD_FILE
    known = MODEL_CARD_FILE in manifest.files
    text = path.read_text(encoding="utf-8") if known else f"# {manifest.name}\n"
    use = _use(manifest) if ONNX_FILE in manifest.files else ""
    return "\n".join(["---", *lines, "---", "", text.strip(), "", use])


def _header(manifest: BundleManifest, license: str | None) -> dict[str, Any]:
    kinds = {ONNX_FILE: "onnx", KERAS_FILE: "keras"}
    libraries = [kind for name, kind in kinds.items() if name in manifest.files]
    header: dict[str, Any] = {} if license is None else {"license": license}
    header |= {"library_name": libraries[0], "pipeline_tag": _TASK, "tags": [_TASK, *libraries]}
    metrics = manifest.metrics
    measured = [
        {"type": kind, "name": title, "value": metrics[name]["value"]}
        for name, (kind, title) in _METRICS.items()
        if name in metrics
    ]
    if measured:
        split = str(metrics["split"])
        dataset = {
            "type": "imagefolder",
            "name": f"{counted(metrics['n'], 'photograph')} of the model's {split} split",
            "split": split,
        }
        result = {"task": {"type": _TASK}, "dataset": dataset, "metrics": measured}
        header["model-index"] = [{"name": manifest.name, "results": [result]}]
    return header


def _use(manifest: BundleManifest) -> str:
    side = manifest.input_size
    return f"""## Use

```python
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

photograph = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
pixels = np.asarray(photograph.resize(({side}, {side}), Image.Resampling.BILINEAR), np.float32)
scaled = np.float32({_SCALED[manifest.preprocessing]})[np.newaxis]

session = onnxruntime.InferenceSession("{ONNX_FILE}", providers=["CPUExecutionProvider"])
(probabilities,) = session.run(None, {{session.get_inputs()[0].name: scaled}})[0]
probabilities = probabilities.astype(float) ** (1 / {manifest.temperature!r})  # the temperature
probabilities /= probabilities.sum()

with open("{CLASS_INDICES_FILE}", encoding="utf-8") as file:
    names = json.load(file)
for index in probabilities.argsort()[::-1][:3]:
    print(names[str(index)], round(float(probabilities[index]), 3))
```
"""
