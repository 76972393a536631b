"""Drawings as a mouse would draw them: the strokes of an image are moved, bent, and drawn with another pen.

The pen is round and the canvas large, as a page in the browser has one.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from quickstudy.tasks.images.tracing import traced

Stroke = NDArray[np.float64]
"""Points ``[p, 2]``, across and down, where the canvas is [-1, 1] squared."""
PEN = 0.075  # width of the pen, of the canvas's half side: that of Omniglot's drawings
CANVAS = 256  # pixels


def strokes_of(image: Image.Image) -> list[Stroke]:
    """Those of a square image, where they are."""
    return [2 * stroke - 1 for stroke in traced(image)]


def draw(strokes: list[Stroke], pen: float = PEN) -> Image.Image:
    """The strokes as a picture of dark ink on light paper."""
    canvas = Image.new("L", (CANVAS, CANVAS), 255)
    brush, half = ImageDraw.Draw(canvas), max(1.0, pen * CANVAS / 4)
    for stroke in strokes:
        points = [(float(x), float(y)) for x, y in (stroke + 1) * CANVAS / 2]
        brush.line(points, fill=0, width=round(2 * half), joint="curve")
        for x, y in points:
            brush.ellipse((x - half, y - half, x + half, y + half), fill=0)
    return canvas


Rng = np.random.Generator
Drawn = tuple[list[Stroke], float]


def _mapped(strokes: list[Stroke], scale: float, slant: float = 0.0, turn: float = 0.0) -> list[Stroke]:
    """About the middle of the box of the strokes."""
    points = np.concatenate(strokes)
    middle = (points.min(0) + points.max(0)) / 2
    cos, sin = math.cos(turn), math.sin(turn)
    linear = scale * np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, slant], [0, 1]])
    return [(stroke - middle) @ linear.T for stroke in strokes]


def _placed(strokes: list[Stroke], rng: Rng) -> list[Stroke]:
    """Anywhere on the canvas where there is room."""
    points = np.concatenate(strokes)
    low, high = -0.95 - points.min(0), 0.95 - points.max(0)
    shift = np.where(low < high, rng.uniform(np.minimum(low, high), np.maximum(low, high)), (low + high) / 2)
    return [stroke + shift for stroke in strokes]


def _sampled(strokes: list[Stroke], rng: Rng) -> list[Stroke]:
    """Few points with straight lines between, each a little beside where it was: a mouse that jumps."""
    found: list[Stroke] = []
    for stroke in strokes:
        kept = np.unique([*np.arange(0, len(stroke) - 1, rng.integers(6, 11)), len(stroke) - 1])
        found.append(stroke[kept] + rng.normal(0, 0.02, (len(kept), 2)))
    return found


def _all(strokes: list[Stroke], rng: Rng) -> Drawn:
    strokes = _mapped(_sampled(strokes, rng), rng.uniform(0.5, 0.9), rng.uniform(-0.2, 0.2), rng.uniform(-0.1, 0.1))
    return _placed(strokes, rng), PEN * math.exp(rng.uniform(-1, 1))


MICE: dict[str, Callable[[list[Stroke], Rng], Drawn]] = {
    "redrawn": lambda strokes, rng: (strokes, PEN),
    "thin": lambda strokes, rng: (strokes, PEN / 4),
    "thick": lambda strokes, rng: (strokes, PEN * rng.uniform(2, 3.5)),
    "small": lambda strokes, rng: (_mapped(strokes, rng.uniform(0.35, 0.5)), PEN),
    "off-centre": lambda strokes, rng: (_placed(_mapped(strokes, rng.uniform(0.6, 0.8)), rng), PEN),
    "slanted": lambda strokes, rng: (_mapped(strokes, 0.8, rng.uniform(-0.4, 0.4), rng.uniform(-0.15, 0.15)), PEN),
    "resampled": lambda strokes, rng: (_sampled(strokes, rng), PEN),
    "all at once": _all,
}
"""What is done to a drawing, each time at random: see the names."""
