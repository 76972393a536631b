"""A task's solver as a plain ``nn.Module``, to take elsewhere: ``solver.module(task)``.

An adapted network becomes a copy of the network with the task's weights, whose BatchNorm layers hold what the solver
normalises by. A solver that reads the support set (features, a memory) becomes a module that holds the learner and the
task's support examples, and has read them. Both are in evaluation mode and can be pickled, and ``torch.export`` takes
the network; of what reads, it takes what runs no part of it task by task.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError

Adapts: TypeAlias = Callable[[Examples], Any]
"""A learner's ``adapt``, a bound method."""


@runtime_checkable
class Alone(Protocol):
    """A solver that has a plainer way to answer for the one task that it was adapted to."""

    def alone(self) -> Callable[[Tensor], Tensor]:
        """From ``x [n, ...]`` to predictions ``[n, ...]``; the learner's own network may be changed."""
        ...


def network_of_task(
    model: nn.Module,
    params: Mapping[str, Tensor],
    statistics: Sequence[tuple[Tensor, Tensor]] | None,
    norms: Sequence[str | None] | None,
    bn: str,
) -> nn.Module:
    """A copy of the model with one task's parameters and BatchNorm statistics.

    Args:
        model: the network.
        params: the task's parameters by name; others stay.
        statistics: mean and variance of each BatchNorm call of a forward, in order (None: there are none).
        norms: the names of the layers that make these calls (None: in the order in which the model has them).
        bn: BatchNorm's mode, which says what normalises where there are no statistics.

    Raises:
        UsageError: one layer normalises by several statistics, or it cannot be told which layer is meant.
    """
    own = copy.deepcopy(model)
    for name, p in params.items():
        own.get_parameter(name).data = p.detach().clone()
    set_statistics(own, statistics, norms, bn)
    return own.eval()


def set_statistics(
    own: nn.Module,
    statistics: Sequence[tuple[Tensor, Tensor]] | None,
    norms: Sequence[str | None] | None,
    bn: str,
) -> None:
    """Make what normalises a solver's queries that of the model's own BatchNorm layers (see ``network_of_task``)."""
    layers = {n: m for n, m in own.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)}
    if statistics is None and bn == "transductive":  # each batch by its own, in evaluation, too
        for layer in layers.values():
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
    if not statistics:
        return
    names = list(layers) if norms is None else norms
    fits = len(names) == len(statistics) == len({*names}) and all(
        name in layers and layers[name].num_features == len(mean)
        for name, (mean, _) in zip(names, statistics, strict=True)
    )
    if not fits:
        raise UsageError(
            "this solver normalises by statistics that no layer can hold: the network calls a BatchNorm layer more "
            "than once, or shares its weights. Keep the solver, or give each call a layer of its own."
        )
    for name, (mean, var) in zip(names, statistics, strict=True):
        layer = layers[name or ""]
        layer.track_running_stats = True
        layer.running_mean, layer.running_var = mean.detach().clone(), var.detach().clone()
        layer.num_batches_tracked = torch.ones((), dtype=torch.long, device=mean.device)


@dataclass(frozen=True)
class Found:
    """A solver that is found again by adapting again: so it can be pickled and taken elsewhere.

    Args:
        solve: answers.
        again: the learner's ``adapt``.
        support: what was adapted to.
    """

    solve: Callable[[Tensor], Tensor]
    again: Adapts
    support: Examples

    def __call__(self, x: Tensor) -> Tensor:
        """Predictions ``[tasks, n, ...]`` for ``x [tasks, n, ...]``."""
        return self.solve(x)

    def module(self, task: int) -> nn.Module:
        """One task's solver as a plain module, ``[n, ...]`` to ``[n, ...]``: the learner and the task's support."""
        return Reading(self.again, one(self.support, task))

    def __reduce__(self) -> Any:
        return found_again, (self.again, Examples(self.support.x.detach(), self.support.y.detach()))


def found_again(again: Adapts, support: Examples) -> Any:
    """The solver, without a graph."""
    with torch.no_grad():
        return again(support)


def one(support: Examples, task: int) -> Examples:
    """The examples of one task.

    Raises:
        UsageError: there is no such task.
    """
    check_task(task, len(support))
    return support[task : task + 1]


def check_task(task: int, tasks: int) -> None:
    """Raise ``UsageError`` for a task that a solver was not adapted to."""
    if not 0 <= task < tasks:
        raise UsageError(f"this solver was adapted to {tasks} tasks: task must be in 0 .. {tasks - 1}, got {task}.")


class Reading(nn.Module):
    """A learner that has read one task's support set, and answers queries ``[n, ...]``."""

    x: Tensor
    y: Tensor

    def __init__(self, again: Adapts, support: Examples) -> None:
        super().__init__()
        learner, name = again.__self__, again.__name__  # type: ignore[attr-defined]  # a bound method
        self.learner = copy.deepcopy(learner).requires_grad_(False)
        self.name = name
        self.register_buffer("x", support.x.detach().clone())
        self.register_buffer("y", support.y.detach().clone())
        self.eval()
        self._read()

    def _read(self) -> None:
        solver = found_again(getattr(self.learner, self.name), Examples(self.x, self.y))
        self.answer = solver.alone() if isinstance(solver, Alone) else partial(_first, solver)

    def forward(self, x: Tensor) -> Tensor:
        """Predictions ``[n, ...]``."""
        return self.answer(x)

    def _apply(self, fn: Any, recurse: bool = True) -> "Reading":
        super()._apply(fn, recurse)
        self._read()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "answer"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._read()


def _first(solver: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return solver(x.unsqueeze(0)).squeeze(0)
