"""The things that pass through the house. The FIRST axis of every tensor is the task."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from quickstudy.core.above import above
from quickstudy.core.errors import UsageError
from quickstudy.core.shown import in_short, shown_batch


@dataclass(frozen=True, init=False)
class Examples:
    """Labelled examples of a batch of tasks: ``x [tasks, examples, ...]`` and ``y [tasks, examples, ...]``.

    Classification: ``y`` is int64 ``[tasks, examples]`` with values in ``0 .. way-1``.
    Regression: ``y`` is floating point ``[tasks, examples, outputs]``.

    Arrays and lists become tensors, of torch's default type where they are floating point; labels become int64.

    Raises:
        UsageError: no numbers, or shapes that do not fit each other.
    """

    x: Tensor
    y: Tensor

    def __init__(self, x: Any, y: Any) -> None:
        # Checked here and not by annotations: users make these, and are owed a sentence.
        object.__setattr__(self, "x", _tensor(x, "x"))
        y = _tensor(y, "y")
        object.__setattr__(self, "y", y if y.is_floating_point() or y.is_complex() else y.long())
        if self.x.ndim < 2 or self.y.ndim < 2 or self.x.shape[:2] != self.y.shape[:2]:
            raise UsageError(
                f"x and y must share their first two axes [tasks, examples], got x {list(self.x.shape)} and "
                f"y {list(self.y.shape)}; for a single task add the task axis with x[None], y[None]."
            )

    def __len__(self) -> int:
        return len(self.x)

    def __repr__(self) -> str:
        return in_short(self)

    def __getitem__(self, tasks: slice) -> "Examples":
        return Examples(self.x[tasks], self.y[tasks])

    def to(self, device: torch.device | str) -> "Examples":
        return Examples(self.x.to(device), self.y.to(device))

    def floating(self, dtype: torch.dtype) -> "Examples":
        """The same with what is floating point in ``dtype``; whole numbers stay what they are."""
        return Examples(*(t.to(dtype) if t.is_floating_point() else t for t in (self.x, self.y)))


def _tensor(given: Any, name: str) -> Tensor:
    if isinstance(given, Tensor):
        return given
    try:
        found = torch.as_tensor(np.asarray(given))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} must be a tensor, or numbers as an array or lists of one shape: {error}.") from error
    return found.to(torch.get_default_dtype()) if found.is_floating_point() else found


@dataclass(frozen=True)
class TaskBatch:
    """A batch of tasks: what is adapted on (``support``) and what the adapted solver is judged on (``query``).

    Args:
        support: examples to learn each task from.
        query: examples that the solvers are judged on.
        class_names: what the classes are called, where they have names: ``class_names[task][label]``.

    Raises:
        UsageError: parts of different numbers of tasks.
    """

    support: Examples
    query: Examples
    class_names: tuple[tuple[str, ...], ...] | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.support, Examples) and isinstance(self.query, Examples)):
            raise UsageError(
                f"support and query must be Examples(x, y), got {type(self.support).__name__} and "
                f"{type(self.query).__name__}."
            )
        if len(self.support) != len(self.query):
            raise UsageError(
                f"support and query must hold the same tasks, got {len(self.support)} and {len(self.query)} tasks."
            )
        if self.class_names is not None and len(self.class_names) != len(self.support):
            raise UsageError(
                f"class_names must be those of each task, got {len(self.class_names)} for {len(self.support)} tasks."
            )

    def __len__(self) -> int:
        return len(self.support)

    __repr__ = shown_batch

    def _repr_html_(self) -> str:
        """Notebooks: the first tasks, drawn (``quickstudy.report.notebook``)."""
        return above("report.notebook:batch_html")(self)

    def __getitem__(self, tasks: slice) -> "TaskBatch":
        names = None if self.class_names is None else self.class_names[tasks]
        return TaskBatch(self.support[tasks], self.query[tasks], names)

    def to(self, device: torch.device | str) -> "TaskBatch":
        return TaskBatch(self.support.to(device), self.query.to(device), self.class_names)

    def floating(self, dtype: torch.dtype) -> "TaskBatch":
        """The same with what is floating point in ``dtype``; whole numbers stay what they are."""
        return TaskBatch(self.support.floating(dtype), self.query.floating(dtype), self.class_names)


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
    """A distribution of tasks. ``sample`` is a pure function of its arguments (see ``quickstudy.core.seeding``).

    One that draws something once for all tasks of a batch says so (``SharesDraws``).
    """

    def sample(self, tasks: int, seed: int) -> B_co:
        """Draw ``tasks`` tasks; the same arguments always give the same batch."""
        ...


@runtime_checkable
class SharesDraws(Protocol):
    """Tasks that say what is drawn once for all tasks of a batch. Those of other distributions are independent."""

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common, by name (the shot, say); empty: nothing."""
        ...


def shared_draws(tasks: object) -> tuple[str, ...]:
    """What the tasks of one batch of a distribution have in common: its ``shares``, nothing where it says nothing.

    Raises:
        UsageError: ``shares`` is no tuple of names.
    """
    shares: Any = tasks.shares if isinstance(tasks, SharesDraws) else ()
    if not isinstance(shares, tuple | list) or not all(isinstance(name, str) for name in shares):
        raise UsageError(
            f"shares of {type(tasks).__name__} must be a tuple of names of what is drawn once for a batch, such as "
            f"('shot',), empty where its tasks are independent, got {shares!r}."
        )
    return tuple(shares)


def check_tasks(x: Tensor, tasks: int) -> None:
    """Raise ``UsageError`` where queries are not ``[tasks, n, ...]`` of as many tasks as a solver was adapted to."""
    if x.ndim < 2 or len(x) != tasks:
        raise UsageError(f"this solver was adapted to {tasks} tasks: x must be [{tasks}, n, ...], got {[*x.shape]}.")
