"""The interface of a meta-learner, and what its parts are called.

A meta-learner is an ``nn.Module`` whose parameters are the meta-parameters. It is saved, moved and optimised like any
module; the two methods that make it a meta-learner are ``adapt`` and ``meta_loss``.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeAlias, final, runtime_checkable

import torch
from torch import Tensor, nn

from quickstudy.losses import TaskLoss
from quickstudy.parallel import pieces, run_pieces

Solver: TypeAlias = Callable[[Tensor], Tensor]
"""``solver(x [tasks, n, ...]) -> predictions [tasks, n, ...]``, attached to the graph where grad mode was on."""
Metrics: TypeAlias = dict[str, float]
"""Diagnostics by name, each a mean over tasks. Nothing is ever computed from them."""
Gradients: TypeAlias = list[Tensor | None]
"""One gradient per parameter of the learner, in the order of ``parameters()`` (None: not reached)."""


class MetaLearner(nn.Module, ABC):
    """What every learner promises. ``quickstudy.testing.check_learner`` checks the promises.

    Neither ``adapt`` nor ``meta_loss`` changes anything: not the learner, not its buffers, not what is passed in.
    """

    @property
    @abstractmethod
    def tasks_at_once(self) -> int | None:
        """How many tasks ``meta_backward`` and evaluation run at once (None: all); bounds the memory."""

    @property
    @abstractmethod
    def bn_mode(self) -> str:
        """BatchNorm's mode, printed beside every result (``none`` without BatchNorm)."""

    @property
    @abstractmethod
    def judged_by(self) -> str | TaskLoss:
        """The loss by which solvers are judged on a task's query."""

    @abstractmethod
    def adapt(self, support: Any) -> Solver:
        """Learn each task from its support examples."""

    @abstractmethod
    def meta_loss(self, batch: Any) -> tuple[Tensor, Metrics]:
        """The mean over tasks of the adapted solvers' query loss, and diagnostics."""

    @abstractmethod
    def meta_gradient(self, batch: Any) -> tuple[Gradients, Metrics]:
        """The direction to descend, mean over tasks. Fills nothing."""

    @final
    def meta_backward(self, batch: Any, *, workers: int | None = None) -> Metrics:
        """Add ``meta_gradient`` of the batch to ``.grad`` of the parameters.

        Runs ``tasks_at_once`` tasks at a time on ``workers`` threads (None: as many as torch may use on a CPU, one
        elsewhere); neither changes the result by more than rounding.
        """
        parts = pieces(batch, self.tasks_at_once)
        on_cpu = all(p.device.type == "cpu" for p in self.parameters())
        results = run_pieces(type(self).meta_gradient, self, parts, workers if on_cpu else 1)
        weights = [len(part) / len(batch) for part in parts]
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                for (grads, _), weight in zip(results, weights, strict=True):
                    g = grads[i]
                    if g is not None:
                        p.grad = g * weight if p.grad is None else p.grad.add_(g, alpha=weight)
        return {
            name: sum(weight * metrics[name] for (_, metrics), weight in zip(results, weights, strict=True))
            for name in results[0][1]
        }


class LossLearner(MetaLearner):
    """A learner whose meta-gradient is the derivative of its meta-loss (all but Reptile and its like)."""

    @final
    def meta_gradient(self, batch: Any) -> tuple[Gradients, Metrics]:
        with torch.enable_grad():
            loss, metrics = self.meta_loss(batch)
            params = [p for p in self.parameters() if p.requires_grad]
            grads = iter(torch.autograd.grad(loss, params, allow_unused=True))
        return [next(grads) if p.requires_grad else None for p in self.parameters()], metrics


@runtime_checkable
class AdaptsInSteps(Protocol):
    """A learner whose adaptation can be watched, and run longer than it was trained for."""

    @property
    def adapt_steps(self) -> int:
        """Steps that ``adapt`` takes."""
        ...

    def adapt_path(self, support: Any, steps: int) -> Iterator[Solver]:
        """The solvers after 0, 1, ..., ``steps`` steps."""
        ...
