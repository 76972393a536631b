"""Relation networks: learn the embedding and, with it, the measure that says how well a query goes with a class.

Equations (Sung et al. 2018, sections 3.2 and 3.3), with the network f, the support examples S_k of class k and the
relation module g, a small network on the two feature maps laid on top of each other:

    m_k = 1/|S_k| sum_{x in S_k} f(x)                       the class's map (``pool="sum"``: the sum)
    r_k(x) = sigmoid( g([m_k, f(x)]) )                      in (0, 1), the relation score
    L = mean over queries and classes of (r_k(x) - 1[y = k])^2

g on maps: two blocks of 3x3 convolution, BatchNorm, ReLU and 2x2 max-pooling (where 2 pixels are left), then linear
layers to ``relation_hidden`` and to 1. g on flat features: linear layers alone. A convolution of two maps on top of
each other is the sum of two convolutions of one: the first is taken once per image and class, not once per pair.

The solver gives log r_k, so that ``exp`` gives the scores and ``softmax`` their shares.

Where it differs from the paper: the class's map is the mean of its examples' maps, not the sum, so that other shots
than in training do no harm; BatchNorm's mode is an option, for g as for f: in mode ``support`` g is normalised by the
pairs of the support examples with the classes, in ``transductive`` by a task's pairs of queries and classes.

Reference: Sung, Yang, Zhang, Xiang, Torr, Hospedales: Learning to Compare: Relation Network for Few-Shot Learning.
CVPR 2018.
"""

import math
from collections.abc import Callable, Mapping
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from quickstudy.core.batchnorm import Mode, by_support
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Execution, TaskModel
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, class_means, feature_shape, one_hot
from quickstudy.nets.backbones.mlp import linear_layers


class RelationNet(MetricLearner):
    """Relation networks: a learned comparison of a query's feature map with each class's.

    Args:
        model: a net without a head whose ``feature_shape`` is ``(c, h, w)`` (its features may come flattened) or
            ``(f,)``.
        relation_filters: channels of the relation module's blocks (its first layer's width for flat features).
        relation_hidden: width of its last hidden layer.
        pool: how a class's examples become one map: ``mean``, or ``sum`` as in the paper.
        bn: BatchNorm's mode: ``transductive``, ``support`` or ``running`` (see ``quickstudy.core.batchnorm``).
        execution: how a batch of tasks runs: ``auto``, ``vmap``, ``threads`` or ``loop``
            (see ``quickstudy.core.functional``).
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: what suits the model.

    Raises:
        UsageError: an option out of its range, or a model without a ``feature_shape``.
    """

    learns: ClassVar[Mapping[str, str]] = {"classification": "mse"}  # of the relation scores

    def __init__(
        self,
        model: nn.Module,
        *,
        relation_filters: int = 64,
        relation_hidden: int = 8,
        pool: Literal["mean", "sum"] = "mean",
        bn: Mode = "transductive",
        execution: Execution = "auto",
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if min(relation_filters, relation_hidden) < 1 or pool not in ("mean", "sum"):
            raise UsageError(
                f"RelationNet needs relation_filters and relation_hidden >= 1 and pool mean or sum, got "
                f"{relation_filters}, {relation_hidden} and {pool!r}."
            )
        self.loss = relation_loss
        self.model = model
        self.relation_filters = relation_filters
        self.relation_hidden = relation_hidden
        self.pool: Literal["mean", "sum"] = pool
        self.bn: Mode = bn
        self.execution: Execution = execution
        self.chunk = chunk
        self.net = TaskModel(model, bn, execution, adapts=False)
        self.shape = feature_shape(model)
        self.first, self.rest = relation_module(self.shape, relation_filters, relation_hidden)
        self.relation = TaskModel(self.rest, bn, execution, adapts=False)

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """To the logarithms of the relation scores."""
        scores = self.scores(features, y)

        def predict(asked: Tensor) -> Tensor:
            return F.logsigmoid(scores(asked))

        return predict

    def scores(self, features: Tensor, y: Tensor) -> FromFeatures:
        """To what g gives, before the sigmoid: the classes' maps are made, and what normalises the relation module."""
        maps = self._maps(features)
        members = one_hot(y, maps)
        classes = class_means(maps, members)
        if self.pool == "sum":
            classes = classes * members.sum(1).view(*classes.shape[:2], *[1] * (classes.ndim - 2))
        way = classes.shape[1]
        shared = self.relation.start(len(features))
        of_class, of_query = self._halves()
        left = of_class(classes)

        def pairs(maps: Tensor) -> Tensor:
            """The first layer's output ``[tasks, n * way, ...]`` for every map with every class."""
            return (of_query(maps).unsqueeze(2) + left.unsqueeze(1)).flatten(1, 2)

        normalise_by = self.relation.statistics(shared, pairs(maps)) if by_support(self.bn) else None

        def predict(asked: Tensor) -> Tensor:
            scores = self.relation.forward(shared, pairs(self._maps(asked)), normalise_by)
            return scores.view(len(asked), -1, way)

        return predict

    def _maps(self, features: Tensor) -> Tensor:
        """Features in the shape that the network says they have."""
        return features.reshape(*features.shape[:2], *self.shape)

    def _halves(self) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
        """The first layer of the relation module on the class's half of its input, and on the query's."""
        weight, bias = self.first.weight, self.first.bias
        layer = F.linear if weight.ndim == 2 else _convolution
        a, b = weight.chunk(2, dim=1)
        return (lambda x: _each(layer, x, a, bias)), (lambda x: _each(layer, x, b, None))


def relation_loss(predictions: Float[Tensor, "n way"], y: Int[Tensor, " n"]) -> Float[Tensor, ""]:
    """The squared error of the relation scores (predictions are their logarithms) of one task."""
    way = predictions.shape[-1]
    target = y.unsqueeze(-1) == torch.arange(way, device=y.device)
    # Whether a label has no class is asked of a CPU only, as every device would have to be waited for, task by task;
    # elsewhere the loss is then no number.
    there = target.any(-1)
    if y.device.type == "cpu" and not bool(there.all()):
        raise UsageError(f"a query has label {int(y.max())}, but the support set has {way} classes only.")
    squared = (predictions.exp() - target.to(predictions.dtype)).square()
    return torch.where(there.unsqueeze(-1), squared, math.nan).mean()


def relation_module(shape: tuple[int, ...], filters: int, hidden: int) -> tuple[nn.Conv2d | nn.Linear, nn.Sequential]:
    """g: its first layer, on both inputs together, and the rest of it, up to the sigmoid."""
    if len(shape) == 1:
        rest = nn.Sequential(nn.ReLU(), *linear_layers(filters, hidden, 1))
        return nn.Linear(2 * shape[0], filters), rest
    if len(shape) != 3:
        raise UsageError(f"RelationNet compares maps [c, h, w] or flat features, got features of shape {shape}.")
    channels, height, width = shape
    first = nn.Conv2d(2 * channels, filters, 3, padding=1)
    layers: list[nn.Module] = []
    for block in range(2):
        if block:
            layers.append(nn.Conv2d(filters, filters, 3, padding=1))
        layers += [nn.BatchNorm2d(filters), nn.ReLU()]
        if min(height, width) >= 2:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
    head = [nn.Flatten(), *linear_layers(filters * height * width, hidden, 1)]
    return first, nn.Sequential(*layers, *head)


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return F.conv2d(x, weight, bias, padding=1)


def _each(layer: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A layer on ``[tasks, n, ...]``."""
    return layer(x.flatten(0, 1), weight, bias).unflatten(0, x.shape[:2])
