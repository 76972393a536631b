"""What a contender is, and what the contenders share: nets with another BatchNorm, tasks one by one.

Nets of peers track no running statistics, which saves them an update that transductive BatchNorm has no use for.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import replace_all_batch_norm_modules_

import quickstudy as qs
from workloads import Workload

Step = Callable[[], list[Tensor]]
"""One meta-gradient, in the order of the net's parameters."""
Prepare = Callable[[Workload, nn.Sequential, qs.TaskBatch], Step]


PLAIN = "plain loop"
APART = "plain loop, two forwards"
# Without a first moment, Adam's step is g / (|g| + 1e-8): the rounding of a gradient near 0 grows by up to 1e8.
ADAM = 1e-5
TRAP = "F.batch_norm under backward of vmap (torch's second derivative is wrong there)"


@dataclass(frozen=True)
class Contender:
    """One way to compute the meta-gradient.

    Args:
        name: in the tables.
        prepare: gives ``step``.
        remark: what the tables say beside its error.
        only_checked: the gradient is checked, nothing is timed.
        tolerance: of the relative error of its gradient, in float64.
        like: the contender whose gradient it must have (None: the plain loop's).
    """

    name: str
    prepare: Prepare
    remark: str = ""
    only_checked: bool = False
    tolerance: float = 1e-9
    like: str | None = None

    @property
    def ours(self) -> bool:
        return self.name.startswith("quickstudy")


def gradients(net: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]


def per_task(batch: qs.TaskBatch) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
    return list(zip(batch.support.x, batch.support.y, batch.query.x, batch.query.y, strict=True))


def without_running_statistics(net: nn.Module) -> nn.Module:
    """A copy whose BatchNorm knows the batch's own statistics only (torch's documented way to make it vmap-able)."""
    return replace_all_batch_norm_modules_(copy.deepcopy(net))


class BatchNormWrittenOut(nn.Module):
    """BatchNorm by the batch's statistics, of elementary operations."""

    def __init__(self, native: nn.BatchNorm2d) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = native.weight, native.bias, native.eps

    def forward(self, x: Tensor) -> Tensor:
        var, mean = torch.var_mean(x, [0, 2, 3], correction=0)
        scale = self.weight * torch.rsqrt(var + self.eps)
        return x * scale[:, None, None] + (self.bias - mean * scale)[:, None, None]


def batch_norm_written_out(net: nn.Module) -> nn.Module:
    return with_batch_norm(copy.deepcopy(net), BatchNormWrittenOut)


def with_batch_norm(net: nn.Module, make: Callable[[nn.BatchNorm2d], nn.Module]) -> nn.Module:
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, make(child))
    return net
