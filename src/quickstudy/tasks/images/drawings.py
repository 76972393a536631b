"""A drawing by strokes of a pen, as Omniglot's drawings look: one width of line, one size, in the middle.

Who draws with a mouse, a finger or a thick pen, small or in a corner, draws the same character; a learner of Omniglot's
images is shown it as the people who drew those would have: lines 5 pixels wide on a canvas of 105, the longer side of
the whole 67 of these (the mean of the background characters), its box in the middle. Both widths are those at which
traced background characters (see ``tracing``), drawn again, come closest to what they were.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from quickstudy.tasks.images.pixels import as_float, ink_pixels

Stroke: TypeAlias = NDArray[np.float64]
"""The pen's way ``[points, 2]``, (across, down), in any unit."""

CANVAS = 105
PEN = 5
LONGER = 67 - PEN
LEAST = 0.04
"""Of the pad's side: what is smaller is a dot, and is not drawn larger than a dot of this size."""
FINER = 4
"""Lines are drawn on a canvas so many times as fine, for edges as smooth as a scan's."""


def rasterized(strokes: Sequence[Stroke], size: int, *, pad: float = 1.0) -> Float[Tensor, "1 size size"]:
    """The image of a drawing, float32 in [0, 1], ink = 1; empty where nothing is drawn.

    Args:
        strokes: any number of them, of at least one point each.
        size: height and width in pixels.
        pad: the side of what was drawn on, in the strokes' unit.
    """
    return as_float(ink_pixels(paper(strokes, pad=pad), size)[None])


def paper(strokes: Sequence[Stroke], *, pad: float = 1.0) -> Image.Image:
    """The drawing as a picture of dark ink on light paper, 420 pixels a side."""
    side = CANVAS * FINER
    image = Image.new("L", (side, side), 255)
    if not strokes:
        return image
    pen, radius = ImageDraw.Draw(image), PEN * FINER / 2
    for stroke in placed(strokes, pad=pad):
        way = [(float(x), float(y)) for x, y in stroke * FINER]
        pen.line(way, fill=0, width=round(2 * radius))
        for x, y in way:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=0)
    return image


def placed(strokes: Sequence[Stroke], *, pad: float = 1.0) -> list[Stroke]:
    """The strokes in pixels of the canvas: their box in its middle, the longer side as long as it should be."""
    every = np.concatenate(strokes)
    low, high = every.min(0), every.max(0)
    scale = LONGER / max(float((high - low).max()), LEAST * pad)
    return [(stroke - (low + high) / 2) * scale + CANVAS / 2 for stroke in strokes]
