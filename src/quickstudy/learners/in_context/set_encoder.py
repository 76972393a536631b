"""What neural processes share: from a support set to one code per group of it, and from codes to predictions.

Axes: t tasks, n support examples, m queries, g groups, f features, w width. The groups are the classes of a
classification; all examples of a regression are one group. A group's code does not depend on the order of its
examples, nor on padding (``quickstudy.tasks.pad``), and the networks are the same for every group: so any number of
classes and examples will do.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.losses import TaskLoss
from quickstudy.core.pad import present, refuse_counted
from quickstudy.learners.metric.base import feature_shape
from quickstudy.nets.backbones.mlp import linear_layers


class Encoder(nn.Module):
    """h: the code of each support example, from its features and, where they are values, its outputs.

    Args:
        model: gives the features.
        values: numbers in y of a regression (None: y are labels).
        width: of the code and of every hidden layer.
        depth: linear layers.
    """

    def __init__(self, model: nn.Module, values: int | None, width: int, depth: int) -> None:
        super().__init__()
        self.values = values is not None
        features = math.prod(feature_shape(model)) + (values or 0)
        self.layers = layers((features, *[width] * depth))

    def forward(self, z: Float[Tensor, "t n f"], y: Tensor) -> Float[Tensor, "t n w"]:
        """Codes of examples; of padding they mean nothing."""
        return self.layers(torch.cat([z, y.where(present(y).unsqueeze(2), 0.0)], -1) if self.values else z)


class Decoder(nn.Module):
    """g: predictions from a query's features and the codes of the groups, in the layout of the loss.

    Args:
        model: gives the features.
        values: numbers in y of a regression (None: y are labels).
        width: of the codes and of every hidden layer.
        depth: linear layers.
        min_std: least standard deviation of a regression's predictions.
    """

    def __init__(self, model: nn.Module, values: int | None, width: int, depth: int, min_std: float) -> None:
        super().__init__()
        self.values = values is not None
        self.min_std = min_std
        # The first layer sees its inputs side by side: a sum of one product each, so that none is repeated.
        self.asked = linear(math.prod(feature_shape(model)), width)
        self.code = linear(width, width, bias=False)
        self.average = None if self.values else linear(width, width, bias=False)
        self.rest = nn.Sequential(nn.ReLU(), layers((*[width] * depth, 1 if values is None else 2 * values)))

    def forward(self, z: Float[Tensor, "t m f"], r: Float[Tensor, "t _ g w"]) -> Tensor:
        """From codes that are the same for all queries (``[t, 1, g, w]``) or each query's own (``[t, m, g, w]``).

        Returns:
            A regression's mean and standard deviation ``[t, m, outputs, 2]``; a classification's logits ``[t, m, g]``.
        """
        h = self.asked(z).unsqueeze(2) + self.code(r)
        if self.average is not None:
            return self.rest(h + self.average(r.mean(2, keepdim=True))).squeeze(3)
        mean, raw = self.rest(h).squeeze(2).unflatten(2, (-1, 2)).unbind(3)
        return torch.stack([mean, self.min_std + (1 - self.min_std) * nn.functional.softplus(raw)], 3)


class Attention(nn.Module):
    """Multi-head attention in which each query looks at each group apart.

    Args:
        keys: features of a query and of a key.
        width: of the values and of what is read.
        heads: that share the width.
    """

    def __init__(self, keys: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(keys, width), nn.Linear(keys, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(
        self,
        q: Float[Tensor, "t m k"],
        k: Float[Tensor, "t n k"],
        r: Float[Tensor, "t n w"],
        seen: Bool[Tensor, "t g _ n"],
    ) -> Float[Tensor, "t m g w"]:
        """What each query reads from the codes ``r`` that it may see; nothing (the output's bias) if there is none."""
        q, k, v = (self._split(x) for x in (self.query(q), self.key(k), self.value(r)))
        scores = (q @ k.mT / math.sqrt(q.shape[-1])).unsqueeze(2)
        seen = seen.unsqueeze(1)
        weights = scores.masked_fill(~seen, torch.finfo(scores.dtype).min).softmax(-1) * seen
        return self.out((weights @ v.unsqueeze(2)).permute(0, 3, 2, 1, 4).flatten(3))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


def linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer whose outputs are as large as its inputs even if those are a ReLU's (He et al. 2015).

    With torch's own start a signal fades by 6 in variance at each layer, and what the support set says would not
    reach the end of encoder and decoder for the first hundreds of steps.
    """
    layer = nn.Linear(inputs, outputs, bias=bias)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def layers(widths: tuple[int, ...]) -> nn.Sequential:
    """Linear layers with ReLU between them, on the last axis."""
    return linear_layers(*widths, linear=linear)


def mean_of_groups(r: Float[Tensor, "t n w"], members: Bool[Tensor, "t n g"]) -> Float[Tensor, "t g w"]:
    """The mean of each group's codes; zero for a group without examples."""
    return members.to(r.dtype).mT @ r / members.sum(1).clamp(min=1).unsqueeze(2)


def groups(y: Tensor, loss: str | TaskLoss, bn_mode: str) -> Bool[Tensor, "t n g"]:
    """Which group each support example is in; padding is in none.

    Args:
        y: labels ``[t, n]`` or values ``[t, n, outputs]``.
        loss: ``cross_entropy`` (the way is what the labels say) or ``gaussian`` (one group).
        bn_mode: BatchNorm's.

    Raises:
        UsageError: labels that do not fit the loss, a class without an example, or padding that BatchNorm would count.
    """
    refuse_counted(y, bn_mode, "a neural process")
    here = present(y)
    if (loss == "gaussian") != y.is_floating_point():
        raise UsageError(f"built with loss={loss!r}, it cannot take y of {y.dtype} {[*y.shape]}; build it anew.")
    if loss == "gaussian":
        return here.unsqueeze(2)
    classes = torch.arange(int(y.max()) + 1, device=y.device)
    members = y.unsqueeze(2) == classes
    if int(y.min()) < -1 or not bool(members.any(1).all()):
        raise UsageError(
            f"each task needs a support example of every class from 0 to its highest label, the same for all tasks of "
            f"a batch (and -1 for padding); the labels here run from {int(y.min())} to {int(y.max())}."
        )
    return members


def check_options(name: str, loss: str, *, width: int, depth: int, min_std: float, heads: int = 1) -> None:
    """Raise ``UsageError`` for options out of their ranges."""
    if loss not in ("cross_entropy", "gaussian"):
        raise UsageError(f"{name} needs loss cross_entropy (labels) or gaussian (values), got {loss!r}.")
    if min(width, depth, heads) < 1 or width % heads or not 0 < min_std < 1:
        raise UsageError(
            f"{name} needs width, depth >= 1, width a multiple of heads and 0 < min_std < 1, got width={width}, "
            f"depth={depth}, heads={heads}, min_std={min_std}."
        )
