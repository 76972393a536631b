"""Several solvers of each task: as one solver, in the eyes of a critic, and how much they differ.

Axes: t tasks, d draws, n query examples, k classes, f features, c code, p outputs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from quickstudy.core.batch import Examples, check_tasks
from quickstudy.core.functional import AdaptedModel, Params
from quickstudy.core.taken import check_task
from quickstudy.nets.generators.critic import SolverCritic


@dataclass(frozen=True)
class Ensemble:
    """The draws of each task as one solver.

    Args:
        solver: of all draws of all tasks, a task's draws one after the other.
        draws: solvers per task.
        classes: whether predictions are logits.
        support: what was adapted to.
    """

    solver: AdaptedModel
    draws: int
    classes: bool
    support: Examples

    def each(self, x: Tensor) -> Tensor:
        """Predictions of each draw for ``x [tasks, n, ...]``: logits or values ``[tasks, draws, n, ...]``."""
        check_tasks(x, len(self.support))
        return self.solver(x.repeat_interleave(self.draws, 0)).unflatten(0, (-1, self.draws))

    def mean(self, each: Tensor) -> Tensor:
        """One prediction: the mean of values, or the logarithm of the mean of probabilities."""
        return mean_prediction(each, self.classes)

    def values(self, each: Tensor) -> Tensor:
        """Values, or probabilities."""
        return each.softmax(-1) if self.classes else each

    def __call__(self, x: Tensor) -> Tensor:
        """Predictions ``[tasks, n, ...]`` of the ensemble."""
        return self.mean(self.each(x))

    def module(self, task: int) -> nn.Module:
        """One task's ensemble as a plain module, its solvers in it."""
        check_task(task, len(self.support))
        first = task * self.draws
        return EnsembleOfTask([self.solver.module(first + draw) for draw in range(self.draws)], self).eval()


class EnsembleOfTask(nn.Module):
    """One task's solvers, and their mean as of an ``Ensemble``: ``[n, ...]`` to ``[n, ...]``."""

    def __init__(self, solvers: Sequence[nn.Module], like: Ensemble) -> None:
        super().__init__()
        self.solvers = nn.ModuleList(solvers)
        self.classes = like.classes

    def forward(self, x: Tensor) -> Tensor:
        """The mean of values, or the logarithm of the mean of probabilities."""
        return mean_prediction(torch.stack([solver(x) for solver in self.solvers]).unsqueeze(0), self.classes)[0]


def mean_prediction(each: Tensor, classes: bool) -> Tensor:
    """One prediction of several, ``[t, d, n, ...]``: the mean of values, or the logarithm of mean probabilities."""
    if not classes:
        return each.mean(1)
    return each.log_softmax(-1).logsumexp(1) - math.log(each.shape[1])


@dataclass(frozen=True)
class Opinion:
    """The critic of a batch of tasks: query features ``[t, n, f]`` and codes ``[t, k, c]``."""

    critic: SolverCritic
    features: Tensor
    code: Tensor
    classes: bool

    def __call__(self, predictions: Tensor) -> Tensor:
        """Of solvers' predictions ``[t, d, n, p]`` for the query, one number each, ``[t, d]``."""
        items = predictions.softmax(-1).unsqueeze(-1) if self.classes else predictions.unsqueeze(3)
        return self.critic(self.features, self.code, items)


def always(params: Params) -> Callable[[Examples], Params]:
    """A start of an inner loop that is there already."""

    def begin(support: Examples) -> Params:
        return params

    return begin


def each_task(examples: Examples, draws: int) -> Examples:
    """Every task ``draws`` times."""
    return Examples(examples.x.repeat_interleave(draws, 0), examples.y.repeat_interleave(draws, 0))


def variety_of(made: Params, start: Params) -> Tensor:
    """The share of the change from the start to what was made that differs between draws; 0 where nothing changed."""
    parts: list[Tensor] = []
    for name, p in made.items():
        changes = p.unflatten(0, (len(start[name]), -1)) - start[name].unsqueeze(1)
        own = changes - changes.mean(1, keepdim=True)
        parts.append(torch.stack([own.square().sum(), changes.square().sum()]))
    own, all_ = torch.stack(parts).sum(0)
    return (own / all_.clamp(min=torch.finfo(own.dtype).tiny)).sqrt()
