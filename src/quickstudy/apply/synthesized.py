"""Synthesized: tasks of classes that a trained generator makes, mixed with tasks of real ones.

Every task by itself is made with probability ``share``, all its classes; else it is one of ``base``. Real and made
classes are not mixed within a task: a learner could tell some of them apart by how they are drawn. In the splits that
training does not use all tasks are real.

The generator draws a fixed stock of classes once, when the first task is asked for, and episodes are drawn from it as
from real classes: as fast, and a pure function of the generator, the options and the seed.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from quickstudy import registry
from quickstudy.core.batch import Examples, TaskBatch, shared_draws
from quickstudy.core.checks import SPLITS, at_least, one_of, shape_text
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import fold
from quickstudy.core.seeding import generator as generator_of
from quickstudy.core.shown import shown
from quickstudy.tasks.images.episodes import Affine, Episodes
from quickstudy.training.runs import Run

AT_ONCE = 50  # classes drawn at a time


@runtime_checkable
class MakesClasses(Protocol):
    """A learner that draws classes from codes; ``task-gan`` is one."""

    x_shape: tuple[int, ...]
    class_code: int
    drawing_code: int

    def images(self, classes: Tensor, drawings: Tensor) -> Tensor:
        """Codes ``[n, class_code]`` and ``[n, k, drawing_code]`` to images ``[n, k, *x_shape]`` in [0, 1]."""
        ...


class Synthesized:
    """N-way K-shot, classes that a trained generator (learner task-gan) makes, mixed with real ones.

    Args:
        generator: the run folder of a ``task-gan`` (its best checkpoint is taken), or the learner itself.
        base: where the real tasks come from, of the way, shot and query given here (rebuilt with them if it has
            others); None: the tasks that the generator was trained on.
        split: ``"train"``, ``"val"``, ``"trainval"`` or ``"test"``; in ``"val"`` and ``"test"`` all tasks are real.
        way: classes per task.
        shot: support drawings per class.
        query: query drawings per class.
        share: probability that a task is made, in [0, 1].
        classes: how many are made, once, for all made tasks to draw from.
        each: drawings made of each of them, at least shot + query.
        made_affine: augmentation of the made tasks, as ``affine`` of Omniglot: ``none``, ``class`` or ``drawing``.

    Raises:
        UsageError: options that cannot be met, a run of another learner, images of another shape than those of base.
    """

    kind: ClassVar[str] = "classification"
    called: ClassVar[str] = "made-up characters"

    def __init__(
        self,
        generator: "str | Path | MakesClasses | InMemory",
        base: Any = None,
        *,
        split: str = "train",
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        share: float = 0.5,
        classes: int = 1000,
        each: int = 20,
        made_affine: Affine = "none",
    ) -> None:
        one_of(SPLITS, split=split)
        one_of(("none", "class", "drawing"), made_affine=made_affine)
        at_least(1, way=way, shot=shot, query=query)
        at_least(way, classes=classes)
        at_least(shot + query, each=each)
        if not 0 <= share <= 1:
            raise UsageError(f"share must be in [0, 1], got {share}.")
        learner, tasks = _opened(generator)
        if tasks is None and base is None:
            raise UsageError("a learner does not know what it was trained on: give base, the real tasks.")
        self.generator = generator if isinstance(generator, str | Path) else InMemory(learner)
        self.base = base
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.share = share
        self.classes = classes
        self.each = each
        self.made_affine: Affine = made_affine
        self._learner = learner
        self._real = _of_shape(tasks if base is None else base, split=split, way=way, shot=shot, query=query)
        if tuple(self._real.x_shape) != learner.x_shape:
            raise UsageError(f"base has images {[*self._real.x_shape]}, the generator makes {[*learner.x_shape]}.")

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example, ``(channels, size, size)``."""
        return tuple(self._real.x_shape)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: what those of the real tasks have."""
        return shared_draws(self._real)

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        if not self._mixes:
            return str(self._real.describe())
        pool = f"{self.share:.0%} of tasks of {self.classes} made classes, else {self._real.describe()}"
        return f"Synthesized {self.split} ({pool}), {shape_text(self.way, self.shot, self.query)}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments.

        Returns:
            As ``base``: support ``x [tasks, way * shot, C, H, W]`` float32, ``y [tasks, way * shot]`` int64, and the
            same for the query with ``way * query``.
        """
        at_least(1, tasks=tasks)
        if not self._mixes:
            return self._real.sample(tasks, seed)
        made = torch.rand(tasks, generator=generator_of(seed, "tasks", "synthesized")) < self.share
        count = int(made.sum())
        batches = [
            source.sample(number, fold(seed, "tasks", "synthesized", name))
            for name, source, number in (("real", self._real, tasks - count), ("made", self.stock, count))
            if number
        ]
        where = made.int().argsort(stable=True).argsort()  # the real ones first, each in its order
        support, query = (_joined([getattr(b, part) for b in batches], where) for part in ("support", "query"))
        named = [name for b in batches for name in b.class_names or [None] * len(b)]
        names = tuple(named[i] for i in where.tolist())
        return TaskBatch(support, query, None if None in names else names)

    @cached_property
    def stock(self) -> Episodes:
        """The made classes, as episodes; drawn when first asked for."""
        rng = generator_of(0, "synthesized")
        learner = self._learner
        device = next(learner.parameters()).device if isinstance(learner, nn.Module) else torch.device("cpu")
        images: list[Tensor] = []
        with torch.no_grad():
            for start in range(0, self.classes, AT_ONCE):
                count = min(AT_ONCE, self.classes - start)
                classes = torch.randn(count, self._learner.class_code, generator=rng)
                drawings = torch.randn(count, self.each, self._learner.drawing_code, generator=rng)
                made = self._learner.images(classes.to(device), drawings.to(device))
                images.append((made * 255).round().byte().flatten(0, 1).cpu())
        labels = torch.arange(self.classes).repeat_interleave(self.each)
        pool = torch.cat(images)
        return Episodes(pool, labels, way=self.way, shot=self.shot, query=self.query, affine=self.made_affine)

    @property
    def _mixes(self) -> bool:
        return self.split in ("train", "trainval")


@dataclass(frozen=True)
class InMemory:
    """A generator that is in no run folder, and therefore cannot be written down."""

    learner: MakesClasses


def _opened(generator: str | Path | InMemory | MakesClasses) -> tuple[MakesClasses, Any]:
    """The learner, and what it was trained on where that is known."""
    if isinstance(generator, InMemory):
        return generator.learner, None
    run = Run.open(generator) if isinstance(generator, str | Path) else None
    learner = generator if run is None else run.learner()
    if not isinstance(learner, MakesClasses):
        raise UsageError(f"Synthesized takes a task-gan, or its run folder, not a {type(learner).__name__}.")
    return learner, None if run is None else run.tasks()


def _of_shape(base: Any, **shape: Any) -> Any:
    """``base`` with another split, way, shot or query, where it has such and they differ."""
    changes = {name: value for name, value in shape.items() if getattr(base, name, value) != value}
    try:
        return registry.build(registry.describe(base), **changes) if changes else base
    except UsageError as error:
        raise UsageError(f"base cannot be rebuilt with {changes} ({error}); give one that has them.") from error


def _joined(parts: list[Examples], where: Tensor) -> Examples:
    return Examples(torch.cat([p.x for p in parts])[where], torch.cat([p.y for p in parts])[where])
