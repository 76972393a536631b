"""Flat: the example itself, for learners that read raw pixels."""

import math
from collections.abc import Mapping

from jaxtyping import Shaped
from torch import Tensor, nn

from quickstudy.core.errors import UsageError


class Flat(nn.Module):
    """No network: the flattened example as features, for learners that read them as they are.

    Args:
        in_features: numbers per example (images: channels * height * width).
        out_features: None: there is no head and nothing to learn.

    Raises:
        UsageError: outputs are asked for.
    """

    def __init__(self, *, in_features: int = 784, out_features: int | None = None) -> None:
        super().__init__()
        if out_features is not None or in_features < 1:
            raise UsageError(
                f"Flat has no head and no parameters: in_features >= 1 and out_features=None, got {in_features} and "
                f"{out_features}; use it with a learner that has parameters of its own and asks for features (mann)."
            )
        self.in_features = in_features
        self.out_features = out_features
        self.x_shape = (in_features,)
        self.feature_shape = (in_features,)

    def forward(self, x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "n f"]:
        """``[n, ...]`` as ``[n, in_features]``."""
        return self._flat(x, 1)

    def forward_tasks(self, params: Mapping[str, Tensor], x: Shaped[Tensor, "tasks n ..."]) -> Tensor:
        """The same for a batch of tasks; there are no parameters."""
        return self._flat(x, 2)

    def _flat(self, x: Tensor, start: int) -> Tensor:
        if math.prod(x.shape[start:]) != self.in_features:
            raise UsageError(f"this Flat takes {self.in_features} numbers per example, got x {[*x.shape]}.")
        return x.flatten(start)
