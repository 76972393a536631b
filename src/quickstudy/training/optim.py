"""The outer optimizer and its schedule: torch's own, by name or by a function."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LinearLR, LRScheduler, ReduceLROnPlateau

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
    """Raises ``UsageError`` for an unknown name, or a function that gives no optimizer of these parameters."""
    if not callable(kind):
        if kind not in OPTIMIZERS:
            raise UsageError(f"optimizer must be one of {', '.join(OPTIMIZERS)} or a function, got {kind!r}.")
        return OPTIMIZERS[kind](params, lr=lr)
    made: Any = kind(params)
    if not isinstance(made, torch.optim.Optimizer):
        raise UsageError(f"the optimizer function must return a torch.optim.Optimizer, but it gave {_said(made)}.")
    if isinstance(made, torch.optim.LBFGS):
        raise UsageError("LBFGS asks for the loss several times a step, which outer steps do not; use another.")
    if not {id(p) for p in params} & {id(p) for group in made.param_groups for p in group["params"]}:
        raise UsageError("the optimizer function gave an optimizer of other parameters than those it was called with.")
    return made


def make_schedule(kind: str | MakeSchedule, optimizer: torch.optim.Optimizer, steps: int) -> LRScheduler:
    """A schedule of ``steps`` outer steps; raises ``UsageError`` for what is none, or needs more than the step."""
    if kind == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    if kind == "linear":
        return LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    if kind == "cosine":
        return CosineAnnealingLR(optimizer, T_max=steps)
    if not callable(kind):
        raise UsageError(f"schedule must be constant, linear, cosine or a function, got {kind!r}.")
    made: Any = kind(optimizer)
    if not isinstance(made, LRScheduler) or isinstance(made, ReduceLROnPlateau):
        raise UsageError(
            f"the schedule function must return a torch.optim.lr_scheduler.LRScheduler that goes by the step alone, "
            f"but it gave {_said(made)}."
        )
    return made


def put_at(
    schedule: LRScheduler, kind: str, optimizer: torch.optim.Optimizer, *, lr: float, steps: int, at: int
) -> None:
    """Put a schedule, by its name, and its optimizer where they are after ``at`` of ``steps`` outer steps."""
    own = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=lr)
    planned = make_schedule(kind, own, steps)
    for _ in range(at):
        own.step()
        planned.step()
    schedule.load_state_dict(planned.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = own.param_groups[0]["lr"]


def _said(thing: Any) -> str:
    return "None" if thing is None else f"a {type(thing).__name__}"
