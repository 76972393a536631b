"""The outer optimizer and its schedule: torch's own, by name or by a function."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler

from quickstudy.core.errors import UsageError

MakeOptimizer: TypeAlias = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
MakeSchedule: TypeAlias = Callable[[torch.optim.Optimizer], LRScheduler]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adam0": partial(torch.optim.Adam, betas=(0.0, 0.99)),
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def make_optimizer(kind: str | MakeOptimizer, params: list[nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """Raises ``UsageError`` for an unknown name, or where there is nothing to learn."""
    if not params:
        raise UsageError("the learner has no parameter with requires_grad=True: there is nothing to train.")
    if callable(kind):
        return kind(params)
    if kind not in OPTIMIZERS:
        raise UsageError(f"optimizer must be one of {', '.join(OPTIMIZERS)} or a function, got {kind!r}.")
    return OPTIMIZERS[kind](params, lr=lr)


def make_schedule(kind: str | MakeSchedule, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    """A schedule of ``steps`` outer steps; raises ``UsageError`` for an unknown name."""
    if callable(kind):
        return kind(optimizer)
    if kind == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    if kind == "linear":
        return LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    if kind == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    raise UsageError(f"schedule must be constant, linear, cosine or a function, got {kind!r}.")
