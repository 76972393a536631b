"""Conjugate gradients (Hestenes and Stiefel 1952): a linear equation solved by products with its matrix alone."""

from collections.abc import Callable

import torch
from torch import Tensor

from quickstudy.core.functional import Params


def conjugate_gradients(matrix: Callable[[Params], Params], b: Params, *, steps: int) -> tuple[Params, Tensor]:
    """Solve ``matrix(x) = b`` for every task at once, from 0; and each task's ``|b - matrix(x)| / |b|``, ``[tasks]``.

    Args:
        matrix: the product of a symmetric matrix, each task's own, with ``{name: [tasks, ...]}``.
        b: ``{name: [tasks, ...]}``.
        steps: how many products at most; as many as there are numbers solve it but for rounding.

    Where the matrix is not positive along the next direction (no minimum lies there) a task keeps what it has, and
    ``b`` itself where that is nothing.
    """
    x = {name: torch.zeros_like(part) for name, part in b.items()}
    r = p = b
    rr = dot(r, r)
    scale = rr.clamp_min(torch.finfo(rr.dtype).tiny)
    going = moved = torch.ones_like(rr, dtype=torch.bool)
    for step in range(steps):
        ap = matrix(p)
        curvature = dot(p, ap)
        # Below rounding there is nothing left to solve, and the quotients would be noise.
        going = going & (curvature > 0) & (rr > torch.finfo(rr.dtype).eps ** 2 * scale)
        moved = going if step == 0 else moved
        a = torch.where(going, rr / torch.where(going, curvature, 1.0), 0.0)
        x = {name: x[name] + _per_task(a, p[name]) for name in x}
        r = {name: r[name] - _per_task(a, ap[name]) for name in r}
        rr, before = dot(r, r), rr
        ratio = torch.where(going, rr / torch.where(going, before, 1.0), 0.0)
        p = {name: r[name] + _per_task(ratio, p[name]) for name in p}
    return {name: x[name] + _per_task((~moved).to(rr.dtype), b[name]) for name in b}, (rr / scale).sqrt()


def dot(u: Params, v: Params) -> Tensor:
    """Each task's inner product ``[tasks]``."""
    return torch.stack([(u[name] * v[name]).flatten(1).sum(1) for name in u]).sum(0)


def _per_task(factor: Tensor, p: Tensor) -> Tensor:
    """``factor [tasks]`` times ``p [tasks, ...]``."""
    return factor.view(-1, *[1] * (p.ndim - 1)) * p
