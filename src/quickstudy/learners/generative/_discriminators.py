"""Few-shot learners that know N classes and "fake": what MetaGAN plays its generator against.

Logits l ``[tasks, n, N + 1]``, the last one of "fake", and the log-odds of an example to be real:

    o(x) = log sum_{k <= N} exp l_k(x) - l_{N+1}(x)
    log p(real | x) = log sigmoid o(x),   log p(fake | x) = log sigmoid -o(x),   p(k | x, real) = softmax(l_1 ... l_N)_k
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from quickstudy.core.batch import Examples
from quickstudy.core.batchnorm import Mode
from quickstudy.core.errors import UsageError
from quickstudy.core.features import FeatureSolver
from quickstudy.core.functional import AdaptedModel, Execution, Params, TaskModel
from quickstudy.core.losses import task_losses
from quickstudy.core.model_checks import check_model, one_tensor
from quickstudy.core.unroll import unroll
from quickstudy.learners.metric.base import FromFeatures, MetricLearner, feature_shape
from quickstudy.learners.metric.relation import RelationNet
from quickstudy.rules import SGD

OfTasks: TypeAlias = AdaptedModel | FeatureSolver


def log_odds(logits: Float[Tensor, "tasks n outputs"]) -> Float[Tensor, "tasks n"]:
    """o: large where an example seems to be real."""
    return logits[..., :-1].logsumexp(-1) - logits[..., -1]


def discriminator_losses(
    real: Float[Tensor, "tasks n outputs"],
    y: Int[Tensor, "tasks n"],
    fake: Float[Tensor, "tasks d outputs"],
    adversarial: float,
) -> Float[Tensor, " tasks"]:
    """L_D: -log p(y | x, real), and ``adversarial`` times -log p(real | x) and, of fakes, -log p(fake | x).

    Each is a mean over examples.
    """
    right = F.logsigmoid(log_odds(real)).mean(1) + F.logsigmoid(-log_odds(fake)).mean(1)
    return task_losses("cross_entropy", real[..., :-1], y) - adversarial * right


@dataclass(frozen=True)
class Classes:
    """A solver without its last output: logits of the N classes, given that the example is real."""

    solver: OfTasks

    def __call__(self, x: Tensor) -> Tensor:
        """``[tasks, n, N]``."""
        return self.solver(x)[..., :-1]

    def module(self, task: int) -> nn.Module:
        """One task's solver as a plain module, without its last output."""
        return ButTheLast(self.solver.module(task)).eval()


class ButTheLast(nn.Module):
    """A module without its last output."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """``[n, outputs]`` without the last."""
        return self.module(x)[..., :-1]


class Headed(nn.Sequential):
    """A network that gives features, and what comes after it."""

    def forward(self, input: Tensor) -> Tensor:
        """Raises ``UsageError`` where the network gives no tensor."""
        features, *rest = self
        h = one_tensor(features(input), features)
        for layer in rest:
            h = layer(h)
        return h


class AdaptedDiscriminator(nn.Module):
    """A network that adapts by gradient steps on the support set and on fakes, as in MAML.

    Args:
        model: gives features; the head on them, of ``out_features + 1`` outputs, is made here.
        out_features: classes of a task at most.
        inner_lr: size of the steps.
        order: 2 differentiates through the steps' gradients, 1 takes them as constants.
        adversarial: weight of real or fake in the loss that the steps go down.
        bn: BatchNorm's mode. Fakes are normalized as queries are.
        execution: how a batch of tasks runs.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        out_features: int,
        inner_lr: float,
        order: int,
        adversarial: float,
        bn: Mode,
        execution: Execution,
    ) -> None:
        super().__init__()
        features = math.prod(feature_shape(model))
        self.out_features = out_features
        self.order = order
        self.adversarial = adversarial
        check_model(model)
        self.headed = Headed(model, nn.Flatten(), nn.Linear(features, out_features + 1))
        self.net = TaskModel(self.headed, bn, execution)
        self.rule = SGD(lr=inner_lr)

    @property
    def model(self) -> nn.Module:
        return self.headed[0]

    def path(self, support: Examples, fakes: Tensor, steps: int) -> Iterator[OfTasks]:
        """The solvers after 0, 1, ..., ``steps`` steps, each to logits ``[tasks, n, out_features + 1]``.

        Raises:
            UsageError: a label beyond the classes.
        """
        if int(support.y.max()) >= self.out_features:
            raise UsageError(
                f"this MetaGAN was built with out_features={self.out_features} (and one output more, for fakes); the "
                f"labels of the support set run to {int(support.y.max())}. Build it with out_features = way, or sample "
                f"tasks of a smaller way."
            )

        def loss(params: Params, step: int) -> Tensor:
            real = self.net.forward(params, support.x)
            fake = self.net.forward(params, fakes, self.net.statistics(params, support.x))
            return discriminator_losses(real, support.y, fake, self.adversarial)

        for params in unroll(loss, self.net.start(len(support)), self.rule, steps=steps, order=self.order):
            yield AdaptedModel(self.net, params, self.net.statistics(params, support.x))


class RelationDiscriminator(MetricLearner):
    """A relation network whose scores, before their sigmoid, are the classes' logits; that of "fake" is 0.

    Args:
        relation: the network; nothing of it adapts, so it has no use for fakes of the support set.
    """

    def __init__(self, relation: RelationNet) -> None:
        super().__init__()
        self.relation = relation
        self.net = relation.net
        self.chunk = relation.chunk

    @property
    def model(self) -> nn.Module:
        return self.relation.model

    def fit(self, features: Tensor, y: Tensor) -> FromFeatures:
        """The relation scores, and a zero behind them."""
        scores = self.relation.scores(features, y)

        def predict(asked: Tensor) -> Tensor:
            return F.pad(scores(asked), (0, 1))

        return predict

    def path(self, support: Examples, fakes: Tensor, steps: int) -> Iterator[OfTasks]:
        """The same solver after 0, 1, ..., ``steps`` steps: it adapts in one go."""
        solver = self.adapt(support)
        for _ in range(steps + 1):
            yield solver
