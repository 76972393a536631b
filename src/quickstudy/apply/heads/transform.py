"""What is done to features before a head.

    u = x / |x|,  or  sign(x) |x|^1/2  of length 1              length and size
    v = u + U diag(g) U' u                                      directions in which one class varies are shrunk
    z = (v - m) / |v - m|                                       what is common to all classes is taken off

with U, g and a first guess of m from a ``Background``; without one v = u, and m is the mean of the labelled rows.
Columns of a table, which are not of one unit, are standardised in place of all this. (Wang et al.: SimpleShot. 2019;
Hu, Gripon, Pateux: Leveraging the feature distribution in transfer-based few-shot learning. ICANN 2021.)
"""

import math
from dataclasses import dataclass
from enum import Enum

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.apply.background import POWER, Component

GUESSED = 10.0
"""How many labelled rows the background's mean counts as."""


class Centre(Enum):
    """What is taken off."""

    NOTHING = 0
    MEAN = 1
    """Of the labelled rows and of the background."""
    KNOWN = 2
    """Of the background alone."""


@dataclass(frozen=True)
class Spec:
    """Which of them: ``shrink`` needs a background, ``standard`` is for columns of a table and goes without others."""

    power: bool = False
    shrink: bool = False
    centre: Centre = Centre.NOTHING
    standard: bool = False


class Transform(nn.Module):
    """Features ``[n, f]`` to features ``[n, f]``.

    Args:
        spec: what is done.
        features: how many there are.
        known: of the background, where there is one.
    """

    directions: Tensor
    gained: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, spec: Spec, features: int, known: Component | None = None) -> None:
        super().__init__()
        self.spec = spec
        if spec.shrink:
            assert known is not None
            directions = torch.from_numpy(known.directions)
            self.register_buffer("directions", directions)
            self.register_buffer("gained", torch.from_numpy(known.gains)[:, None] * directions)
        self.guess = None if known is None or not spec.power else self._shrunk(torch.from_numpy(known.mean)[None])[0]
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(features if spec.standard else 0, dtype=torch.float64))

    def fit(self, x: Float[Tensor, "n f"], weight: Float[Tensor, " n"]) -> "Transform":
        """Find what is taken off, of rows with weights."""
        self.mean, self.scale = self.moments(self.spread(x), weight, self.guess)
        return self

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        return self.finish(self.spread(x), self.mean, self.scale)

    def spread(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        """What comes before anything is taken off; it does not depend on the labelled rows."""
        if self.spec.standard:
            return x
        if self.spec.power:
            x = x.sign() * x.abs() ** POWER
        return self._shrunk(F.normalize(x, dim=1))

    def moments(
        self, v: Float[Tensor, "n r"], weight: Float[Tensor, " n"], guess: Float[Tensor, " r"] | None
    ) -> tuple[Tensor, Tensor]:
        """What is taken off rows, in any orthonormal coordinates, and what they are divided by then."""
        if self.spec.centre is Centre.KNOWN and guess is not None:
            return guess, self.scale
        total, count = weight @ v, weight.sum()
        if not self.spec.standard:
            return total / count if guess is None else (total + GUESSED * guess) / (count + GUESSED), self.scale
        mean = total / count
        std = (weight @ (v - mean).square() / count).sqrt()
        return mean, torch.where(std > 1e-9 * mean.abs() + 1e-300, std, torch.inf) * math.sqrt(v.shape[1])

    def finish(self, v: Float[Tensor, "n r"], mean: Tensor, scale: Tensor) -> Float[Tensor, "n r"]:
        """The rest, in any orthonormal coordinates."""
        if self.spec.standard:
            return (v - mean) / scale
        return v if self.spec.centre is Centre.NOTHING else F.normalize(v - mean, dim=1)

    def _shrunk(self, u: Tensor) -> Tensor:
        return u + (u @ self.directions.T) @ self.gained if self.spec.shrink else u
