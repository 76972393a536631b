"""quickstudy as a contender: its public interface."""

from typing import Any

from torch import Tensor, nn

import quickstudy as qs
from contenders.parts import Prepare, Step, gradients
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
