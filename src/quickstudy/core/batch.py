"""The things that pass through the house. The FIRST axis of every tensor is the task."""

from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from quickstudy.core.errors import UsageError


@dataclass(frozen=True)
class Examples:
    """Labelled examples of a batch of tasks: ``x [tasks, examples, ...]`` and ``y [tasks, examples, ...]``.

    Classification: ``y`` is int64 ``[tasks, examples]`` with values in ``0 .. way-1``.
    Regression: ``y`` is floating point ``[tasks, examples, outputs]``.
    """

    # Checked below and not by annotations: users make these, and are owed a sentence.
    x: Tensor
    y: Tensor

    def __post_init__(self) -> None:
        if self.x.ndim < 2 or self.y.ndim < 2 or self.x.shape[:2] != self.y.shape[:2]:
            raise UsageError(
                f"x and y must share their first two axes [tasks, examples], got x {list(self.x.shape)} and "
                f"y {list(self.y.shape)}; for a single task add the task axis with x[None], y[None]."
            )

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, tasks: slice) -> "Examples":
        return Examples(self.x[tasks], self.y[tasks])

    def to(self, device: torch.device | str) -> "Examples":
        return Examples(self.x.to(device), self.y.to(device))

    def floating(self, dtype: torch.dtype) -> "Examples":
        """The same with what is floating point in ``dtype``; whole numbers stay what they are."""
        return Examples(*(t.to(dtype) if t.is_floating_point() else t for t in (self.x, self.y)))


@dataclass(frozen=True)
class TaskBatch:
    """A batch of tasks: what is adapted on (``support``) and what the adapted solver is judged on (``query``)."""

    support: Examples
    query: Examples

    def __post_init__(self) -> None:
        if len(self.support) != len(self.query):
            raise UsageError(
                f"support and query must hold the same tasks, got {len(self.support)} and {len(self.query)} tasks."
            )

    def __len__(self) -> int:
        return len(self.support)

    def __getitem__(self, tasks: slice) -> "TaskBatch":
        return TaskBatch(self.support[tasks], self.query[tasks])

    def to(self, device: torch.device | str) -> "TaskBatch":
        return TaskBatch(self.support.to(device), self.query.to(device))

    def floating(self, dtype: torch.dtype) -> "TaskBatch":
        """The same with what is floating point in ``dtype``; whole numbers stay what they are."""
        return TaskBatch(self.support.floating(dtype), self.query.floating(dtype))


S = TypeVar("S", bound="Batch")


@runtime_checkable
class Batch(Protocol):
    """All that the outer loop asks of a batch, whatever the tasks are."""

    def __len__(self) -> int: ...
    def __getitem__(self: S, tasks: slice) -> S: ...
    def to(self: S, device: torch.device | str) -> S: ...


B_co = TypeVar("B_co", bound=Batch, covariant=True)


@runtime_checkable
class TaskDistribution(Protocol[B_co]):
    """A distribution of tasks. ``sample`` is a pure function of its arguments (see ``quickstudy.core.seeding``)."""

    def sample(self, tasks: int, seed: int) -> B_co:
        """Draw ``tasks`` tasks; the same arguments always give the same batch."""
        ...


def check_tasks(x: Tensor, tasks: int) -> None:
    """Raise ``UsageError`` where queries are not ``[tasks, n, ...]`` of as many tasks as a solver was adapted to."""
    if x.ndim < 2 or len(x) != tasks:
        raise UsageError(f"this solver was adapted to {tasks} tasks: x must be [{tasks}, n, ...], got {[*x.shape]}.")
