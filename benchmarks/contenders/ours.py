"""quickstudy as a contender: its public interface."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import quickstudy as qs
from contenders.parts import Prepare, Step, gradients
from quickstudy.training.evaluation import draws
from workloads import Workload


def quickstudy(*, own_net: bool = True, compile: bool = False, **options: Any) -> Prepare:
    """The public interface, with its defaults: ``learner.meta_backward(batch)``.

    Args:
        own_net: the net of ``quickstudy.nets``; otherwise the plain modules that the peers have, too.
        compile: given to ``meta_backward``.
        options: of the learner.
    """

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        net = work.quickstudy_net(net) if own_net else net
        learner = learner_of(work, net, **options)

        def step() -> list[Tensor]:
            learner.zero_grad()
            learner.meta_backward(batch, compile=True) if compile else learner.meta_backward(batch)
            return gradients(net)

        return step

    return prepare


def learner_of(work: Workload, net: nn.Module, **options: Any) -> qs.MetaLearner:
    if work.family == "prototypical":
        return qs.ProtoNet(net, **options)
    if work.family == "reptile":
        return qs.Reptile(net, inner_lr=work.inner_lr, inner_steps=work.steps, **options)
    loss = "cross_entropy" if work.net_kind == "conv" else "mse"
    steps = {"inner_lr": work.inner_lr, "inner_steps": work.steps, "order": work.order}
    return qs.MAML(net, loss=loss, **steps, **options)


@dataclass(frozen=True)
class Given:
    """A distribution of no more than the tasks of a batch: what ``evaluate`` draws is cut out of it."""

    batch: qs.TaskBatch

    def sample(self, tasks: int, seed: int) -> qs.TaskBatch:
        start = next(draw.start for draw in draws(self, len(self.batch), 0) if draw.seed == seed)
        return self.batch[start : start + tasks]


def quickstudy_test(*, own_net: bool = True) -> Prepare:
    """The public interface: ``qs.evaluate``."""

    def prepare(work: Workload, net: nn.Module, batch: qs.TaskBatch) -> Step:
        learner = learner_of(work, work.quickstudy_net(net) if own_net else net)

        def step() -> list[Tensor]:
            result = qs.evaluate(learner, Given(batch), n_tasks=len(batch), at=(), progress=False)
            return [torch.tensor(result.scores, dtype=torch.float64)]

        return step

    return prepare
