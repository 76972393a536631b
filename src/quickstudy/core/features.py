"""Solvers that see a task through one network's features: those of the support set, and those of the queries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, check_tasks
from quickstudy.core.batchnorm import Statistics, together
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import TaskModel
from quickstudy.core.taken import Adapts, Found, set_statistics

FromFeatures: TypeAlias = Callable[[Tensor], Tensor]
"""From query features ``[tasks, n, ...]`` to predictions ``[tasks, n, ...]``."""


@dataclass(frozen=True)
class FeatureSolver(Found):
    """A solver of ``solver_of_features``.

    Args:
        net: the embedding.
        statistics: BatchNorm's, by which queries are normalised (None: there are none).
        predict: from a query's features (None: the support set is embedded anew with every set of queries).
    """

    net: TaskModel
    statistics: Statistics | None
    predict: FromFeatures | None

    def alone(self) -> Callable[[Tensor], Tensor]:
        """Of its one task, through the network itself, whose BatchNorm layers now hold the solver's statistics.

        Raises:
            UsageError: support set and queries are normalised together.
        """
        predict, model = self.predict, self.net.model
        if predict is None:
            raise UsageError(
                "with bn='transductive' this solver normalises the support set and the queries as one batch, which no "
                "plain module does; build the learner with bn='support' (or 'running')."
            )
        mine = None if self.statistics is None else [(mean[0], var[0]) for mean, var in self.statistics]
        set_statistics(model, mine, self.net.known.norms, self.net.bn)
        return lambda x: predict(model(x).unsqueeze(0)).squeeze(0)


def solver_of_features(
    net: TaskModel,
    support: Examples,
    fit: Callable[[Tensor, Tensor], FromFeatures],
    *,
    bn_mode: str,
    again: Adapts,
) -> FeatureSolver:
    """The solver that ``fit`` makes of the support set's features; queries are embedded by the same network.

    BatchNorm's mode ``transductive`` takes the support set and the queries of a task as one batch, so the support set
    is embedded anew, and ``fit`` anew, with every set of queries. In the other modes both are done once.

    Args:
        net: the embedding, the same for all tasks.
        support: examples ``[tasks, n, ...]``.
        fit: from the support set's features ``[tasks, n, ...]`` and its labels to what predicts.
        bn_mode: BatchNorm's mode as ``batchnorm.describe`` says it of the whole learner.
        again: the learner's ``adapt``, which makes the same solver elsewhere (see ``taken``).
    """
    shared = net.start(len(support))
    if together(bn_mode):

        def solve_together(x: Tensor) -> Tensor:
            check_tasks(x, len(support))
            features = net.forward(shared, torch.cat([support.x, x], 1))
            own, asked = features.tensor_split([support.x.shape[1]], dim=1)
            return fit(own, support.y)(asked)

        return FeatureSolver(solve_together, again, support, net, None, None)
    statistics = net.statistics(shared, support.x)
    predict = fit(net.forward(shared, support.x, statistics), support.y)

    def solve(x: Tensor) -> Tensor:
        check_tasks(x, len(support))
        return predict(net.forward(shared, x, statistics))

    return FeatureSolver(solve, again, support, net, statistics, predict)
