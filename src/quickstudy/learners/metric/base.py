"""What learners that compare embeddings share: one network for all tasks, embedding the support set and the queries.

BatchNorm, where the network has it (see ``quickstudy.core.batchnorm``):

- ``transductive``: the support set and the queries of a task are one batch, normalised together (as the authors of
  these methods train: one forward over both), so the support set is embedded anew with every set of queries;
- ``support``: the support set by its own statistics, every query by these; no query sees another;
- ``running``: everything by the network's running statistics.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError
from quickstudy.core.features import FeatureSolver, FromFeatures, solver_of_features
from quickstudy.core.functional import TaskModel
from quickstudy.core.pad import refuse
from quickstudy.core.support_query import SupportQueryLearner


class MetricLearner(SupportQueryLearner):
    """A learner whose adapting is to embed the support set; what it does with the features makes it one or another.

    It sets:

    Args:
        net: the embedding, the same for all tasks.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "cross_entropy"}
    embeds: ClassVar[bool] = True
    any_way: ClassVar[bool] = True
    net: TaskModel

    @abstractmethod
    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """From the support set, features ``[tasks, n, ...]`` and labels ``[tasks, n]``, to what predicts."""

    @final
    def adapt(self, support: Examples) -> FeatureSolver:
        return solver_of_features(self.net, support, self.fit, bn_mode=self.bn_mode, again=self.adapt)

    @property
    @final
    def task_model(self) -> TaskModel:
        return self.net


def one_hot(y: Tensor, like: Tensor) -> Float[Tensor, "tasks n way"]:
    """Which class each support example (``y [tasks, n]``) belongs to; the way is what the labels say.

    Raises:
        UsageError: labels that are no classes, or a class without a support example.
    """
    if y.ndim != 2 or y.is_floating_point():
        raise UsageError(
            f"embeddings are compared class by class: labels must be integers [tasks, n], got {y.dtype} "
            f"{[*y.shape]}; for regression use a learner that takes loss='mse'."
        )
    refuse(y, "embeddings of all support examples are compared")
    low, high = y.aminmax()
    members = F.one_hot(y.clamp(min=0), int(high) + 1)
    if int(low) < 0 or not bool((members.sum(1) > 0).all()):
        raise UsageError(
            f"each task needs a support example of every class from 0 to its highest label, the same for all tasks of "
            f"a batch; the labels here run from {int(low)} to {int(high)}, and a class is missing."
        )
    return members.to(like.dtype)


def class_means(
    features: Float[Tensor, "tasks n ..."], members: Float[Tensor, "tasks n way"]
) -> Float[Tensor, "tasks way ..."]:
    """The mean over each class's support examples, however many there are."""
    sums = torch.einsum("tnk,tn...->tk...", members, features)
    return sums / members.sum(1).view(*sums.shape[:2], *[1] * (features.ndim - 2))


def feature_shape(model: torch.nn.Module) -> tuple[int, ...]:
    """What a network says of the shape of its features.

    Raises:
        UsageError: it says nothing, but layers must be built to fit.
    """
    shape = getattr(model, "feature_shape", None)
    if not isinstance(shape, tuple):
        raise UsageError(
            f"{type(model).__name__} does not say what its features look like: give it an attribute feature_shape, a "
            f"tuple without the example axis, such as (64,) or (64, 5, 5)."
        )
    return shape
