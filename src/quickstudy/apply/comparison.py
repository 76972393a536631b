"""Learned optimizers beside the usual ones, each of those with its own tuned step size.

All optimizers run on the same problems from the same starts, batched over problems. The step size of a usual optimizer
is chosen for each family from a grid, on problems of other seeds (split ``val``) than those that it is judged on.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.options import COUNT, check_options
from quickstudy.core.unroll import unroll
from quickstudy.rules import SGD, Adam, AdamW, UpdateRule
from quickstudy.tasks.problems.problems import Problems
from quickstudy.training.intervals import half_width
from quickstudy.training.progress import Advance

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
    at: tuple[int, ...] = ()
    """The steps of the curve."""
    curve: tuple[float, ...] = ()
    """The mean loss at each of them."""


def places(steps: int) -> list[int]:
    """The steps after which a curve has a value: the start, some 40 on the way, the end.

    >>> places(3), len(places(1000))
    ([0, 1, 2, 3], 41)
    """
    every = max(1, steps // PLACES)
    return [step for step in range(steps + 1) if step % every == 0 or step == steps]


def curves(
    rule: UpdateRule, problems: Problems, seed: int, *, count: int, steps: int, device: torch.device | str = "cpu"
) -> Float[Tensor, "places tasks"]:
    """The relative loss on all training examples, at the start (1) and then at some 40 places up to the last step."""
    rule, batch = rule.to(device), problems.sample(count, seed).to(device)
    told = {*places(steps)}  # the whole training set is far more work than a step
    rows: list[Tensor] = []
    with torch.no_grad():
        level = batch.train_loss(batch.start).clamp(min=1e-6)
        for step, params in enumerate(unroll(batch.loss, batch.start, rule, steps=steps, order=1)):
            if step in told:
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
    progress: Advance | None = None,
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
        progress: called with how many trainings are done, and how many there are.
    """
    check_options(compare, locals(), dict.fromkeys(("steps", "count", "tuning_seeds"), COUNT))
    val, test = (Problems(split=split, families=(family,), rescale=rescale, data=data) for split in ("val", "test"))

    def train(name: str, lr: float | None, split: str, seed: int) -> Float[Tensor, "places tasks"]:
        rule = learned[name] if lr is None else usual[name](lr)
        return curves(rule, val if split == "val" else test, seed, count=count, steps=steps, device=device)

    return compared(
        family, [*usual], [*learned], train, steps=steps, seeds=seeds, tuning_seeds=tuning_seeds, progress=progress
    )


Train: TypeAlias = Callable[[str, float | None, str, int], Float[Tensor, "places tasks"]]
"""``train(name, step size (None: learned), split, seed)``: relative losses at ``places``."""


def compared(
    family: str,
    usual: Sequence[str],
    learned: Sequence[str],
    train: Train,
    *,
    steps: int,
    seeds: Sequence[int],
    tuning_seeds: int,
    progress: Advance | None,
) -> list[Row]:
    """Choose each usual optimizer's step size on the split ``val``, and judge all on ``test``; the best first."""
    runs, done = len(usual) * (len(GRID) * tuning_seeds + len(seeds)) + len(learned) * len(seeds), 0

    def trained(name: str, lr: float | None, split: str, some: Sequence[int]) -> Float[Tensor, "seeds places tasks"]:
        nonlocal done
        found: list[Tensor] = []
        for seed in some:
            found.append(train(name, lr, split, seed))
            done += 1
            if progress is not None:
                progress(done, runs)
        return torch.stack(found)

    rows: list[Row] = []
    for name in usual:
        areas = [sum(float(c.mean()) for c in trained(name, lr, "val", range(tuning_seeds))) for lr in GRID]
        lr = GRID[min(range(len(GRID)), key=areas.__getitem__)]
        rows.append(_row(family, name, lr, trained(name, lr, "test", seeds), steps))
    rows += [_row(family, name, None, trained(name, None, "test", seeds), steps) for name in learned]
    return sorted(rows, key=lambda row: row.final)


def _row(family: str, name: str, lr: float | None, by_seed: Float[Tensor, "seeds places tasks"], steps: int) -> Row:
    area, final = by_seed.mean((1, 2)).double(), by_seed[:, -1].mean(1).double()
    width = [float(half_width(x)) if len(x) > 1 else math.nan for x in (area, final)]
    lost = (by_seed[:, -1] >= 1) | (by_seed >= WORST).any(1)
    return Row(
        *(family, name, lr, float(area.mean()), width[0], float(final.mean()), width[1], float(lost.float().mean())),
        at=tuple(places(steps)),
        curve=tuple(by_seed.mean((0, 2)).tolist()),
    )
