"""Adam (Kingma and Ba 2015, algorithm 1), differentiable.

    m' = b1 m + (1 - b1) g       v' = b2 v + (1 - b2) g^2
    p' = p - lr * m' / (1 - b1^t) / (sqrt(v' / (1 - b2^t)) + eps)

Reptile's inner optimizer is Adam with b1 = 0 (Nichol et al. 2018, section 6.1).
"""

from typing import NamedTuple

import torch

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule


class AdamState(NamedTuple):
    """Steps taken, and first and second moments ``{name: [tasks, ...]}``."""

    step: int
    m: Params
    v: Params


class Adam(UpdateRule):
    """Adam without weight decay.

    Args:
        lr: step size, > 0.
        betas: decay of the first and second moments per step, each in [0, 1).
        eps: added to the root of the second moment.
    """

    def __init__(self, *, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        super().__init__()
        if lr <= 0 or not all(0 <= b < 1 for b in betas) or eps <= 0:
            raise UsageError(f"Adam needs lr > 0, betas in [0, 1) and eps > 0, got {lr}, {betas} and {eps}.")
        self.lr = lr
        self.betas = betas
        self.eps = eps

    def init(self, params: Params) -> AdamState:
        zeros = {name: torch.zeros_like(p) for name, p in params.items()}
        return AdamState(0, zeros, zeros)

    def update(self, params: Params, grads: Params, state: AdamState) -> tuple[Params, AdamState]:
        b1, b2 = self.betas
        step = state.step + 1
        m = {name: b1 * state.m[name] + (1 - b1) * g for name, g in grads.items()}
        v = {name: b2 * state.v[name] + (1 - b2) * g * g for name, g in grads.items()}
        moved = {}
        for name, p in params.items():
            # The root has an infinite slope at 0, where a weight never had a gradient; eps^2 keeps it finite.
            root = (v[name] / (1 - b2**step) + self.eps**2).sqrt()
            moved[name] = p - self.lr * (m[name] / (1 - b1**step)) / (root + self.eps)
        return moved, AdamState(step, m, v)
