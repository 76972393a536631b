"""The networks that optimization problems train, written out for a batch of tasks: each has its own weights.

Legend: t tasks, n examples, i and o a layer's inputs and outputs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]
Shapes = dict[str, tuple[tuple[int, ...], float]]
"""Per parameter its shape and the standard deviation of its start (negative: all elements are minus that, no draw)."""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
    "softsign": F.softsign,
}


@dataclass(frozen=True)
class MLPs:
    """Linear layers with an activation between; of one layer only: linear or logistic regression.

    Args:
        widths: inputs, hidden layers, outputs.
        activation: by name.
        bias: whether layers have biases.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    bias: bool = True

    def shapes(self) -> Shapes:
        """What there is to train."""
        found: Shapes = {}
        for k, (i, o) in enumerate(pairwise(self.widths)):
            found[f"{k}.weight"] = ((o, i), _gain(self.activation, k + 2 < len(self.widths)) / math.sqrt(i))
            if self.bias:
                found[f"{k}.bias"] = ((o,), 0.0)
        return found

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Outputs ``[t, n, outputs]`` of ``x [t, n, ...]``."""
        h = x.flatten(2)
        for k in range(len(self.widths) - 1):
            h = _linear(h, weights[f"{k}.weight"], weights[f"{k}.bias"] if self.bias else None)
            if k + 2 < len(self.widths):
                h = ACTIVATIONS[self.activation](h)
        return h

    def __str__(self) -> str:
        return f"MLP {'-'.join(map(str, self.widths))} {self.activation if len(self.widths) > 2 else ''}".rstrip()


@dataclass(frozen=True)
class ConvNets:
    """3x3 convolutions of stride 2, each followed by an activation, then a linear layer.

    Args:
        channels: of the image, and of each convolution.
        size: height and width of the images.
        outputs: of the linear layer.
        activation: by name.
    """

    channels: tuple[int, ...]
    size: int
    outputs: int
    activation: str = "relu"

    def shapes(self) -> Shapes:
        """What there is to train."""
        found: Shapes = {}
        side = self.size
        for k, (i, o) in enumerate(pairwise(self.channels)):
            found[f"{k}.weight"] = ((o, i, 3, 3), _gain(self.activation, True) / math.sqrt(9 * i))
            found[f"{k}.bias"] = ((o,), 0.0)
            side = (side + 1) // 2
        inputs = self.channels[-1] * side * side
        return {
            **found,
            "head.weight": ((self.outputs, inputs), 1 / math.sqrt(inputs)),
            "head.bias": ((self.outputs,), 0.0),
        }

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Outputs ``[t, n, outputs]`` of images ``x [t, n, channels, size, size]``."""
        h = x
        for k in range(len(self.channels) - 1):
            t, n, _, height, _ = h.shape
            side = (height + 1) // 2
            patches = F.unfold(h.flatten(0, 1), 3, padding=1, stride=2).view(
                t, n, -1, side * side
            )  # [t, n, i * 9, place]
            w = weights[f"{k}.weight"].flatten(2)[:, None]  # [t, 1, o, i * 9]
            h = (w @ patches + weights[f"{k}.bias"][:, None, :, None]).view(t, n, -1, side, side)
            h = ACTIVATIONS[self.activation](h)
        return _linear(h.flatten(2), weights["head.weight"], weights["head.bias"])

    def __str__(self) -> str:
        return f"conv net {'-'.join(map(str, self.channels))} {self.activation}"


@dataclass(frozen=True)
class Transformers:
    """A small transformer that reads an image row by row: pre-norm, the mean over rows goes into a linear layer.

    Args:
        size: rows, and numbers in a row.
        width: of a token.
        heads: of attention.
        layers: blocks of attention and a two-layer network.
        outputs: of the linear layer.
    """

    size: int
    width: int
    heads: int
    layers: int
    outputs: int

    def shapes(self) -> Shapes:
        """What there is to train."""
        d = self.width
        found: Shapes = {
            "embed.weight": ((d, self.size), 1 / math.sqrt(self.size)),
            "embed.bias": ((d,), 0.0),
            "position": ((self.size, d), 0.02),
        }
        for k in range(self.layers):
            for name, o, i in (("qkv", 3 * d, d), ("out", d, d), ("up", 2 * d, d), ("down", d, 2 * d)):
                found[f"{k}.{name}.weight"] = ((o, i), 1 / math.sqrt(i))
                found[f"{k}.{name}.bias"] = ((o,), 0.0)
            for name in ("norm1", "norm2"):
                found[f"{k}.{name}.weight"] = ((d,), -1.0)
                found[f"{k}.{name}.bias"] = ((d,), 0.0)
        return {**found, "head.weight": ((self.outputs, d), 1 / math.sqrt(d)), "head.bias": ((self.outputs,), 0.0)}

    def __call__(self, weights: Weights, x: Tensor) -> Tensor:
        """Outputs ``[t, n, outputs]`` of images ``x [t, n, 1, size, size]``."""
        t, n = x.shape[:2]
        d, heads = self.width, self.heads

        def linear(h: Tensor, name: str) -> Tensor:
            out = _linear(h.flatten(1, 2), weights[f"{name}.weight"], weights[f"{name}.bias"])
            return out.view(*h.shape[:-1], -1)

        def norm(h: Tensor, name: str) -> Tensor:
            scale, shift = (weights[f"{name}.{part}"][:, None, None] for part in ("weight", "bias"))
            return F.layer_norm(h, (d,)) * scale + shift

        h = linear(x.flatten(2, 3), "embed") + weights["position"][:, None]  # [t, n, size, d]
        for k in range(self.layers):
            qkv = linear(norm(h, f"{k}.norm1"), f"{k}.qkv").view(t, n, self.size, 3, heads, d // heads)
            q, key, value = qkv.permute(3, 0, 1, 4, 2, 5)
            mixed = ((q @ key.mT) / math.sqrt(d // heads)).softmax(-1) @ value  # [t, n, heads, size, d / heads]
            h = h + linear(mixed.transpose(2, 3).flatten(3), f"{k}.out")
            h = h + linear(F.gelu(linear(norm(h, f"{k}.norm2"), f"{k}.up")), f"{k}.down")
        return _linear(h.mean(2), weights["head.weight"], weights["head.bias"])

    def __str__(self) -> str:
        return f"transformer of {self.layers} x {self.width}"


Net = MLPs | ConvNets | Transformers


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x [t, n, i]``, ``weight [t, o, i]`` -> ``[t, n, o]``."""
    return x @ weight.mT if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)


def _gain(activation: str, hidden: bool) -> float:
    return math.sqrt(2) if hidden and activation in ("relu", "gelu", "silu") else 1.0
