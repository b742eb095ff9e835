"""Renders the samples of people: ``python dashboard/examples/render.py [NAME …]``, slowly.

Spheres are marched along each ray through signed distances (Hart 1996), so that people, furniture,
light and shadow need no model file, and the pictures may be shipped under the project's licence.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

FOLDER = Path(__file__).parent
SIZE = (480, 340)
FAR, STEPS, CLOSE = 30.0, 90, 2e-3
SUN = np.array([-0.5, 0.8, 0.55]) / np.linalg.norm([-0.5, 0.8, 0.55])
SKIN, HAIR, DARK = "#c68f6b", "#2f2119", "#24262b"
Point = tuple[float, float, float] | np.ndarray
Distance = Callable[[np.ndarray], np.ndarray]


def rgb(colour: str) -> np.ndarray:
    """Return a colour as light, red, green and blue in [0, 1]."""
    return (np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255) ** 2.2


def limb(a: Point, b: Point, ra: float, rb: float) -> Distance:
    """Return the distance to a stroke whose radius goes from `ra` to `rb`."""
    start, way = np.array(a), np.subtract(b, a)

    def distance(p: np.ndarray) -> np.ndarray:
        t = np.clip((p - start) @ way / max(way @ way, 1e-9), 0, 1)
        return np.linalg.norm(p - start - t[:, None] * way, axis=1) - (ra + (rb - ra) * t)

    return distance


def ball(centre: Point, radii: Point) -> Distance:
    """Return the distance to an ellipsoid, roughly."""
    middle, r = np.array(centre), np.array(radii)

    def distance(p: np.ndarray) -> np.ndarray:
        q = (p - middle) / r
        k = np.linalg.norm(q, axis=1)
        return k * (k - 1) / np.maximum(np.linalg.norm(q / r, axis=1), 1e-9)

    return distance


def box(centre: Point, half: Point, rounding: float = 0.01, tilt: float = 0.0) -> Distance:
    """Return the distance to a box that is turned about the z axis by `tilt` radians."""
    middle, sides = np.array(centre), np.array(half)
    cos, sin = np.cos(tilt), np.sin(tilt)
    turn = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])

    def distance(p: np.ndarray) -> np.ndarray:
        q = np.abs((p - middle) @ turn.T) - sides + rounding
        outside = np.linalg.norm(np.maximum(q, 0), axis=1)
        return outside + np.minimum(q.max(axis=1), 0) - rounding

    return distance


@dataclass
class Scene:
    """Things with colours above a ground at height 0, before a wall or the sky."""

    ground: tuple[str, str] = ("#8a6a48", "#6f5236")
    grain: tuple[float, float] = (1.0, 14.0)  # spots a metre along and across
    wall: str = ""
    wall_z: float = -1.6
    eye: Point = (0.3, 1.25, 3.6)
    target: Point = (0.0, 0.85, 0.0)
    zoom: float = 1.55
    things: list[tuple[Distance, np.ndarray, float]] = field(default_factory=list)

    def add(self, distance: Distance, colour: str, blend: float = 0.0) -> None:
        """Add a thing; with `blend` it grows together with those before it."""
        self.things.append((distance, rgb(colour), blend))

    def person(
        self,
        joints: dict[str, Point],
        *,
        shirt: str,
        trousers: str,
        hair: str = HAIR,
        face: Point = (1.0, 0.0, 0.3),
        bare: bool = False,
    ) -> None:
        """Add someone by joints: head, neck, hip, and of both sides elbow, hand, knee, foot."""
        j = {name: np.array(point) for name, point in joints.items()}
        forward = np.array(face) / np.linalg.norm(face)
        up = (j["neck"] - j["hip"]) / np.linalg.norm(j["neck"] - j["hip"])
        across = np.cross(up, forward)
        across /= np.linalg.norm(across)
        for side, sign in (("l", 1), ("r", -1)):
            shoulder = j["neck"] - 0.05 * up + 0.17 * sign * across
            leg = j["hip"] + 0.09 * sign * across
            knee, foot, elbow, hand = (j[f"{n}_{side}"] for n in ("knee", "foot", "elbow", "hand"))
            self.add(limb(leg, knee, 0.085, 0.062), trousers)
            self.add(limb(knee, foot, 0.058, 0.04), SKIN if bare else trousers, 0.03)
            toe = foot + 0.14 * forward * np.array([1, 0, 1]) + np.array([0, -0.035, 0])
            self.add(limb(foot + np.array([0, -0.025, 0]), toe, 0.045, 0.036), DARK)
            self.add(limb(shoulder, elbow, 0.062, 0.048), shirt, 0.02)
            self.add(limb(elbow, hand, 0.042, 0.03), SKIN, 0.012)
            self.add(ball(hand, (0.045, 0.045, 0.045)), SKIN, 0.02)
        chest = j["neck"] - 0.17 * up
        self.add(limb(j["hip"], chest, 0.125, 0.145), shirt, 0.03)
        for sign in (1, -1):
            part = chest + 0.075 * sign * across
            self.add(limb(j["hip"] + 0.05 * sign * across, part + 0.06 * up, 0.1, 0.1), shirt, 0.04)
        self.add(limb(j["neck"] - 0.03 * up, j["head"], 0.052, 0.055), SKIN, 0.02)
        self.add(ball(j["head"], (0.095, 0.122, 0.1)), SKIN, 0.02)
        self.add(ball(j["head"] + 0.1 * forward - 0.012 * up, (0.02, 0.024, 0.018)), SKIN, 0.015)
        self.add(ball(j["head"] - 0.03 * forward + 0.03 * up, (0.104, 0.118, 0.108)), hair)
        for sign in (1, -1):
            eye = j["head"] + 0.088 * forward + 0.02 * up + 0.036 * sign * across
            self.add(ball(eye, (0.012, 0.01, 0.012)), "#1b1512")
        mouth = j["head"] + 0.088 * forward - 0.055 * up
        self.add(limb(mouth - 0.02 * across, mouth + 0.02 * across, 0.007, 0.007), "#9a4a42")

    def nearest(self, p: np.ndarray) -> np.ndarray:
        """Return the distance to whatever is nearest."""
        found = np.minimum(p[:, 1], p[:, 2] - self.wall_z) if self.wall else p[:, 1].copy()
        things = np.full(len(p), FAR)
        for distance, _, blend in self.things:
            d = distance(p)
            h = np.clip(0.5 + 0.5 * (things - d) / blend, 0, 1) if blend else (d < things)
            things = things * (1 - h) + d * h - (blend * h * (1 - h) if blend else 0)
        return np.minimum(found, things)

    def colours(self, p: np.ndarray) -> np.ndarray:
        """Return the colour of the surface at each point."""
        things, colour = np.full(len(p), FAR), np.zeros((len(p), 3))
        for distance, shade, blend in self.things:
            d = distance(p)
            h = np.clip(0.5 + 0.5 * (things - d) / blend, 0, 1) if blend else (d < things) * 1.0
            things = things * (1 - h) + d * h - (blend * h * (1 - h) if blend else 0)
            colour = colour * (1 - h[:, None]) + shade * h[:, None]
        along, across = self.grain
        spots = noise(p[:, 0] * along, p[:, 2] * across) * 0.7
        spots += 0.3 * noise(p[:, 0] * along * 6, p[:, 2] * across * 6)
        first, second = map(rgb, self.ground)
        on_ground = (p[:, 1] < things) & (p[:, 1] < 0.02)
        floor = first * spots[:, None] + second * (1 - spots[:, None])
        colour = np.where(on_ground[:, None], floor, colour)
        if self.wall:
            on_wall = (p[:, 2] - self.wall_z < np.minimum(things, p[:, 1])) & ~on_ground
            shade = rgb(self.wall) * (0.93 + 0.07 * noise(p[:, 0] * 9, p[:, 1] * 9))[:, None]
            colour = np.where(on_wall[:, None], shade, colour)
        return colour

    def picture(self) -> Image.Image:
        """Render the scene."""
        width, height = SIZE
        eye = np.array(self.eye)
        ahead = np.subtract(self.target, eye)
        ahead /= np.linalg.norm(ahead)
        right = np.cross(ahead, (0, 1, 0))
        right /= np.linalg.norm(right)
        up = np.cross(right, ahead)
        y, x = np.mgrid[:height, :width]
        u, v = (2 * x + 1 - width) / height, -(2 * y + 1 - height) / height
        rays = self.zoom * ahead + u.reshape(-1, 1) * right + v.reshape(-1, 1) * up
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        sky = np.clip(rays[:, 1] * 2.2 + 0.15, 0, 1)[:, None]
        image = rgb("#dfe9ee") * (1 - sky) + rgb("#7fb0d8") * sky
        depth = march(self.nearest, eye, rays, FAR)
        hit = np.flatnonzero(depth < FAR)
        for part in np.array_split(hit, max(1, len(hit) // 100_000)):
            p = eye + depth[part, None] * rays[part]
            image[part] = self._lit(p, image[part], depth[part])
        image = image.reshape(height, width, 3)
        fading = 1 - 0.18 * (u**2 + v**2)[..., None] / 3
        values = np.clip(image * fading * 1.12, 0, 1) ** (1 / 2.2)
        drawn = Image.fromarray((255 * values).astype(np.uint8))
        soft = np.asarray(drawn.filter(ImageFilter.GaussianBlur(0.7)), np.float64)
        soft += np.random.default_rng(0).normal(0, 3.2, soft.shape)  # as of a sensor
        return Image.fromarray(np.clip(soft, 0, 255).astype(np.uint8))

    def _lit(self, p: np.ndarray, sky: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Return the colours of points in sun and skylight, with shadows, paler far away."""
        normal = np.stack(
            [self.nearest(p + e) - self.nearest(p - e) for e in 1e-3 * np.eye(3)], axis=1
        )
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        start = p + 0.012 * normal
        sun = np.clip(normal @ SUN, 0, 1) * soft_shadow(self.nearest, start)
        open_to = np.ones(len(p))
        for i in range(1, 5):
            open_to -= 0.5**i * np.clip(0.09 * i - self.nearest(p + 0.09 * i * normal), 0, 1) * 6
        light = 1.05 * sun[:, None] * np.array([1.0, 0.95, 0.86])
        ambient = (0.45 + 0.25 * normal[:, 1]) * np.clip(open_to, 0.15, 1)
        light = light + ambient[:, None] * np.array([0.86, 0.94, 1.0])
        haze = 1 - np.exp(-0.035 * np.maximum(depth - 4, 0))[:, None]
        return self.colours(p) * light * (1 - haze) + sky * haze


def march(nearest: Distance, eye: np.ndarray, rays: np.ndarray, far: float) -> np.ndarray:
    """Return how far along each ray something is."""
    depth = np.full(len(rays), 0.3)
    active = np.arange(len(rays))
    for _ in range(STEPS):
        step = nearest(eye + depth[active, None] * rays[active])
        depth[active] += 0.95 * step
        active = active[(step > CLOSE) & (depth[active] < far)]
        if not len(active):
            break
    return depth


def soft_shadow(nearest: Distance, start: np.ndarray) -> np.ndarray:
    """Return how much of the sun each point sees, in [0, 1]."""
    light, along = np.ones(len(start)), np.full(len(start), 0.02)
    for _ in range(28):
        d = nearest(start + along[:, None] * SUN)
        light = np.minimum(light, np.clip(9 * d / along + 0.02, 0, 1))
        along += np.clip(d, 0.02, 0.25)
    return light


def noise(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return smooth noise in [0, 1]."""

    def at(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        return np.abs(np.sin(i * 127.1 + j * 311.7) * 43758.5453) % 1

    i, j = np.floor(x), np.floor(y)
    s, t = x - i, y - j
    s, t = s * s * (3 - 2 * s), t * t * (3 - 2 * t)
    return (at(i, j) * (1 - s) + at(i + 1, j) * s) * (1 - t) + (
        at(i, j + 1) * (1 - s) + at(i + 1, j + 1) * s
    ) * t


def running() -> Scene:
    """Return a runner on a track."""
    scene = Scene(
        ("#b5563f", "#9c4632"), (9.0, 9.0), eye=(0.6, 1.05, 3.5), target=(0.02, 0.92, 0), zoom=2.6
    )
    scene.person(
        {
            "head": (0.27, 1.58, 0.0), "neck": (0.19, 1.38, 0.0), "hip": (0.02, 0.9, 0.0),
            "elbow_l": (-0.16, 1.16, -0.24), "hand_l": (0.06, 1.0, -0.22),
            "elbow_r": (0.34, 1.1, 0.26), "hand_r": (0.52, 1.3, 0.2),
            "knee_l": (0.42, 0.82, -0.1), "foot_l": (0.36, 0.42, -0.1),
            "knee_r": (-0.16, 0.5, 0.1), "foot_r": (-0.55, 0.36, 0.1),
        },
        shirt="#d9442f", trousers="#22303f", bare=True,
    )  # fmt: skip
    for z in (-0.9, 0.75):
        scene.add(box((0, 0.0, z), (12, 0.006, 0.025), 0.002), "#f3efe6")
    for i in range(9):
        x = -9 + 2.3 * i
        scene.add(limb((x, 0, -9), (x, 1.4, -9), 0.12, 0.09), "#5d4632")
        scene.add(ball((x, 2.4, -9), (1.15, 1.35, 1.0)), "#3d6b3f", 0.2)
    scene.add(box((0, 0.02, -8), (14, 0.05, 5.5)), "#6f9a52")
    return scene


def sleeping() -> Scene:
    """Return someone asleep in a bed."""
    scene = Scene(
        wall="#cfd6d3", wall_z=-1.1, eye=(-0.25, 1.75, 2.4), target=(-0.25, 0.66, 0.0), zoom=2.87
    )
    scene.add(box((0, 0.25, 0), (1.25, 0.22, 0.62), 0.05), "#7d5a3c")
    scene.add(box((0, 0.48, 0), (1.22, 0.1, 0.6), 0.09), "#eef0ee")
    scene.add(box((-1.25, 0.6, 0), (0.04, 0.55, 0.62), 0.03), "#6a4a30")
    scene.add(ball((-0.88, 0.64, 0.05), (0.3, 0.11, 0.42)), "#f7f6f2", 0.03)
    scene.person(
        {
            "head": (-0.82, 0.8, 0.1), "neck": (-0.62, 0.72, 0.1), "hip": (-0.08, 0.68, 0.08),
            "elbow_l": (-0.42, 0.66, 0.42), "hand_l": (-0.72, 0.7, 0.36),
            "elbow_r": (-0.4, 0.68, -0.12), "hand_r": (-0.6, 0.7, 0.3),
            "knee_l": (0.3, 0.68, 0.3), "foot_l": (0.7, 0.62, 0.12),
            "knee_r": (0.32, 0.66, 0.12), "foot_r": (0.72, 0.62, 0.0),
        },
        shirt="#7c93ad", trousers="#47566b", face=(0.05, 0.35, 0.95),
    )  # fmt: skip
    for x, y, z, r in ((0.0, 0.6, 0.1, 0.3), (0.35, 0.58, 0.16, 0.33), (0.75, 0.54, 0.05, 0.28)):
        scene.add(ball((x, y, z), (0.42, r, 0.5)), "#4f7f86", 0.14)
    scene.add(box((0.5, 0.5, 0.02), (0.72, 0.13, 0.66), 0.1), "#4f7f86", 0.12)
    return scene


def using_laptop() -> Scene:
    """Return someone with a laptop at a table."""
    scene = Scene(
        wall="#d9cdb8", wall_z=-1.3, eye=(1.15, 1.45, 2.3), target=(0.09, 1.13, 0.0), zoom=3.8
    )
    scene.person(
        {
            "head": (-0.12, 1.36, 0.0), "neck": (-0.2, 1.16, 0.0), "hip": (-0.34, 0.58, 0.0),
            "elbow_l": (-0.08, 0.86, -0.26), "hand_l": (0.25, 0.83, -0.09),
            "elbow_r": (-0.06, 0.86, 0.27), "hand_r": (0.27, 0.83, 0.09),
            "knee_l": (0.12, 0.56, -0.12), "foot_l": (0.1, 0.08, -0.12),
            "knee_r": (0.14, 0.56, 0.12), "foot_r": (0.02, 0.08, 0.14),
        },
        shirt="#3f7a6d", trousers="#39404f", face=(0.93, -0.3, 0.2),
    )  # fmt: skip
    scene.add(box((0.62, 0.75, 0.0), (0.5, 0.022, 0.48), 0.01), "#a87b4f")
    for x in (0.22, 1.06):
        for z in (-0.42, 0.42):
            scene.add(limb((x, 0, z), (x, 0.73, z), 0.025, 0.025), "#4a4d52")
    scene.add(box((0.42, 0.785, 0.0), (0.17, 0.009, 0.2), 0.006), "#9aa0a6")
    scene.add(box((0.39, 0.796, 0.0), (0.1, 0.003, 0.17), 0.002), "#2b2e33")
    scene.add(box((0.645, 0.91, 0.0), (0.009, 0.13, 0.2), 0.006, tilt=-0.28), "#9aa0a6")
    scene.add(box((0.634, 0.911, 0.0), (0.004, 0.118, 0.185), 0.002, tilt=-0.28), "#d7e9f7")
    scene.add(limb((0.92, 0.775, 0.2), (0.92, 0.86, 0.2), 0.036, 0.04), "#b8442f")
    scene.add(box((-0.4, 0.44, 0.0), (0.24, 0.03, 0.24), 0.02), "#5c4030")
    scene.add(box((-0.64, 0.8, 0.0), (0.025, 0.34, 0.22), 0.02, tilt=0.1), "#5c4030")
    for x in (-0.6, -0.2):
        for z in (-0.2, 0.2):
            scene.add(limb((x, 0, z), (x, 0.42, z), 0.02, 0.02), "#5c4030")
    scene.add(box((0.75, 1.5, -1.28), (0.36, 0.26, 0.02)), "#4c6f8f")
    scene.add(box((0.75, 1.5, -1.27), (0.32, 0.22, 0.02)), "#e6dcc3")
    return scene


def in_the_park() -> Scene:
    """Return two people who do different things, for looking at a part."""
    scene = Scene(
        ("#7fa05c", "#6b8c4b"), (7.0, 7.0), eye=(0.2, 1.2, 4.0), target=(0.1, 0.62, 0.0), zoom=2.75
    )
    scene.person(
        {
            "head": (-0.68, 1.58, 0.2), "neck": (-0.76, 1.38, 0.2), "hip": (-0.93, 0.9, 0.2),
            "elbow_l": (-1.11, 1.16, -0.04), "hand_l": (-0.89, 1.0, -0.02),
            "elbow_r": (-0.61, 1.1, 0.46), "hand_r": (-0.43, 1.3, 0.4),
            "knee_l": (-0.53, 0.82, 0.1), "foot_l": (-0.59, 0.42, 0.1),
            "knee_r": (-1.11, 0.5, 0.3), "foot_r": (-1.5, 0.36, 0.3),
        },
        shirt="#e0b32e", trousers="#2b2f3a", bare=True, hair="#6b4423",
    )  # fmt: skip
    scene.person(
        {
            "head": (0.98, 1.17, -0.2), "neck": (0.96, 0.96, -0.26), "hip": (0.95, 0.46, -0.34),
            "elbow_l": (1.22, 0.7, -0.12), "hand_l": (1.06, 0.56, 0.1),
            "elbow_r": (0.7, 0.7, -0.14), "hand_r": (0.86, 0.56, 0.1),
            "knee_l": (1.06, 0.48, 0.12), "foot_l": (1.08, 0.08, 0.1),
            "knee_r": (0.84, 0.48, 0.12), "foot_r": (0.82, 0.08, 0.12),
        },
        shirt="#8c3f5e", trousers="#3c4656", face=(-0.25, -0.05, 1.0), hair="#1d1713",
    )  # fmt: skip
    scene.add(box((0.95, 0.36, -0.36), (0.75, 0.025, 0.2), 0.015), "#7a5230")
    for y in (0.62, 0.76):
        scene.add(box((0.95, y, -0.56), (0.75, 0.05, 0.018), 0.012), "#7a5230")
    for x in (0.32, 1.58):
        scene.add(box((x, 0.18, -0.36), (0.03, 0.18, 0.18), 0.01), "#3f4246")
        scene.add(box((x, 0.58, -0.58), (0.025, 0.25, 0.02), 0.01), "#3f4246")
    scene.add(box((0, 0.0, 0.35), (12, 0.008, 0.5), 0.002), "#b9ab8e")
    for i in range(7):
        x = -8 + 2.7 * i
        scene.add(limb((x, 0, -8), (x, 1.6, -8), 0.16, 0.11), "#5d4632")
        scene.add(ball((x, 2.7, -8), (1.3, 1.5, 1.1)), "#3d6b3f", 0.2)
    return scene


SCENES = {scene.__name__: scene for scene in (running, sleeping, using_laptop, in_the_park)}

if __name__ == "__main__":
    for name in sys.argv[1:] or SCENES:
        SCENES[name]().picture().save(FOLDER / f"{name}.jpg", quality=86, optimize=True)
