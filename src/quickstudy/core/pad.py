"""Tasks with unequal numbers of examples in one batch: rows that are no examples fill the shorter ones.

Padding is marked in the labels: ``y = -1`` where they are classes, ``nan`` where they are values; ``x`` is zero there.
A learner either gives each task what it would give it alone, or refuses padding by name (``refuse``).

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
from quickstudy.core.batchnorm import counts_padding
from quickstudy.core.errors import UsageError
from quickstudy.core.recording import is_recorded


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
    """Which rows are examples, and not padding (where y holds no numbers, nothing can be marked)."""
    if not y.shape[2:].numel():
        return torch.ones(y.shape[:2], dtype=torch.bool, device=y.device)
    marked = y.isnan() if y.is_floating_point() else y == -1
    return ~marked.flatten(2).all(2) if y.ndim > 2 else ~marked


def padded(y: Shaped[Tensor, "tasks n ..."]) -> bool:
    """Whether there is padding among the examples: a look at the data (none where it has no values to look at)."""
    if y.is_meta or is_recorded():
        return False
    return not bool(present(y).all())


def refuse(y: Shaped[Tensor, "tasks n ..."], why: str) -> None:
    """Raise ``UsageError`` where there is padding.

    Args:
        why: who takes none, and for what reason: the beginning of the message.
    """
    if padded(y):
        raise UsageError(
            f"{why}, so padding (quickstudy.tasks.pad) would change what a task gives; take tasks of one size at a "
            f"time, or a learner or net that skips padding (docs/tasks.md)."
        )


def refuse_counted(y: Shaped[Tensor, "tasks n ..."], bn_mode: str, who: str) -> bool:
    """Whether there is padding; ``UsageError`` where BatchNorm in this mode would count it in its statistics."""
    if not padded(y):
        return False
    if counts_padding(bn_mode):
        refuse(y, f"{who}: BatchNorm ({bn_mode}) counts all examples in its statistics (bn='running' would not)")
    return True


def _lengthened(rows: Tensor, n: int, value: float) -> Tensor:
    """``[tasks, m, ...]`` with rows of ``value`` behind, to ``[tasks, n, ...]``."""
    return F.pad(rows, (0, 0) * (rows.ndim - 2) + (0, n - rows.shape[1]), value=value)
