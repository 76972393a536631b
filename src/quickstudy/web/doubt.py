"""Whether an example is of none of the classes: how much nearer to them others are that do belong.

What is looked at is the largest logit, which of a learner that compares embeddings is minus the distance to the nearest
class (of others, their raw confidence; Hendrycks et al.: Scaling out-of-distribution detection. ICML 2022). A logistic
function of it is the share of "none of these", chosen on tasks of classes that are not in the tasks that are asked,
half of whose queries belong to none of the classes that are shown:

    none(m) = sigmoid((threshold - m) / scale)        m = max_k logit_k
"""

from dataclasses import dataclass

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
    """When to say "none of these".

    Args:
        threshold: the largest logit at which none of the classes and the nearest one are as likely.
        scale: by how much larger it must be for the odds to fall to 1 / e; > 0.
    """

    threshold: float
    scale: float

    def shares(self, logits: Float[Tensor, "n classes"]) -> Float[Tensor, "n more"]:
        """Of each class, and last of none of them; they sum to one."""
        none = ((self.threshold - logits.amax(1, keepdim=True)) / self.scale).sigmoid()
        return torch.cat([logits.softmax(1) * (1 - none), none], 1)


def chosen(learner: MetaLearner, batch: TaskBatch) -> Doubt:
    """The doubt that lets ``REJECTED`` of the known pass for none of these.

    Args:
        learner: in evaluation mode.
        batch: tasks of at least two classes; the first half of each is shown, queries of the others belong to none.
    """
    known: list[Tensor] = []
    unknown: list[Tensor] = []
    for x, y, asked_x, asked_y in zip(batch.support.x, batch.support.y, batch.query.x, batch.query.y, strict=True):
        half = int(y.max() + 1) // 2
        logits = OneTask(learner, x[y < half], y[y < half])(asked_x)[:, :half].double()
        known.append(logits[asked_y < half])
        unknown.append(logits[asked_y >= half])
    mine, others = torch.cat(known), torch.cat(unknown)
    near, far = mine.amax(1), others.amax(1)
    # Of two normal distributions of one variance, which give a logistic function (linear discriminant analysis).
    scale = float((near.var() + far.var()) / 2 / (near.mean() - far.mean()).clamp(min=1e-3 * near.std()))
    sure = near + scale * mine.log_softmax(1).amax(1)  # none wins where the threshold is larger than this
    return Doubt(float(sure.quantile(REJECTED)), scale)
