"""95% intervals of a mean: from independent draws, with Student's t, since draws may be few.

Values v_1 .. v_n come in blocks b, each an independent draw; those within a block may share something. With the mean m
of all values and B blocks

    se^2 = B / (B - 1) * sum_b (sum_{i in b} (v_i - m) / n)^2        half-width = t(0.975, B - 1) * se

which for blocks of one value is the usual std / sqrt(n), and for blocks of one size that of the blocks' means.

Reference: Student: The probable error of a mean. Biometrika 1908; Liang, Zeger: Longitudinal data analysis using
generalized linear models. Biometrika 1986 (blocks).
"""

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.errors import UsageError


def half_width(values: Float[Tensor, "*more n"], blocks: Sequence[int] | None = None) -> Float[Tensor, "*more"]:
    """Half the width of the 95% interval of the mean over the last axis, float64.

    Args:
        values: draws, in the order of the blocks.
        blocks: how many values each independent draw has; their sum is n (None: every value is a draw of its own).

    Raises:
        UsageError: fewer than two draws, or blocks that are not of n values.

    >>> [round(float(half_width(torch.tensor(v))), 3) for v in ([0.0, 1.0], [0.0, 1.0, 0.0, 1.0])]
    [6.353, 0.919]
    """
    v, n = values.double(), values.shape[-1]
    sizes = [1] * n if blocks is None else [*blocks]
    if sum(sizes) != n or min(sizes, default=0) < 1:
        raise UsageError(f"blocks must be of at least one value and {n} together, got {sizes}.")
    if len(sizes) < 2:
        raise UsageError(f"an interval needs at least 2 independent draws, got {len(sizes)} (of {n} values).")
    away = (v - v.mean(-1, keepdim=True)) / n
    if blocks is not None:
        block = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)).to(v.device)
        away = v.new_zeros(*v.shape[:-1], len(sizes)).index_add(-1, block, away)
    se = (away.square().sum(-1) * len(sizes) / (len(sizes) - 1)).sqrt()
    return t_quantile(len(sizes) - 1) * se


def mean_and_half_width(values: Float[Tensor, " n"]) -> tuple[float, float]:
    """Mean of independent draws ``[n]``, and half the width of its 95% interval; nan for one draw."""
    v = values.double()
    return float(v.mean()), float(half_width(v)) if len(v) > 1 else math.nan


@cache
def t_quantile(dof: int) -> float:
    """The 0.975 quantile of Student's t with ``dof`` >= 1 degrees of freedom.

    Up to 100 by bisection of its closed form (Abramowitz, Stegun: Handbook of Mathematical Functions, 1964, 26.7.3 and
    26.7.4), above by the expansion in 1 / dof (26.7.5); both are exact to 1e-9.

    >>> [round(t_quantile(dof), 4) for dof in (1, 2, 4, 19, 999)]
    [12.7062, 4.3027, 2.7764, 2.093, 1.9623]
    """
    if dof > 100:
        z = NormalDist().inv_cdf(0.975)
        terms = (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
            (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
        )
        return z + sum(term / dof**k for k, term in enumerate(terms, 1))
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, dof) < 0.95 else (low, middle)
    return math.sqrt(dof) * math.tan(low)


def _within(angle: float, dof: int) -> float:
    """P(abs(t) < sqrt(dof) * tan(angle))."""
    sin, cos = math.sin(angle), math.cos(angle)
    term, total = (cos, 0.0) if dof % 2 else (1.0, 0.0)
    for k in range(1 + dof % 2, dof, 2):
        total += term
        term *= cos * cos * k / (k + 1)
    return 2 / math.pi * (angle + sin * total) if dof % 2 else sin * total
