"""For learners that compare features: features that are the inputs, and support sets whose classes differ in size."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import quickstudy as qs


class AsItIs(nn.Module):
    """A network that gives back what it gets, times one; ``feature_shape`` is what it is built with."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.feature_shape = shape
        self.one = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.one


@pytest.fixture
def as_it_is() -> type[AsItIs]:
    return AsItIs


@pytest.fixture
def uneven() -> Callable[..., tuple[qs.Examples, Tensor]]:
    """Two tasks of 2, 1 and 3 support examples of three classes, not class by class, and five queries; float64."""

    def draw(*shape: int) -> tuple[qs.Examples, Tensor]:
        rng = torch.Generator().manual_seed(0)
        y = torch.tensor([[2, 0, 2, 1, 0, 2]]).repeat(2, 1)
        x, q = (torch.randn(2, n, *shape, generator=rng, dtype=torch.float64) for n in (6, 5))
        return qs.Examples(x, y), q

    return draw
