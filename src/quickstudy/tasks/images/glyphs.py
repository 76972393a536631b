"""Glyphs: procedurally drawn characters, endless classes, nothing to download.

A class is one to four pen strokes. A stroke hangs on an earlier one (or stands freely), sets out in some direction and
turns on its way: straight, an arc, a corner, an S. A drawing of a class redraws it with a shaky hand: each stroke is
shifted, turned, stretched and bent a little, the whole is scaled, sheared and moved, the pen has a width of its own.
Every class of every episode is drawn fresh, so no two episodes or splits ever share one.

The idea of characters as compositions of jittered strokes follows Lake, Salakhutdinov, Tenenbaum: Human-level concept
learning through probabilistic program induction. Science 2015; the distribution here is our own and much simpler.
"""

import math
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of, shape_text
from quickstudy.core.purity import pure
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown
from quickstudy.tasks.images.pixels import read_ink
from quickstudy.tasks.images.strokes import draw_classes, redraw, render


class Glyphs:
    """N-way K-shot, characters drawn on the fly: endless classes, no data needed.

    Images are ``[1, size, size]``, float32 in [0, 1], ink = 1.

    Args:
        split: names the stream of episodes; the distribution is the same in each.
        way: classes per task.
        shot: support drawings per class.
        query: query drawings per class.
        size: height and width in pixels, at least 8.
        rotate: turn every class of every task by one of 0, 90, 180, 270 degrees; None: in training only, the same
            rule as Omniglot's.

    Raises:
        UsageError: an unknown split, way, shot or query below 1, size below 8.

    >>> batch = Glyphs(way=3, shot=1, query=2).sample(4, seed=0)
    >>> batch.support.x.shape, batch.query.y[0].tolist()
    (torch.Size([4, 3, 1, 28, 28]), [0, 0, 1, 1, 2, 2])
    """

    kind: ClassVar[str] = "classification"
    called: ClassVar[str] = "drawn characters"
    ink: ClassVar[bool] = True
    """Images are drawings: ink is 1, paper 0."""

    def __init__(
        self,
        *,
        split: str = "train",
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        size: int = 28,
        rotate: bool | None = None,
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, way=way, shot=shot, query=query)
        at_least(8, size=size)
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.size = size
        self.rotate = rotate

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(1, size, size)``."""
        return (1, self.size, self.size)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"Glyphs {self.split} (drawn on the fly, endless classes), {shape_text(self.way, self.shot, self.query)}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments.

        Returns:
            support ``x [tasks, way * shot, 1, size, size]`` float32, ``y [tasks, way * shot]`` int64, and the same for
            the query with ``way * query``; examples lie class by class, labels 0, 0, .., 1, 1, ..
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "glyphs", self.split)
        classes = draw_classes(tasks * self.way, rng)
        turns = self.rotate if self.rotate is not None else self.split in ("train", "trainval")
        quarters = torch.randint(4 if turns else 1, (tasks * self.way,), generator=rng)
        drawings = redraw(classes, self.shot + self.query, quarters * (math.pi / 2), rng)
        x = render(drawings, self.size).view(tasks, self.way, self.shot + self.query, *self.x_shape)
        support, query = x.split([self.shot, self.query], dim=2)
        return TaskBatch(self._examples(support), self._examples(query))

    def read_image(self, path: Path | str | Image.Image) -> Float[Tensor, "1 size size"]:
        """A user's own drawing (dark ink on light paper) as this distribution's images are: grey, resized, ink = 1.

        Raises:
            DataError: a file that is not a readable image.
        """
        return read_ink(path, self.size)

    def _examples(self, x: Float[Tensor, "tasks way n 1 h w"]) -> Examples:
        y: Int[Tensor, "tasks examples"] = torch.arange(self.way).repeat_interleave(x.shape[2]).repeat(len(x), 1)
        return Examples(x.flatten(1, 2), y)
