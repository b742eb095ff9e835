"""Draws the example picture and the browser tab's icon: ``python dashboard/examples/draw.py``.

Drawn rather than photographed, so that both may be shipped under the project's own licence.
"""

import math
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

FOLDER = Path(__file__).parent
Point = tuple[float, float]
# Everything is drawn four times too large and shrunk at the end, which smooths the edges.
OVERSAMPLING = 4


def draw_cyclist(width: int = 640, height: int = 440) -> Image.Image:
    """Return a picture of a person riding a bicycle along a country road."""
    scale = OVERSAMPLING
    image = _landscape(width * scale, height * scale)
    pen = ImageDraw.Draw(image)

    def at(point: Point) -> Point:
        return (point[0] * scale, point[1] * scale)

    def line(points: list[Point], colour: str, thickness: float) -> None:
        """Draw a line with round joints and ends."""
        pen.line([at(p) for p in points], fill=colour, width=round(thickness * scale))
        for point in points:
            disc(point, thickness / 2, colour)

    def limb(a: Point, b: Point, start: float, end: float, colour: str) -> None:
        """Draw a tapered stroke: an arm, a leg, a body."""
        angle = math.atan2(b[1] - a[1], b[0] - a[0]) + math.pi / 2
        dx, dy = math.cos(angle), math.sin(angle)
        corners = [
            (a[0] + dx * start / 2, a[1] + dy * start / 2),
            (b[0] + dx * end / 2, b[1] + dy * end / 2),
            (b[0] - dx * end / 2, b[1] - dy * end / 2),
            (a[0] - dx * start / 2, a[1] - dy * start / 2),
        ]
        pen.polygon([at(corner) for corner in corners], fill=colour)
        disc(a, start / 2, colour)
        disc(b, end / 2, colour)

    def disc(centre: Point, radius: float, colour: str) -> None:
        (x, y), r = at(centre), radius * scale
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def ring(centre: Point, radius: float, colour: str, thickness: float) -> None:
        (x, y), r = at(centre), radius * scale
        pen.ellipse((x - r, y - r, x + r, y + r), outline=colour, width=round(thickness * scale))

    rear, front, crank = (218.0, 322.0), (424.0, 322.0), (306.0, 326.0)
    seat, head_tube, bar = (276.0, 216.0), (388.0, 214.0), (400.0, 190.0)
    hip, shoulder, hand = (272.0, 200.0), (346.0, 118.0), (408.0, 186.0)

    # The far leg and arm lie behind the bicycle.
    far_pedal, far_knee = (292.0, 300.0), (344.0, 240.0)
    limb(hip, far_knee, 34, 24, "#1d2b42")
    limb(far_knee, far_pedal, 21, 13, "#b07d5f")
    limb(far_pedal, (318, 306), 13, 9, "#8c2f2a")
    limb(shoulder, (384, 168), 19, 14, "#a5392f")
    limb((384, 168), hand, 13, 10, "#b07d5f")

    for hub in (rear, front):
        for spoke in range(18):
            angle = math.pi * spoke / 9
            rim = (hub[0] + 66 * math.cos(angle), hub[1] + 66 * math.sin(angle))
            pen.line([at(hub), at(rim)], fill="#aeb4b8", width=scale)
        ring(hub, 74, "#22262a", 8)
        ring(hub, 66.5, "#9aa1a6", 3)
        disc(hub, 6, "#3b4147")
    frame = "#12706f"
    line([rear, seat, crank, rear], frame, 7)
    line([seat, head_tube, crank], frame, 8)
    line([bar, head_tube, front], frame, 7)
    line([seat, (271, 200)], "#3b4147", 6)
    line([(252, 199), (294, 201)], "#22262a", 10)
    line([(392, 190), (412, 188), (422, 204), (410, 214)], "#22262a", 6)
    ring(crank, 17, "#3b4147", 4)
    line([rear, (306, 341)], "#3b4147", 2)
    line([rear, (306, 310)], "#3b4147", 2)

    near_pedal, near_knee = (322.0, 356.0), (338.0, 276.0)
    line([far_pedal, crank, near_pedal], "#3b4147", 5)
    limb(hip, near_knee, 38, 27, "#26385a")
    limb(near_knee, near_pedal, 24, 14, "#d39a78")
    limb((316, 358), (346, 362), 14, 10, "#c8443a")

    limb(hip, shoulder, 40, 46, "#d8543f")
    limb((284, 190), (338, 128), 6, 6, "#f0b13c")
    limb(shoulder, (372, 172), 22, 16, "#c8443a")
    limb((372, 172), hand, 15, 11, "#d39a78")
    disc(hand, 9, "#22262a")

    limb((356, 106), (372, 88), 20, 18, "#c98f6d")
    disc((382, 74), 25, "#d39a78")
    limb((396, 84), (400, 90), 12, 8, "#d39a78")
    disc((398, 72), 2.6, "#3a2a22")
    line([(392, 87), (398, 89), (403, 85)], "#8c4a3a", 2.2)
    box = [*at((350, 40)), *at((410, 96))]
    pen.pieslice(box, 172, 352, fill="#f0b13c")
    line([(354, 66), (408, 62)], "#c9871f", 5)
    line([(372, 68), (378, 96)], "#22262a", 2.4)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _landscape(width: int, height: int) -> Image.Image:
    """Return sky, hills, a tree line, a meadow and a road with the rider's shadow."""
    sky = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(
        Image.new("RGB", (width, height), "#eaf3f4"),
        Image.new("RGB", (width, height), "#8fc3dc"),
        sky.point(lambda value: min(255, value * 2)),
    )
    pen = ImageDraw.Draw(image)
    for base, swing, waves, colour in (
        (0.47, 0.07, 1.3, "#a9c6bd"),
        (0.55, 0.05, 2.1, "#86b09a"),
        (0.62, 0.03, 3.4, "#6a9a72"),
    ):
        ridge = [
            (x, height * (base - swing * math.sin(waves * math.tau * x / width + waves)))
            for x in range(0, width + 1, 8)
        ]
        pen.polygon([*ridge, (width, height), (0, height)], fill=colour)
    for tree in range(9):
        x = width * (0.04 + 0.118 * tree)
        size = height * (0.050 + 0.012 * ((tree * 7) % 4))
        y = height * 0.63
        pen.rectangle((x - size / 10, y, x + size / 10, y + size), fill="#6b4f3a")
        pen.ellipse(
            (x - size * 0.8, y - size * 1.3, x + size * 0.8, y + size * 0.5), fill="#3f7a52"
        )
    pen.rectangle((0, height * 0.70, width, height), fill="#7fae63")
    pen.rectangle((0, height * 0.79, width, height * 0.985), fill="#70757a")
    for dash in range(0, width, width // 8):
        pen.rectangle((dash, height * 0.945, dash + width // 16, height * 0.952), fill="#e6e3d8")
    shadow = Image.new("L", (width, height), 0)
    ImageDraw.Draw(shadow).ellipse(
        (width * 0.22, height * 0.885, width * 0.79, height * 0.925), fill=110
    )
    shadow = shadow.filter(ImageFilter.GaussianBlur(width / 160))
    return Image.composite(Image.new("RGB", (width, height), "#2c3034"), image, shadow)


def draw_icon(size: int = 64) -> Image.Image:
    """Return the tab icon: a runner in a rounded square."""
    scale = size * OVERSAMPLING / 64
    image = Image.new("RGBA", (size * OVERSAMPLING, size * OVERSAMPLING))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, 64 * scale - 1, 64 * scale - 1), 14 * scale, fill="#0f6b6b")
    strokes = [
        [(34, 21), (29, 37)],
        [(29, 37), (38, 43), (35, 54)],
        [(29, 37), (24, 46), (12, 47)],
        [(33, 24), (43, 29), (50, 25)],
        [(33, 24), (22, 25), (17, 33)],
    ]
    for stroke in strokes:
        points = [(x * scale, y * scale) for x, y in stroke]
        pen.line(points, fill="#fbfaf7", width=round(5.5 * scale), joint="curve")
        for x, y in points:
            r = 2.75 * scale
            pen.ellipse((x - r, y - r, x + r, y + r), fill="#fbfaf7")
    pen.ellipse((33 * scale, 7 * scale, 43 * scale, 17 * scale), fill="#fbfaf7")
    return image.resize((size, size), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw_cyclist().save(FOLDER / "cycling.jpg", quality=88, optimize=True)
    draw_icon().save(FOLDER / "icon.png", optimize=True)
