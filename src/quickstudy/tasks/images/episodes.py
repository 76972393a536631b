"""Episodes: N-way K-shot tasks over any labelled set of images, or of feature vectors.

A task draws ``way`` distinct classes, gives them the labels ``0 .. way-1`` in random order, and draws ``shot`` support
and ``query`` query examples of each without replacement. The examples are held once, images as uint8; a batch of tasks
is one index operation and one conversion to float.

Reference: Vinyals et al.: Matching Networks for One Shot Learning. NeurIPS 2016 (section 4.1, the episodes and the
protocol in which every rotation of a character is a class of its own).
"""

import math
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Int
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import at_least, one_of, shape_text
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown
from quickstudy.tasks.images._arrays import as_examples
from quickstudy.tasks.images._pictures import Changes, pictures
from quickstudy.tasks.images.affine import random_maps
from quickstudy.tasks.images.augment import random_colors, random_shifts
from quickstudy.tasks.images.labels import Names, names_of, read_labels, wanted

Rotate = Literal["none", "episode", "classes"]
Affine = Literal["none", "class", "drawing"]


class Episodes:
    """N-way K-shot episodes over labelled images or feature vectors.

    Args:
        images: images ``[N, C, H, W]`` or ``[N, H, W]``, series ``[N, C, L]``, features ``[N, f]``, or examples of more
            axes (volumes, video): a tensor, an array, a table. uint8 (0..255) is held as it is and becomes float in
            [0, 1] in an episode; floating point must be finite and is handed on unscaled, as float32; whole numbers
            of other types are token ids ``[N, L]``, handed on as int64, or images if they are surely 0..255.
        labels: ``[N]``, whole numbers or texts (a list, a tensor, an array, a column of a table); equal labels are one
            class, but 1 and "1" are two. Classes may differ in size.
        way: classes per task.
        shot: support examples per class.
        query: query examples per class.
        rotate: ``"none"``; ``"episode"``: every class of every task is turned by one of 0, 90, 180, 270 degrees
            (augmentation); ``"classes"``: each of the four turns of a class is a class of its own (four times the
            classes, no more memory).
        affine: ``"class"``: every class of every task is turned, stretched, sheared and shifted a little, at random
            (augmentation: all its images alike); ``"drawing"``: every image by itself; ``"none"``.
        crop: every image is shifted by up to so many pixels, with black from outside (augmentation, as the next two).
        flip: every other image, at random, is mirrored.
        jitter: every image's brightness, contrast and saturation times factors of 1 - jitter to 1 + jitter (0.4, say).
        classes: the labels to draw from (or their names), all if None; so several splits share one array (see
            ``split_classes``).
        names: what the classes are called: a mapping from label to name, or the name of label i at place i; None: by
            their labels. A batch hands them on (``class_names``).
        series: whether ``[N, ., .]`` are series ``[N, C, L]`` (True) or images without a channel (False); None: images
            where they are uint8 or square, else series.

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
        images: Any,
        labels: Any,
        *,
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        rotate: Rotate = "none",
        affine: Affine = "none",
        crop: int = 0,
        flip: bool = False,
        jitter: float = 0.0,
        classes: Any = None,
        names: Names | None = None,
        series: bool | None = None,
    ) -> None:
        at_least(1, way=way, shot=shot, query=query)
        at_least(0, crop=crop)
        one_of(("none", "episode", "classes"), rotate=rotate)
        one_of(("none", "class", "drawing"), affine=affine)
        self.images = images
        self.labels = labels
        self.way = way
        self.shot = shot
        self.query = query
        self.rotate: Rotate = rotate
        self.affine: Affine = affine
        self.crop = crop
        self.flip = flip
        self.jitter = jitter
        self.classes = classes
        self.names = names
        self.series = series
        self._images = as_examples(images, series)
        places, found = read_labels(labels, len(self._images))
        called = names_of(found, names)
        drawn = torch.arange(len(found)) if classes is None else wanted(classes, found, called)
        turns = (0, 90, 180, 270) if rotate == "classes" else (0,)
        self._names = tuple(f"{called[i]} turned {t}" if t else called[i] for i in drawn.tolist() for t in turns)
        index = torch.full((len(found),), -1).index_copy(0, drawn, torch.arange(len(drawn)))[places]
        chosen = torch.nonzero(index >= 0).flatten()  # the images whose class is drawn from
        self._order = chosen[torch.argsort(index[chosen], stable=True)]  # their positions, class by class
        self._count = torch.bincount(index[chosen], minlength=len(drawn))  # [classes]
        self._start = self._count.cumsum(0) - self._count  # [classes] where a class begins in _order
        self._check()

    def _check(self) -> None:
        if self.way > self.n_classes:
            raise UsageError(
                f"way={self.way} is larger than the {self.n_classes} classes there are; use way <= {self.n_classes} or "
                f"data with more classes."
            )
        need = self.shot + self.query
        small = torch.nonzero(self._count < need).flatten()
        turns = len(self._names) // len(self._count)
        if len(small):
            raise UsageError(
                f"shot + query = {self.shot} + {self.query} = {need} examples are needed of every class, but class "
                f"{self._names[int(small[0]) * turns]} has {int(self._count[small[0]])} ({len(small)} of "
                f"{len(self._count)} classes have too few); lower shot or query, or leave these classes out."
            )
        if self.rotate != "none" and (len(self.x_shape) != 3 or self.x_shape[-1] != self.x_shape[-2]):
            raise UsageError(f"rotate={self.rotate!r} needs square images, got {[*self.x_shape]}.")
        changed = {"affine": self.affine != "none", "crop": self.crop, "flip": self.flip, "jitter": self.jitter}
        for name, value in changed.items():
            if value and len(self.x_shape) != 3:
                raise UsageError(f"{name}={getattr(self, name)!r} needs images, got {[*self.x_shape]}.")
        if not 0 <= self.jitter <= 1:
            raise UsageError(f"jitter must be in [0, 1], got {self.jitter}.")

    @property
    def n_classes(self) -> int:
        """How many classes there are to draw from (rotations counted where they are classes)."""
        return len(self._count) * (4 if self.rotate == "classes" else 1)

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes that are drawn from are called (rotations as ``n_classes``)."""
        return self._names

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(C, H, W)``, ``(C, L)``, ``(f,)``, ..."""
        return tuple(self._images.shape[1:])

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        what = {2: "series", 3: "images"}.get(len(self.x_shape), "examples")
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
        called = tuple(tuple(self._names[place] for place in task) for task in choice.tolist())
        quarters = None
        if self.rotate == "classes":
            choice, quarters = choice // 4, choice % 4
        elif self.rotate == "episode":
            quarters = torch.randint(4, choice.shape, generator=rng)
        picks = _distinct(self._count[choice], self.shot + self.query, rng)  # [tasks, way, shot + query]
        index = self._order[self._start[choice].unsqueeze(-1) + picks]
        changes = self._changes(index.shape, quarters, rng)
        parts = (slice(self.shot), slice(self.shot, None))
        support, query = (self._gather(index[:, :, n], changes[:, :, n]) for n in parts)
        return TaskBatch(support, query, called)

    def _changes(self, size: torch.Size, quarters: Int[Tensor, "tasks way"] | None, rng: torch.Generator) -> Changes:
        """What is done to each image ``[tasks, way, n]``."""
        maps, count = None, math.prod(size)
        if self.affine != "none":
            own = (*size[:2], 1 if self.affine == "class" else size[2])
            maps = random_maps(math.prod(own), rng=rng).unflatten(0, own).expand(*size, 2, 3)
        return Changes(
            quarters=None if quarters is None else quarters.unsqueeze(-1).expand(size),
            maps=maps,
            shifts=random_shifts(count, self.crop, rng=rng).view(*size, 2) if self.crop else None,
            mirror=torch.rand(size, generator=rng) < 0.5 if self.flip else None,
            colors=random_colors(count, self.jitter, rng=rng).view(*size, 3) if self.jitter else None,
        )

    def _gather(self, index: Int[Tensor, "tasks way n"], changes: Changes) -> Examples:
        tasks, way, n = index.shape
        x = pictures(self._images, index.flatten(), changes.flat())
        y = torch.arange(way).repeat_interleave(n).repeat(tasks, 1)
        return Examples(x.view(tasks, way * n, *x.shape[1:]), y)


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
