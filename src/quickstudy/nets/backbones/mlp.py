"""MLP: linear layers with ReLU between; the sinusoid network of MAML is ``MLP(in_features=1, out_features=1)``."""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError


def linear_layers(
    *widths: int,
    linear: Callable[[int, int], nn.Linear] = nn.Linear,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Linear layers on the last axis, with an activation between them and none at the end.

    Args:
        widths: of the input, of what each hidden layer puts out, and of the output.
        linear: makes a layer of given inputs and outputs.
        activation: makes what stands between two.

    >>> linear_layers(3, 8, 1, activation=nn.Tanh)
    Sequential(
      (0): Linear(in_features=3, out_features=8, bias=True)
      (1): Tanh()
      (2): Linear(in_features=8, out_features=1, bias=True)
    )
    """
    parts: list[nn.Module] = []
    for width, following in pairwise(widths):
        parts += [linear(width, following), activation()]
    return nn.Sequential(*parts[:-1])


class MLP(nn.Module):
    """A multi-layer perceptron on flattened examples.

    Args:
        in_features: numbers per example (images are flattened: channels * height * width).
        out_features: outputs; None: no head, the output is the last hidden layer's activations.
        hidden: width of each hidden layer.
    """

    def __init__(
        self, *, in_features: int = 1, out_features: int | None = 1, hidden: tuple[int, ...] = (40, 40)
    ) -> None:
        super().__init__()
        widths = (in_features, *hidden, *(() if out_features is None else (out_features,)))
        if min(widths) < 1 or len(widths) < 2:
            raise UsageError(f"MLP needs a layer and widths >= 1, got {in_features}, {hidden}, {out_features}.")
        self.in_features = in_features
        self.out_features = out_features
        self.hidden = tuple(hidden)
        self.layers = linear_layers(*widths)
        if out_features is None:
            self.layers.append(nn.ReLU())
        self.x_shape = (in_features,)
        self.feature_shape = (widths[-1] if out_features is None else widths[-2],)

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n out"]:
        """Outputs ``[n, out_features]`` of examples ``[n, ...]``."""
        if math.prod(x.shape[1:]) != self.in_features:
            raise UsageError(f"this MLP takes {self.in_features} numbers per example, got x {[*x.shape]}.")
        return self.layers(x.flatten(1))

    def forward_tasks(
        self, params: Mapping[str, Tensor], x: Float[Tensor, "tasks n ..."]
    ) -> Float[Tensor, "tasks n out"]:
        """The same for a batch of tasks, each with its own weights ``{name: [tasks, ...]}``."""
        h = x.flatten(2)
        if h.shape[-1] != self.in_features:
            raise UsageError(f"this MLP takes {self.in_features} numbers per example, got x {[*x.shape]}.")
        named = {**dict(self.named_parameters()), **params}
        for i, layer in enumerate(self.layers):
            if isinstance(layer, nn.ReLU):
                h = h.relu()
                continue
            weight, bias = named[f"layers.{i}.weight"], named[f"layers.{i}.bias"]
            h = torch.baddbmm(bias.expand(len(h), 1, -1) if bias.ndim == 1 else bias.unsqueeze(1), h, weight.mT)
        return h
