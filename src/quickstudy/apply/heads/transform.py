"""What is done to features before a head.

    u = x / |x|,  or  sign(x) |x|^1/2  of length 1              length and size
    v = u + U diag(g) U' u                                      directions in which one class varies are shrunk
    z = (v - m) / |v - m|                                       what is common to all classes is taken off

with U, g and a first guess of m from a ``Background``; without one v = u, and m is the mean of the labelled rows.
(Wang et al.: SimpleShot. 2019; Hu, Gripon, Pateux: Leveraging the feature distribution in transfer-based few-shot
learning. ICANN 2021.)
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.apply.background import POWER, Component

GUESSED = 10.0
"""How many labelled rows the background's mean counts as."""


@dataclass(frozen=True)
class Spec:
    """Which of them: ``power``, ``shrink`` (needs a background) and ``centre``; the length is always 1."""

    power: bool = False
    shrink: bool = False
    centre: bool = False


class Transform(nn.Module):
    """Features ``[n, f]`` to features ``[n, f]``.

    Args:
        spec: what is done.
        scale: that each column is divided by first, ``[f]``.
        known: of the background, where there is one.
    """

    def __init__(self, spec: Spec, scale: Tensor, known: Component | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("scale", scale)
        if spec.shrink:
            assert known is not None
            directions = torch.from_numpy(known.directions)
            self.register_buffer("directions", directions)
            self.register_buffer("gained", torch.from_numpy(known.gains)[:, None] * directions)
        self.guess = None if known is None or not spec.power else self._shrunk(torch.from_numpy(known.mean)[None])[0]
        self.register_buffer("mean", torch.zeros_like(scale))

    def fit(self, x: Float[Tensor, "n f"], weight: Float[Tensor, " n"]) -> "Transform":
        """Find what is taken off, of rows with weights."""
        if self.spec.centre:
            self.mean = centre(self.spread(x), weight, self.guess)
        return self

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        v = self.spread(x)
        return F.normalize(v - self.mean, dim=1) if self.spec.centre else v

    def spread(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        """What comes before anything is taken off; it does not depend on the rows."""
        x = x / self.scale
        if self.spec.power:
            x = x.sign() * x.abs() ** POWER
        return self._shrunk(F.normalize(x, dim=1))

    def _shrunk(self, u: Tensor) -> Tensor:
        return u + (u @ self.directions.T) @ self.gained if self.spec.shrink else u


def centre(v: Float[Tensor, "n r"], weight: Float[Tensor, " n"], guess: Float[Tensor, " r"] | None) -> Tensor:
    """The mean of rows, and of what was known of it before."""
    total = weight @ v
    return total / weight.sum() if guess is None else (total + GUESSED * guess) / (weight.sum() + GUESSED)
