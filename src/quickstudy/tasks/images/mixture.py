"""Mixture: several task distributions as one, batch by batch, with ways and shots that vary (Meta-Dataset's way).

Every batch is of one data set, one way and one shot, drawn anew: so its tasks are of one shape, and learners need not
know of the mixture.

Reference: Triantafillou et al.: Meta-Dataset. ICLR 2020.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import torch

from quickstudy import registry
from quickstudy.core.batch import Examples, TaskBatch, shared_draws
from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure, sample
from quickstudy.core.references import Judged, Reference, chance
from quickstudy.core.seeding import fold, generator
from quickstudy.core.shown import shown


class Mixture:
    """Batches of several data sets, with ways and shots that vary from batch to batch.

    Args:
        parts: the distributions; or names of registered ones, with their defaults. They are rebuilt with the split,
            way, shot and query of a batch.
        split: ``"train"``, ``"val"``, ``"trainval"`` or ``"test"``.
        way: classes per task, or the least and the most (not for learners with one output per class).
        shot: support examples per class, or the least and the most.
        query: query examples per class.
        size: height and width of the images, which those parts are rebuilt with that have others (None: as they are).
        channels: 3: grey images are given in three equal channels; None: as they are.
        weights: how often a batch is of each part, relative to each other (None: equally often).

    Raises:
        UsageError: parts that cannot be rebuilt so, or whose examples are of different shapes.
    """

    kind: ClassVar[str] = "classification"
    called: ClassVar[str] = "a mixture of data sets"

    def __init__(
        self,
        parts: Sequence[Any] | tuple[str, ...],
        *,
        split: str = "train",
        way: int | tuple[int, int] = 5,
        shot: int | tuple[int, int] = 1,
        query: int = 15,
        size: int | None = None,
        channels: int | None = None,
        weights: tuple[float, ...] | None = None,
    ) -> None:
        one_of(SPLITS, split=split)
        one_of((None, 3), channels=channels)
        self._ways, self._shots = _range("way", way), _range("shot", shot)
        at_least(1, way=self._ways[0], shot=self._shots[0], query=query, parts=len(parts))
        if weights is not None and (len(weights) != len(parts) or min(weights) < 0 or sum(weights) <= 0):
            raise UsageError(f"weights must be {len(parts)} numbers >= 0, one for each part, got {weights}.")
        self.parts = tuple(parts)
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.size = size
        self.channels = channels
        self.weights = weights
        described = [self._described(part) for part in parts]
        # Of the largest tasks, which so are known to be possible.
        largest = [self._built(each, self._ways[1], self._shots[1]) for each in described]
        shapes = [self._shape(tuple(each.x_shape)) for each in largest]
        if len({*shapes}) > 1:
            raise UsageError(
                f"the parts' examples must have one shape, got {' and '.join(map(str, shapes))}; give size=, and "
                f"channels=3 where some are grey."
            )
        self.x_shape = shapes[0]
        """Shape of one example."""
        self._names = [type(each).__name__ for each in largest]

        def part(place: int, way: int, shot: int) -> Any:
            return self._built(described[place], way, shot)

        self._part = cache(part)  # a part of another way or shot shares its images with the others

    def _described(self, part: Any) -> Any:
        cls = registry.load("tasks", part) if isinstance(part, str) else type(part)
        if cls.kind != "classification":
            raise UsageError(f"a mixture is of classification tasks; {part if isinstance(part, str) else cls} is not.")
        given = {"tasks": part, "options": {}} if isinstance(part, str) else registry.describe(part)
        if "opaque" in given:
            raise UsageError(f"{cls.__name__} cannot be rebuilt with other ways and shots; register it first.")
        return given

    def _built(self, described: Any, way: int, shot: int) -> Any:
        more = {} if self.size is None else {"size": self.size}
        return registry.build(described, split=self.split, way=way, shot=shot, query=self.query, **more)

    def _shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (3, *shape[1:]) if self.channels == 3 and shape[0] == 1 else shape

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way, the largest."""
        return self._ways[1]

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: the data set, the way and the shot, where there are several."""
        own = {"data set": len(self.parts) > 1, "way": self._ways[0] < self._ways[1]}
        own["shot"] = self._shots[0] < self._shots[1]
        inner = shared_draws(self._part(0, self._ways[1], self._shots[1])) if len(self.parts) == 1 else ()
        return (*(name for name, varies in own.items() if varies), *inner)

    __repr__ = shown

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Guessing: every way is as likely."""
        return (chance(*range(self._ways[0], self._ways[1] + 1)),) if judged.metric == "accuracy" else ()

    def describe(self) -> str:
        """One line for people."""
        way, shot = ("{}".format(*r) if r[0] == r[1] else "{} to {}".format(*r) for r in (self._ways, self._shots))
        return f"Mixture {self.split} ({', '.join(self._names)}), {way}-way {shot}-shot, {self.query} queries per class"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks of one data set, way and shot; a pure function of its arguments.

        Returns:
            As the part's: support ``x [tasks, way * shot, ...]`` float32, ``y [tasks, way * shot]`` int64, ...
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "mixture", self.split)
        often = torch.tensor(self.weights or [1.0] * len(self.parts), dtype=torch.float64)
        place = int(torch.multinomial(often, 1, generator=rng))
        way, shot = (int(torch.randint(low, high + 1, (), generator=rng)) for low, high in (self._ways, self._shots))
        batch = sample(self._part(place, way, shot), tasks, fold(seed, "tasks", "mixture", place))
        return TaskBatch(self._colored(batch.support), self._colored(batch.query), batch.class_names)

    def _colored(self, examples: Examples) -> Examples:
        x = examples.x
        return examples if x.shape[2:] == self.x_shape else Examples(x.expand(*x.shape[:2], *self.x_shape), examples.y)


def _range(name: str, given: int | tuple[int, int]) -> tuple[int, int]:
    pair = (given, given) if isinstance(given, int) else tuple(given)
    if len(pair) != 2 or not all(isinstance(end, int) for end in pair) or pair[0] > pair[1]:
        raise UsageError(f"{name} must be a whole number, or the least and the most of them, got {name}={given}.")
    return pair
