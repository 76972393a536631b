"""What the two ways of running a neural Turing machine share: the sizes and names of the heads' parameters."""

from typing import NamedTuple

from torch import Tensor

TINY = 1e-16
"""Keeps the logarithm of a weight finite."""
SMALL = 1e-6
"""Added in square to what a norm is the root of."""


class Sizes(NamedTuple):
    """What the shapes of the weights do not say."""

    reads: int
    writes: int
    width: int
    shift: int
    hidden: int
    recurrent: bool

    @property
    def parts(self) -> tuple[int, int, int, int]:
        """The heads' parameters, by nonlinearity: tanh (keys, adds), sigmoid (erases, gates), softplus, softmax."""
        heads = self.reads + self.writes
        adds = self.writes * self.width
        return heads * self.width + adds, adds + heads, 2 * heads, heads * (2 * self.shift + 1)

    @property
    def head_parameters(self) -> int:
        """All of them."""
        return sum(self.parts)


class Heads(NamedTuple):
    """The heads' parameters, ``[n, heads]`` and ``[n, heads, ...]``."""

    key: Tensor
    add: Tensor
    erase: Tensor
    gate: Tensor
    strength: Tensor
    gamma: Tensor
    shift: Tensor


def split_heads(raw: Tensor, sizes: Sizes) -> Heads:
    """Views of ``raw [n, head_parameters]``."""
    return name_heads(raw.split(sizes.parts, 1), sizes)


def name_heads(parts: tuple[Tensor, ...] | list[Tensor], sizes: Sizes) -> Heads:
    """Views of the four parts."""
    heads, d = sizes.reads + sizes.writes, sizes.width
    tanh, sigmoid, softplus, softmax = parts
    n = len(tanh)
    return Heads(
        tanh[:, : heads * d].view(n, heads, d),
        tanh[:, heads * d :].view(n, sizes.writes, d),
        sigmoid[:, : sizes.writes * d].view(n, sizes.writes, d),
        sigmoid[:, sizes.writes * d :],
        softplus[:, :heads],
        softplus[:, heads:],
        softmax.view(n, heads, -1),
    )


def norm_inverse(rows: Tensor, dim: int = -1) -> Tensor:
    """One over the length of each row."""
    return (rows.square().sum(dim) + SMALL**2).rsqrt()
