"""A trust-region step (TRPO, Schulman et al. 2015): the natural gradient, as far as the divergence allows."""

from collections.abc import Callable

import torch
from torch import Tensor

from quickstudy.core.conjugate_gradients import conjugate_gradients
from quickstudy.core.functional import Params
from quickstudy.nets.policies import ActionDistribution

Vector = list[Tensor]
DAMPING = 1e-2
HALVINGS = 10


def trust_region_step(
    gradient: Vector,
    curvature: Callable[[Vector], Vector],
    judge: Callable[[Vector], tuple[float, float]],
    *,
    max_kl: float,
    iterations: int = 10,
) -> tuple[Vector, float]:
    """The step to subtract, and the share of the full step that it is (0: no step made it better).

    Args:
        gradient: of the loss.
        curvature: the product of a vector with the metric (the divergence's second derivative).
        judge: loss and divergence after subtracting a step; the loss without one is that of a step of zeros.
        max_kl: largest divergence.
        iterations: of conjugate gradients.
    """

    def damped(v: Params) -> Params:
        found = curvature([v[name][0] for name in v])
        return {name: part + DAMPING * v[name] for name, part in _as_one_task(found).items()}

    solution, _ = conjugate_gradients(damped, _as_one_task(gradient), steps=iterations)
    direction = [part[0] for part in solution.values()]
    length = _dot(direction, curvature(direction)).clamp(min=1e-12)
    full = [(2 * max_kl / length).sqrt() * d for d in direction]
    before, _ = judge([torch.zeros_like(s) for s in full])
    for k in range(HALVINGS):
        share = 0.5**k
        step = [share * s for s in full]
        loss, divergence = judge(step)
        if loss < before and divergence <= max_kl:
            return step, share
    return [torch.zeros_like(s) for s in full], 0.0


def _as_one_task(v: Vector) -> Params:
    return {str(i): part.unsqueeze(0) for i, part in enumerate(v)}


def _dot(a: Vector, b: Vector) -> Tensor:
    return torch.stack([(x * y).sum() for x, y in zip(a, b, strict=True)]).sum()


def fisher_product(
    actions: Callable[[Params], ActionDistribution], params: Params, weight: Tensor
) -> Callable[[Vector], Vector]:
    """The product with the mean over tasks of the Fisher matrices of each task's policy.

    Args:
        actions: what the policies of parameters ``{name: [tasks, ...]}`` would do, ``[tasks, ...]``.
        params: where.
        weight: of each decision, of the shape that ``actions`` gives.
    """
    inside = tuple(range(1, weight.ndim))
    with torch.enable_grad():
        leaves = {name: p.clone().requires_grad_() for name, p in params.items()}
        new = actions(leaves)
        divergence = (new.detach().kl(new) * weight).sum(inside) / weight.sum(inside)
        slopes = torch.autograd.grad(
            divergence.sum(), list(leaves.values()), create_graph=True, allow_unused=True, materialize_grads=True
        )

    def product(vector: Vector) -> Vector:
        slope = torch.stack([(g * v).sum() for g, v in zip(slopes, vector, strict=True)]).sum()
        found = torch.autograd.grad(
            slope, list(leaves.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return [f.mean(0) for f in found]

    return product
