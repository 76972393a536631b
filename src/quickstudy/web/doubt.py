"""Whether an example is of none of the classes: how much nearer to them others are that do belong.

What is looked at is the largest logit, which of a learner that compares embeddings is minus the distance to the nearest
class (of others, their raw confidence; Hendrycks et al.: Scaling out-of-distribution detection. ICML 2022). A logistic
function of it is the share of "none of these":

    none(m) = sigmoid((threshold - m) / scale)        m = max_k logit_k

Of more classes one is near to anything, so both numbers depend on how many there are. They are chosen on tasks of
classes that were not trained on, half of whose queries belong to none of the classes that are shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.apply.one_task import OneTask
from quickstudy.core.batch import TaskBatch
from quickstudy.core.learner import MetaLearner

REJECTED = 0.05
"""Of the examples that do belong to a class, so many are taken for none of them."""


@dataclass(frozen=True)
class Doubt:
    """When to say "none of these", by the number of classes; between these numbers in equal parts of their logarithm.

    Args:
        ways: numbers of classes, ascending.
        thresholds: the largest logit at which none of the classes and the nearest one are as likely.
        scales: by how much larger it must be for the odds to fall to 1 / e; > 0.
    """

    ways: Sequence[int]
    thresholds: Sequence[float]
    scales: Sequence[float]

    def shares(self, logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n more"]:
        """Of each class, and last of none of them; they sum to one."""
        threshold, scale = (
            float(np.interp(np.log(logits.shape[1]), np.log(self.ways), values))
            for values in (self.thresholds, self.scales)
        )
        none = ((threshold - logits.amax(1, keepdim=True)) / scale).sigmoid()
        return torch.cat([logits.softmax(1) * (1 - none), none], 1)


def chosen(learner: MetaLearner, batch: TaskBatch, ways: Sequence[int]) -> Doubt:
    """The doubt that lets ``REJECTED`` of the known pass for none of these.

    Args:
        learner: in evaluation mode.
        batch: tasks of at least ``2 * max(ways)`` classes.
        ways: numbers of classes to choose it for, ascending.
    """
    found = [_threshold(*_logits(learner, batch, way)) for way in ways]
    return Doubt(ways, [threshold for threshold, _ in found], [scale for _, scale in found])


def _logits(learner: MetaLearner, batch: TaskBatch, way: int) -> tuple[Tensor, Tensor]:
    """Of known queries ``[n, way]``, and of unknown ones: of every ``2 * way`` classes the first half is shown."""
    known: list[Tensor] = []
    unknown: list[Tensor] = []
    for x, y, asked_x, asked_y in zip(batch.support.x, batch.support.y, batch.query.x, batch.query.y, strict=True):
        for first in range(0, int(y.max()) + 2 - 2 * way, 2 * way):
            shown = (y >= first) & (y < first + way)
            asked = (asked_y >= first) & (asked_y < first + 2 * way)
            logits = OneTask(learner, x[shown], y[shown] - first)(asked_x[asked])[:, :way].double()
            mine = asked_y[asked] < first + way
            known.append(logits[mine])
            unknown.append(logits[~mine])
    return torch.cat(known), torch.cat(unknown)


def _threshold(known: Float[Tensor, "n way"], unknown: Float[Tensor, "m way"]) -> tuple[float, float]:
    """And the scale: of two normal distributions of one variance, which give a logistic function."""
    near, far = known.amax(1), unknown.amax(1)
    scale = float((near.var() + far.var()) / 2 / (near.mean() - far.mean()).clamp(min=1e-3 * near.std()))
    sure = near + scale * known.log_softmax(1).amax(1)  # none wins where the threshold is larger than this
    return float(sure.quantile(REJECTED)), scale
