"""Tasks with unequal numbers of examples in one batch: rows that are no examples fill the shorter ones.

Padding is marked in the labels: ``y = -1`` where they are classes, ``nan`` where they are values; ``x`` is zero there.
A learner that knows of padding asks ``present``. One that does not fails: the label is out of range, or the loss is
not finite.

>>> two = Examples(torch.ones(1, 2, 1), torch.tensor([[0, 1]]))
>>> three = Examples(torch.ones(1, 3, 1), torch.tensor([[1, 0, 2]]))
>>> both = pad([two, three])
>>> both.y.tolist(), present(both.y).sum(1).tolist()
([[0, 1, -1], [1, 0, 2]], [2, 3])
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Shaped
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError


def pad(tasks: Sequence[Examples]) -> Examples:
    """One batch of all the tasks, each as long as the longest.

    Args:
        tasks: examples of one task or more each; they may differ in the number of examples and in nothing else.

    Raises:
        UsageError: no tasks, or shapes or types of examples that differ.
    """
    if not tasks:
        raise UsageError("pad needs at least one task, got none.")
    kinds = {(one.x.shape[2:], one.x.dtype, one.y.shape[2:], one.y.dtype) for one in tasks}
    if len(kinds) > 1:
        found = "; ".join(sorted(f"x {[*x]} {x_type}, y {[*y]} {y_type}" for x, x_type, y, y_type in kinds))
        raise UsageError(f"tasks of one batch may differ in the number of examples only, got examples of {found}.")
    longest = max(one.y.shape[1] for one in tasks)
    nothing = float("nan") if tasks[0].y.is_floating_point() else -1.0
    x = torch.cat([_lengthened(one.x, longest, 0.0) for one in tasks])
    return Examples(x, torch.cat([_lengthened(one.y, longest, nothing) for one in tasks]))


def present(y: Shaped[Tensor, "tasks n ..."]) -> Bool[Tensor, "tasks n"]:
    """Which rows are examples, and not padding."""
    marked = y.isnan() if y.is_floating_point() else y == -1
    return ~marked.flatten(2).all(2) if y.ndim > 2 else ~marked


def _lengthened(rows: Tensor, n: int, value: float) -> Tensor:
    """``[tasks, m, ...]`` with rows of ``value`` behind, to ``[tasks, n, ...]``."""
    return F.pad(rows, (0, 0) * (rows.ndim - 2) + (0, n - rows.shape[1]), value=value)
