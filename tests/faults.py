"""Pictures with the texture of photographs, and faults to plant among them."""

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageFilter, ImageOps

from tests.drawing import CLASS_NAMES, encode

# What is planted, and the issue it must be found as.
FAULTS = {
    "exact copy": "exact_duplicates",
    "re-encoded copy": "near_duplicates",
    "mirrored copy": "near_duplicates",
    "copy under another label": "label_conflict",
    "truncated": "unreadable",
    "empty": "unreadable",
    "web page": "unreadable",
    "missing": "missing",
    "unlisted": "unlisted",
    "black": "dark",
    "blurred": "blurry",
}
COUNTS = {
    "exact copy": 10,
    "re-encoded copy": 10,
    "mirrored copy": 5,
    "copy under another label": 5,
    "truncated": 5,
    "empty": 3,
    "web page": 3,
    "missing": 4,
    "unlisted": 4,
    "black": 5,
    "blurred": 5,
}


def draw_scene(seed: int, size: tuple[int, int] = (275, 183)) -> Image.Image:
    """Draw coloured noise of all scales with the spectrum of photographs (amplitude 1 / f)."""
    rng = np.random.default_rng(seed)
    width, height = size
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequency[0, 0] = 1
    channels = []
    for _ in range(3):
        spectrum = np.fft.rfft2(rng.normal(size=(height, width))) / frequency
        values = np.fft.irfft2(spectrum, s=(height, width))
        channels.append(128 + 50 * (values - values.mean()) / values.std())
    return Image.fromarray(np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8))


def write_scenes(folder: Path, n: int) -> Path:
    """Write a dataset folder of `n` clean scenes, dealt to the classes in turn."""
    (folder / "train").mkdir(parents=True)
    rows = ["filename,label"]
    for seed in range(n):
        name = f"scene_{seed}.jpg"
        (folder / "train" / name).write_bytes(encode(draw_scene(seed), quality=90))
        rows.append(f"{name},{CLASS_NAMES[seed % len(CLASS_NAMES)]}")
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    return folder


def plant_faults(folder: Path, scale: float = 1.0) -> pd.DataFrame:
    """Plant faults in a dataset folder, `scale` times as many as `COUNTS`.

    Returns
    -------
    DataFrame
        ``filename``, ``fault``, and ``original`` of a copy.
    """
    photos = folder / "train"
    table = pd.read_csv(folder / "train.csv", dtype=str)
    untouched = iter(table["filename"].tolist())
    planted: list[tuple[str, str, str | None]] = []
    rows: list[tuple[str, str]] = []
    for fault, count in COUNTS.items():
        for number in range(max(1, round(scale * count))):
            victim = next(untouched)
            label = table.set_index("filename").loc[victim, "label"]
            path = photos / victim
            name, original = f"{fault.replace(' ', '_')}_{number}.jpg", victim
            if fault.endswith("copy") or fault == "copy under another label":
                _write_copy(fault, path, photos / name)
                other = next(c for c in table["label"].unique() if c != label)
                rows.append((name, other if "label" in fault else label))
            elif fault == "missing":
                original = None
                rows.append((name, label))
            elif fault == "unlisted":
                path.rename(photos / name)
                table = table[table["filename"] != victim]
                original = None
            else:
                path.write_bytes(_spoil(fault, path.read_bytes()))
                name, original = victim, None
            planted.append((name, fault, original))
    extra = pd.DataFrame(rows, columns=["filename", "label"])
    pd.concat([table, extra]).to_csv(folder / "train.csv", index=False)
    return pd.DataFrame(planted, columns=["filename", "fault", "original"])


def _write_copy(fault: str, source: Path, target: Path) -> None:
    if fault in ("exact copy", "copy under another label"):
        shutil.copy(source, target)
        return
    with Image.open(source) as opened:
        image = opened.convert("RGB")
    if fault == "mirrored copy":
        target.write_bytes(encode(ImageOps.mirror(image), quality=90))
    else:
        smaller = image.resize((image.width * 3 // 5, image.height * 3 // 5))
        target.write_bytes(encode(smaller, quality=60))


def _spoil(fault: str, data: bytes) -> bytes:
    image = Image.open(io.BytesIO(data)).convert("RGB")
    return {
        "truncated": lambda: data[: len(data) // 2],
        "empty": lambda: b"",
        "web page": lambda: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "black": lambda: encode(Image.new("RGB", image.size), quality=90),
        "blurred": lambda: encode(image.filter(ImageFilter.GaussianBlur(4)), quality=90),
    }[fault]()
