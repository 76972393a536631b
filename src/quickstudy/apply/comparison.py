"""Learned optimizers beside the usual ones, each of those with its own tuned step size.

All optimizers run on the same problems from the same starts, batched over problems. The step size of a usual optimizer
is chosen for each family from a grid, on problems of other seeds (split ``val``) than those that it is judged on.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.options import COUNT, check_options
from quickstudy.core.unroll import unroll
from quickstudy.rules import SGD, Adam, AdamW, UpdateRule
from quickstudy.tasks.problems.problems import Problems
from quickstudy.training.intervals import half_width

GRID = tuple(10 ** (k / 2) for k in range(-8, 2))  # 1e-4 to 3.2, ten values
PLACES = 40  # of a curve
WORST = 10.0  # of a loss relative to the start; what diverges counts so


USUAL: dict[str, Callable[[float], UpdateRule]] = {
    "SGD": lambda lr: SGD(lr=lr),
    "momentum 0.9": lambda lr: SGD(lr=lr, momentum=0.9),
    "RMSprop": lambda lr: Adam(lr=lr, betas=(0.0, 0.99)),  # with Adam's correction for the start at zero
    "Adam": lambda lr: Adam(lr=lr),
    "AdamW": lambda lr: AdamW(lr=lr),
}


@dataclass(frozen=True)
class Row:
    """How one optimizer did on one family; losses are relative to the start, intervals (95%) over seeds."""

    family: str
    optimizer: str
    lr: float | None
    """The chosen one; None: learned."""
    area: float
    """The mean over steps."""
    area_ci95: float
    final: float
    final_ci95: float
    diverged: float
    """The share of problems that ended no better than they began, or worse than ten times that on the way."""


def curves(
    rule: UpdateRule, problems: Problems, seed: int, *, count: int, steps: int, device: torch.device | str = "cpu"
) -> Float[Tensor, "places tasks"]:
    """The relative loss on all training examples, at the start (1) and then at some 40 places up to the last step."""
    rule, batch = rule.to(device), problems.sample(count, seed).to(device)
    every = max(1, steps // PLACES)  # the whole training set is far more work than a step
    rows: list[Tensor] = []
    with torch.no_grad():
        level = batch.train_loss(batch.start).clamp(min=1e-6)
        for step, params in enumerate(unroll(batch.loss, batch.start, rule, steps=steps, order=1)):
            if step % every == 0 or step == steps:
                ratio = batch.train_loss(params) / level
                rows.append(torch.where(ratio < WORST, ratio, WORST))
    return torch.stack(rows)


def compare(
    learned: Mapping[str, UpdateRule],
    *,
    family: str,
    steps: int = 200,
    seeds: Sequence[int] = range(5),
    count: int = 8,
    tuning_seeds: int = 3,
    rescale: float = 0.0,
    data: tuple[str, ...] = ("glyphs",),
    usual: Mapping[str, Callable[[float], UpdateRule]] = USUAL,
    device: torch.device | str = "cpu",
) -> list[Row]:
    """Usual optimizers, tuned, and the learned ones, on one family; the best final loss first.

    Args:
        learned: rules by the name that they have in the table.
        family: of ``Problems``.
        steps: inner steps.
        seeds: each draws an architecture and ``count`` problems of it.
        count: problems per seed.
        tuning_seeds: how many others the step sizes are chosen on.
        rescale: reparametrisation, as in ``Problems`` (0: networks as people write them).
        data: images, as in ``Problems``.
        usual: the optimizers beside them by name, each a function of the step size.
        device: where to run; rules are moved there.
    """
    check_options(compare, locals(), dict.fromkeys(("steps", "count", "tuning_seeds"), COUNT))
    val, test = (Problems(split=split, families=(family,), rescale=rescale, data=data) for split in ("val", "test"))
    rows: list[Row] = []
    for name, make in usual.items():
        areas = [
            sum(
                float(curves(make(lr), val, s, count=count, steps=steps, device=device).mean())
                for s in range(tuning_seeds)
            )
            for lr in GRID
        ]
        lr = GRID[min(range(len(GRID)), key=areas.__getitem__)]
        rows.append(_row(family, name, lr, make(lr), test, seeds, count, steps, device))
    rows += [_row(family, name, None, rule, test, seeds, count, steps, device) for name, rule in learned.items()]
    return sorted(rows, key=lambda row: row.final)


def _row(
    family: str,
    name: str,
    lr: float | None,
    rule: UpdateRule,
    problems: Problems,
    seeds: Sequence[int],
    count: int,
    steps: int,
    device: torch.device | str,
) -> Row:
    by_seed = torch.stack([curves(rule, problems, s, count=count, steps=steps, device=device) for s in seeds])
    area, final = by_seed.mean((1, 2)).double(), by_seed[:, -1].mean(1).double()
    width = [float(half_width(x)) if len(x) > 1 else math.nan for x in (area, final)]
    lost = (by_seed[:, -1] >= 1) | (by_seed >= WORST).any(1)
    return Row(
        family, name, lr, float(area.mean()), width[0], float(final.mean()), width[1], float(lost.float().mean())
    )
