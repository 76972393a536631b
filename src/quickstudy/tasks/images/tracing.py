"""From the picture of a drawing to the strokes of a pen: the ink thinned to lines one pixel wide, and these followed.

The thinning is that of Zhang and Suen: A fast parallel algorithm for thinning digital patterns. CACM 27, 1984.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from quickstudy.core.errors import DataError
from quickstudy.tasks.images.drawings import Stroke, rasterized
from quickstudy.tasks.images.pixels import open_image

SIDE = 128  # pixels of the longer side of a drawing when it is traced
AROUND = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))  # straight before slanted


def traced(image: Image.Image) -> list[Stroke]:
    """The strokes of a grey picture, of dark ink on light paper or the other way round, in units of its longer side.

    Empty where there is no ink: where dark and light are less than a fifth of the range apart.
    """
    ink = _ink(image)
    if not ink.any():
        return []
    rows, columns = np.nonzero(ink.any(1))[0], np.nonzero(ink.any(0))[0]
    top, left, bottom, right = int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1
    cut = Image.fromarray((ink[top:bottom, left:right] * 255).astype(np.uint8))
    factor = SIDE / max(cut.size)
    if factor < 1:
        cut = cut.resize((max(1, round(cut.width * factor)), max(1, round(cut.height * factor))), Image.Resampling.BOX)
    own = np.asarray(cut) > 96  # a little more than half of a pixel that a line passes aslant
    scale, whole = (right - left) / own.shape[1], max(image.size)
    return [(_smooth(way) * scale + (left, top)) / whole for way in followed(thinned(own))]


def _ink(image: Image.Image) -> Bool[np.ndarray, "height width"]:
    """Where the ink is: on the side of the threshold between dark and light (Otsu's) that the edge is not on."""
    grey = np.asarray(image.convert("L"))
    counts = np.bincount(grey.ravel(), minlength=256).astype(float)
    below, total = counts.cumsum(), (counts * np.arange(256)).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = total / below - (total[-1] - total) / (below[-1] - below)
        apart = np.nan_to_num(below * (below[-1] - below) * gap**2)
    best = int(apart.argmax())
    if not np.nan_to_num(abs(gap[best])) > 51:
        return np.zeros_like(grey, bool)
    dark = grey <= best
    edge = np.concatenate([dark[0], dark[-1], dark[:, 0], dark[:, -1]])
    return ~dark if edge.mean() > 0.5 else dark


def thinned(ink: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Lines one pixel wide in the middle of the ink, connected as the ink is."""
    ink = np.pad(ink, 1)
    while True:
        before = int(ink.sum())
        for first, second in (((0, 2, 4), (2, 4, 6)), ((0, 2, 6), (0, 4, 6))):
            ring = [
                np.roll(ink, (-down, -across), (0, 1))
                for down, across in ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
            ]
            many = sum(r.astype(np.int8) for r in ring)
            turns = sum((~a & b).astype(np.int8) for a, b in zip(ring, [*ring[1:], ring[0]], strict=True))
            gone = ink & (many >= 2) & (many <= 6) & (turns == 1)
            for three in (first, second):
                gone &= ~np.logical_and.reduce([ring[i] for i in three])
            ink = ink & ~gone
        if int(ink.sum()) == before:
            return ink[1:-1, 1:-1]


def followed(lines: Bool[np.ndarray, "height width"]) -> list[NDArray[np.float64]]:
    """Every line of pixels from end to end, each pixel of it once, (across, down); straight on at a crossing.

    One or two pixels beside a line, which thinning leaves in its corners, are no line of their own.
    """
    every = {(int(y), int(x)) for y, x in np.argwhere(lines)}
    left = {*every}

    def next_to(y: int, x: int) -> list[tuple[int, int]]:
        return [(y + dy, x + dx) for dy, dx in AROUND if (y + dy, x + dx) in left]

    ways: list[NDArray[np.float64]] = []
    while left:
        here = min(left, key=lambda at: (len(next_to(*at)) != 1, at))
        start, way = here, [here]
        left.discard(here)
        while near := next_to(*here):
            back = way[-4:][0]
            ahead = (here[0] - back[0], here[1] - back[1])
            here = max(near, key=lambda at: (at[0] - here[0]) * ahead[0] + (at[1] - here[1]) * ahead[1])
            left.discard(here)
            way.append(here)
        if len(way) <= 2 and all(any((y + dy, x + dx) in every - {*way} for dy, dx in AROUND) for y, x in way):
            continue
        if len(way) > 3 and max(abs(here[0] - start[0]), abs(here[1] - start[1])) == 1:
            way.append(start)  # a ring
        ways.append(np.array(way, float)[:, ::-1] + 0.5)
    return ways


def _smooth(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the steps of pixels: each point the mean with its neighbours, the ends as they are."""
    if len(way) < 3:
        return way
    return np.concatenate([way[:1], (way[:-2] + 2 * way[1:-1] + way[2:]) / 4, way[-1:]])


def read_drawing(path: Path | str, size: int) -> Float[Tensor, "1 size size"]:
    """The picture of a drawing as a learner of Omniglot's images is shown it, float32 in [0, 1], ink = 1.

    Raises:
        DataError: a file that is not a readable image, or a picture without ink.
    """
    return rasterized(ink_of(open_image(path, "L"), path), size)


def ink_of(image: Image.Image, path: Path | str) -> list[Stroke]:
    """The strokes of a picture that must hold some.

    Raises:
        DataError: it holds none.
    """
    strokes = traced(image)
    if not strokes:
        raise DataError(f"{path} holds no drawing: dark and light in it are too close to each other.")
    return strokes
