"""Prototypical networks: learn an embedding in which every class lies around one point, the mean of its examples.

Equations (Snell et al. 2017, equations 1 and 2), with the network f and the support examples S_k of class k:

    c_k = 1/|S_k| sum_{x in S_k} f(x)                       the prototype of class k
    p(k | x) = softmax_k( -d(f(x), c_k) )                   with d(z, c) = ||z - c||^2

and the meta-loss is the mean over the queries of -log p(y | x). With ``distance="cosine"``, d(z, c) = 1 - cos(z, c).

Where it differs from the paper: the mean over several tasks per outer step (the paper: one); BatchNorm's mode is an
option; ``scale`` multiplies the distances (the paper: 1).

Reference: Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning. NeurIPS 2017.
"""

from typing import Literal

from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode
from quickstudy.core.distances import cosine_distances, squared_distances
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, class_means, one_hot


class ProtoNet(MetricLearner):
    """Prototypical networks: each class is the mean of its embedded examples; the nearest one wins.

    Args:
        model: maps ``[n, ...]`` to features ``[n, f]`` (a net without a head); maps are flattened.
        distance: ``euclidean`` (squared) or ``cosine``.
        scale: factor on the distances, > 0; cosine distances need a larger one (10, say).
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        distance: Literal["euclidean", "cosine"] = "euclidean",
        scale: float = 1.0,
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if distance not in ("euclidean", "cosine") or scale <= 0:
            raise UsageError(f"ProtoNet needs distance euclidean or cosine and scale > 0, got {distance!r}, {scale}.")
        self.model = model
        self.distance: Literal["euclidean", "cosine"] = distance
        self.scale = scale
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """Prototypes; a query's logits are minus its distances to them."""
        z_tnf = features.flatten(2)
        members_tnk = one_hot(y, z_tnf)
        if self.distance == "cosine":
            means_tkf = class_means(z_tnf, members_tnk)
            return lambda asked: -self.scale * cosine_distances(asked.flatten(2), means_tkf)
        # What all features have in common would cost the means their last digits, and is no distance.
        common_t1f = z_tnf.detach().mean(1, keepdim=True)
        prototypes_tkf = class_means(z_tnf - common_t1f, members_tnk)
        return lambda asked: -self.scale * squared_distances(asked.flatten(2) - common_t1f, prototypes_tkf)
