"""What is done to features before a head: each is brought to length 1, it may be after a power, or less their mean.

    z = x / |x|        z = (x / |x| - m) / |x / |x| - m|        of sign(x) |x|^p in place of x, p < 1

Lengths of an encoder's features say little of the class, and their mean is common to all classes. (Wang et al.:
SimpleShot. 2019; Hu et al.: Leveraging the feature distribution in transfer-based few-shot learning. ICANN 2021.)
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Transform(nn.Module):
    """Features to features of the same number.

    Args:
        features: how many there are.
        power: the exponent, 1: none.
        centre: whether the mean is taken off, which ``fit`` finds.
        norm: whether rows are brought to length 1.
    """

    def __init__(self, features: int, *, power: float = 1.0, centre: bool = False, norm: bool = True) -> None:
        super().__init__()
        self.power = power
        self.centre = centre
        self.norm = norm
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))

    def fit(self, x: Float[Tensor, "n f"], weight: Float[Tensor, " n"]) -> "Transform":
        """Find the mean of rows that weigh ``weight``."""
        if self.centre:
            self.mean = (weight / weight.sum()) @ self._first(x)
        return self

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n f"]:
        z = self._first(x)
        if not self.centre:
            return z
        return F.normalize(z - self.mean, dim=1) if self.norm else z - self.mean

    def _first(self, x: Tensor) -> Tensor:
        if self.power != 1:
            x = x.sign() * x.abs() ** self.power
        return F.normalize(x, dim=1) if self.norm else x
