"""Networks of the same size: how wide another architecture must be to have as many parameters."""

from collections.abc import Callable

import torch
from torch import nn


def fit_width(make: Callable[[int], nn.Module], parameters: int, *, widest: int = 1024) -> int:
    """The width up to ``widest`` with which ``make(width)`` comes nearest to a number of parameters.

    >>> from quickstudy.nets import Conv4
    >>> fit_width(lambda filters: Conv4(filters=filters), sum(p.numel() for p in Conv4(filters=48).parameters()))
    48
    """

    def count(width: int) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in make(width).parameters())

    low, high = 1, widest
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    return min((low, high), key=lambda width: abs(count(width) - parameters))
