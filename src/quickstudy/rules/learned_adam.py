"""Adam whose step size and decays are learned: the smallest learned optimizer, three numbers.

m' = b1 m + (1 - b1) g       v' = b2 v + (1 - b2) g^2
p' = p - exp(log_lr) * m' / (1 - b1^t) / (sqrt(v' / (1 - b2^t)) + eps)       b = sigmoid(logit)
"""

import math

import torch
from torch import nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule
from quickstudy.rules._coordinates import CoordinateState


class LearnedAdam(UpdateRule):
    """Adam whose step size and decays are meta-learned.

    Args:
        lr: where the step size starts, > 0.
        betas: where the decays of the first and second moments start, each in (0, 1).
        eps: added to the root of the second moment, > 0.
    """

    def __init__(self, *, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        super().__init__()
        if lr <= 0 or not all(0 < b < 1 for b in betas) or eps <= 0:
            raise UsageError(f"LearnedAdam needs lr > 0, betas in (0, 1) and eps > 0, got {lr}, {betas} and {eps}.")
        self.lr = lr
        self.betas = (betas[0], betas[1])
        self.eps = eps
        self.log_lr = nn.Parameter(torch.tensor(math.log(lr)))
        self.logits = nn.Parameter(torch.tensor([math.log(b / (1 - b)) for b in betas]))

    def init(self, params: Params) -> CoordinateState:
        return {
            name: {"step": p.new_zeros(len(p)), "m": torch.zeros_like(p), "v": torch.zeros_like(p)}
            for name, p in params.items()
        }

    def update(self, params: Params, grads: Params, state: CoordinateState) -> tuple[Params, CoordinateState]:
        b1, b2 = self.logits.sigmoid()
        lr = self.log_lr.exp()
        moved: Params = {}
        after: CoordinateState = {}
        for name, p in params.items():
            g, old = grads[name], state[name]
            step = old["step"] + 1
            m = b1 * old["m"] + (1 - b1) * g
            v = b2 * old["v"] + (1 - b2) * g * g
            axes = (len(p), *(1 for _ in p.shape[1:]))
            # The root has an infinite slope at 0, where a weight never had a gradient.
            root = (v / (1 - b2**step).view(axes) + self.eps**2).sqrt()
            moved[name] = p - lr * (m / (1 - b1**step).view(axes)) / (root + self.eps)
            after[name] = {"step": step, "m": m, "v": v}
        return moved, after
