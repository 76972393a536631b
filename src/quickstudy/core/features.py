"""Solvers that see a task through one network's features: those of the support set, and those of the queries."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, check_tasks
from quickstudy.core.batchnorm import together
from quickstudy.core.functional import TaskModel

FromFeatures: TypeAlias = Callable[[Tensor], Tensor]
"""From query features ``[tasks, n, ...]`` to predictions ``[tasks, n, ...]``."""


def solver_of_features(
    net: TaskModel, support: Examples, fit: Callable[[Tensor, Tensor], FromFeatures], *, bn_mode: str
) -> Callable[[Tensor], Tensor]:
    """The solver that ``fit`` makes of the support set's features; queries are embedded by the same network.

    BatchNorm's mode ``transductive`` takes the support set and the queries of a task as one batch, so the support set
    is embedded anew, and ``fit`` anew, with every set of queries. In the other modes both are done once.

    Args:
        net: the embedding, the same for all tasks.
        support: examples ``[tasks, n, ...]``.
        fit: from the support set's features ``[tasks, n, ...]`` and its labels to what predicts.
        bn_mode: BatchNorm's mode as ``batchnorm.describe`` says it of the whole learner.
    """
    shared = net.start(len(support))
    if together(bn_mode):

        def solve_together(x: Tensor) -> Tensor:
            check_tasks(x, len(support))
            features = net.forward(shared, torch.cat([support.x, x], 1))
            own, asked = features.tensor_split([support.x.shape[1]], dim=1)
            return fit(own, support.y)(asked)

        return solve_together
    statistics = net.statistics(shared, support.x)
    predict = fit(net.forward(shared, support.x, statistics), support.y)

    def solve(x: Tensor) -> Tensor:
        check_tasks(x, len(support))
        return predict(net.forward(shared, x, statistics))

    return solve
