"""Episodes: N-way K-shot tasks over any labelled set of images, or of feature vectors.

A task draws ``way`` distinct classes, gives them the labels ``0 .. way-1`` in random order, and draws ``shot`` support
and ``query`` query examples of each without replacement. The examples are held once, images as uint8; a batch of tasks
is one index operation and one conversion to float.

Reference: Vinyals et al.: Matching Networks for One Shot Learning. NeurIPS 2016 (section 4.1, the episodes and the
protocol in which every rotation of a character is a class of its own).
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import at_least, one_of, shape_text
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import generator
from quickstudy.tasks.images._arrays import as_examples, as_labels, wanted
from quickstudy.tasks.images.affine import random_maps, warp

Rotate = Literal["none", "episode", "classes"]
Affine = Literal["none", "class", "drawing"]


class Episodes:
    """N-way K-shot episodes over labelled images or feature vectors.

    Args:
        images: ``[N, C, H, W]`` or ``[N, H, W]``, or features ``[N, f]``, a tensor or an array. uint8 (0..255) is held
            as it is and becomes float in [0, 1] in an episode; floating point must be finite and is handed on unscaled,
            as float32; whole numbers of other types are token ids ``[N, L]`` and handed on as int64.
        labels: ``[N]``, any integers; equal labels are one class. Classes may differ in size.
        way: classes per task.
        shot: support examples per class.
        query: query examples per class.
        rotate: ``"none"``; ``"episode"``: every class of every task is turned by one of 0, 90, 180, 270 degrees
            (augmentation); ``"classes"``: each of the four turns of a class is a class of its own (four times the
            classes, no more memory).
        affine: ``"class"``: every class of every task is turned, stretched, sheared and shifted a little, at random
            (augmentation: all its images alike); ``"drawing"``: every image by itself; ``"none"``.
        classes: the labels to draw from, all if None; so several splits share one array (see ``split_classes``).

    Raises:
        UsageError: options below 1, way larger than the classes there are, a class with fewer than shot + query
            examples, shapes or types that do not fit, examples to be rotated that are no square images.
        DataError: examples with NaN or infinite values.

    >>> images, labels = torch.zeros(40, 1, 28, 28, dtype=torch.uint8), torch.arange(40) // 4
    >>> batch = Episodes(images, labels, way=5, shot=1, query=3).sample(32, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([32, 5, 1, 28, 28]), torch.Size([32, 15]))
    """

    kind: ClassVar[str] = "classification"

    def __init__(
        self,
        images: Tensor | NDArray[Any],
        labels: Tensor | NDArray[Any] | Sequence[int],
        *,
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        rotate: Rotate = "none",
        affine: Affine = "none",
        classes: Tensor | Sequence[int] | None = None,
    ) -> None:
        at_least(1, way=way, shot=shot, query=query)
        one_of(("none", "episode", "classes"), rotate=rotate)
        one_of(("none", "class", "drawing"), affine=affine)
        self.images = images
        self.labels = labels
        self.way = way
        self.shot = shot
        self.query = query
        self.rotate: Rotate = rotate
        self.affine: Affine = affine
        self.classes = classes
        self._images = as_examples(images)
        given = as_labels(labels, len(self._images))
        names = torch.unique(given) if classes is None else wanted(given, classes)
        index = torch.searchsorted(names, given).clamp(max=len(names) - 1)
        chosen = torch.nonzero(names[index] == given).flatten()  # the images whose class is drawn from
        self._order = chosen[torch.argsort(index[chosen], stable=True)]  # their positions, class by class
        self._count = torch.bincount(index[chosen], minlength=len(names))  # [classes]
        self._start = self._count.cumsum(0) - self._count  # [classes] where a class begins in _order
        self._check(names)

    def _check(self, names: Int[Tensor, " classes"]) -> None:
        if self.way > self.n_classes:
            raise UsageError(
                f"way={self.way} is larger than the {self.n_classes} classes there are; use way <= {self.n_classes} or "
                f"data with more classes."
            )
        need = self.shot + self.query
        small = torch.nonzero(self._count < need).flatten()
        if len(small):
            raise UsageError(
                f"shot + query = {self.shot} + {self.query} = {need} examples are needed of every class, but class "
                f"{int(names[small[0]])} has {int(self._count[small[0]])} ({len(small)} of {len(names)} classes have "
                f"too few); lower shot or query, or leave these classes out."
            )
        if self.rotate != "none" and (len(self.x_shape) != 3 or self.x_shape[-1] != self.x_shape[-2]):
            raise UsageError(f"rotate={self.rotate!r} needs square images, got {[*self.x_shape]}.")
        if self.affine != "none" and len(self.x_shape) != 3:
            raise UsageError(f"affine={self.affine!r} needs images, got {[*self.x_shape]}.")

    @property
    def n_classes(self) -> int:
        """How many classes there are to draw from (rotations counted where they are classes)."""
        return len(self._count) * (4 if self.rotate == "classes" else 1)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example, ``(C, H, W)`` or ``(f,)``."""
        return tuple(self._images.shape[1:])

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    def describe(self) -> str:
        """One line for people."""
        what = "images" if len(self.x_shape) == 3 else "examples"
        size = f"{len(self._order)} {what}, {self.n_classes} classes"
        return f"Episodes ({size}), {shape_text(self.way, self.shot, self.query)}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments.

        Returns:
            support ``x [tasks, way * shot, C, H, W]`` float32, ``y [tasks, way * shot]`` int64, and the same for the
            query with ``way * query`` (features: ``[tasks, way * shot, f]``); examples lie class by class, labels 0, 0,
            .., 1, 1, ..
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "episodes")
        choice = _distinct(torch.full((tasks,), self.n_classes), self.way, rng)  # [tasks, way]
        quarters = None
        if self.rotate == "classes":
            choice, quarters = choice // 4, choice % 4
        elif self.rotate == "episode":
            quarters = torch.randint(4, choice.shape, generator=rng)
        picks = _distinct(self._count[choice], self.shot + self.query, rng)  # [tasks, way, shot + query]
        index = self._order[self._start[choice].unsqueeze(-1) + picks]
        maps = None
        if self.affine != "none":  # [tasks, way, shot + query, 2, 3]
            own = (*index.shape[:2], 1 if self.affine == "class" else index.shape[2])
            maps = random_maps(math.prod(own), rng=rng).unflatten(0, own).expand(*index.shape, 2, 3)
        parts = [slice(self.shot), slice(self.shot, None)]
        return TaskBatch(
            *(self._gather(index[:, :, n], quarters, None if maps is None else maps[:, :, n]) for n in parts)
        )

    def _gather(
        self,
        index: Int[Tensor, "tasks way n"],
        quarters: Int[Tensor, "tasks way"] | None,
        maps: Float[Tensor, "tasks way n 2 3"] | None,
    ) -> Examples:
        tasks, way, n = index.shape
        if quarters is None:
            x = self._images.index_select(0, index.flatten())
        else:
            x = _turned(self._images, index.flatten(), quarters.unsqueeze(-1).expand(index.shape).flatten())
        if x.dtype == torch.uint8:
            x = x.float().div_(255)
        if maps is not None:
            x = warp(x, maps.flatten(0, 2))
        y = torch.arange(way).repeat_interleave(n).repeat(tasks, 1)
        return Examples(x.view(tasks, way * n, *x.shape[1:]), y)


def _turned(
    images: Shaped[Tensor, "total c h h"], index: Int[Tensor, " n"], quarters: Int[Tensor, " n"]
) -> Shaped[Tensor, "n c h h"]:
    """``images[index]``, image i turned counter-clockwise by ``90 * quarters[i]`` degrees (quarters in 0..3)."""
    order = quarters.argsort()
    blocks = images.index_select(0, index[order]).split(torch.bincount(quarters, minlength=4).tolist())
    turned = torch.cat([torch.rot90(block, quarter, dims=(-2, -1)) for quarter, block in enumerate(blocks)])
    return turned.index_select(0, order.argsort())


def split_classes(
    labels: Tensor | NDArray[Any] | Sequence[int],
    *,
    fractions: tuple[float, ...] = (0.64, 0.16, 0.2),
    seed: int = 0,
) -> tuple[Int[Tensor, " classes"], ...]:
    """Class-disjoint splits: the labels of each split, for the option ``classes`` of ``Episodes``.

    Args:
        labels: ``[N]`` any integers.
        fractions: share of the classes in each split; must sum to 1.
        seed: of the shuffle of the classes, below 2**32.

    Raises:
        UsageError: fractions that do not sum to 1, or a split that would get no class.

    >>> train, val, test = split_classes([c for c in range(25) for _ in range(4)])
    >>> len(train), len(val), len(test)
    (16, 4, 5)
    """
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise UsageError(f"fractions must be positive and sum to 1, got {fractions}.")
    names = torch.unique(as_labels(labels, len(labels)))
    ends = [round(len(names) * end) for end in accumulate(fractions)]
    sizes = [end - start for start, end in pairwise([0, *ends])]
    if min(sizes) < 1:
        raise UsageError(
            f"{len(names)} classes cannot be split into the fractions {fractions}: a split would get no class; use "
            f"more classes or other fractions."
        )
    shuffled = names[
        torch.from_numpy(np.random.RandomState(seed).permutation(len(names)))
    ]  # a stream that never changes
    return tuple(part.sort().values for part in shuffled.split(sizes))


def _distinct(counts: Int[Tensor, "..."], draws: int, rng: torch.Generator) -> Int[Tensor, "... draws"]:
    """Draw ``draws`` distinct integers in ``0 .. counts-1`` in uniformly random order, for every element of counts.

    Floyd's algorithm, vectorised over the elements: the work does not grow with ``counts``.
    """
    u = torch.rand((2, draws, *counts.shape), generator=rng, dtype=torch.float64)
    chosen = torch.empty((draws, *counts.shape), dtype=torch.int64)
    for i in range(draws):
        last = counts - draws + i
        drawn = (u[0, i] * (last + 1)).long()
        chosen[i] = torch.where((chosen[:i] == drawn).any(0), last, drawn) if i else drawn
    return chosen.gather(0, u[1].argsort(dim=0)).movedim(0, -1)
