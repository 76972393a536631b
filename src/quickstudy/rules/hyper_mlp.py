"""A rule that chooses itself a rule for each tensor: an LSTM over tensors mixes the per-coordinate MLP's weights.

At every step an LSTM looks at each tensor's statistics u (step, size and root mean square of the parameters, ratios of
the momenta's and the second moment's roots to the gradient's) beside their mean over all tensors, and says

    mix (k numbers that sum to 1),  gain        per tensor
    W     = sum_k mix_k W_k                     the weights of the tensor's own MLP, out of a bank of k
    step  = (skip . x + d) * exp(0.3 s) * exp(base + size . u + gain)        with (d, s) = MLP_W(x)

x as for ``FeatureMLP``. So the network that is large runs once per tensor and step, the one that runs for every
coordinate is tiny.

Where it differs from the paper: its size; no loss among the inputs, which a ``torch.optim`` step is not given; the
start, as ``FeatureMLP``'s (the LSTM's output starts at zero: an even mix, no gain).

Reference: Metz et al.: VeLO: training versatile learned optimizers by scaling up. 2022.
"""

import math

import torch
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule
from quickstudy.rules._coordinates import TINY, CoordinateState, join, lstm_cell, place
from quickstudy.rules._features import (
    ADAM,
    COORDINATE_FEATURES,
    LOG_SIZE,
    TENSOR_FEATURES,
    Features,
    begin,
    features,
    follow,
)

MAGNITUDE = 0.3
STATISTICS = TENSOR_FEATURES + 4


class HyperMLP(UpdateRule):
    """An LSTM over tensor statistics that mixes a per-coordinate MLP for each tensor.

    Args:
        hidden_size: units of the per-coordinate MLP's one hidden layer.
        bank: MLPs that are mixed.
        lstm: units of the LSTM.
        lr: steps of the untrained rule, relative to the root mean square of a tensor's parameters, > 0.
    """

    def __init__(self, *, hidden_size: int = 8, bank: int = 4, lstm: int = 16, lr: float = 0.01) -> None:
        super().__init__()
        if min(hidden_size, bank, lstm) < 1 or lr <= 0:
            raise UsageError(
                f"HyperMLP needs hidden_size, bank and lstm >= 1 and lr > 0, got {hidden_size}, {bank}, {lstm} and "
                f"{lr}."
            )
        self.hidden_size = hidden_size
        self.bank = bank
        self.lstm = lstm
        self.lr = lr
        inputs = 2 * STATISTICS + lstm
        self.lstm_weight = nn.Parameter(torch.randn(4 * lstm, inputs) / math.sqrt(inputs))
        self.lstm_bias = nn.Parameter(torch.zeros(4 * lstm))
        self.choose = nn.Parameter(torch.zeros(bank + 1, lstm))
        self.first = nn.Parameter(torch.randn(bank, hidden_size, COORDINATE_FEATURES) / math.sqrt(COORDINATE_FEATURES))
        self.first_bias = nn.Parameter(torch.zeros(bank, hidden_size))
        # Unequal, so that the bank's members have gradients of their own.
        self.out = nn.Parameter(torch.randn(bank, 2, hidden_size) * 0.01)
        self.skip = nn.Parameter(torch.zeros(bank, COORDINATE_FEATURES).index_fill_(1, torch.tensor(ADAM), 1.0))
        self.base = nn.Parameter(torch.tensor(math.log(lr)))
        self.size = nn.Parameter(torch.zeros(TENSOR_FEATURES).index_fill_(0, torch.tensor(LOG_SIZE), 1.0))

    def init(self, params: Params) -> CoordinateState:
        return {name: {**begin(p), "memory": p.new_zeros(len(p), 2 * self.lstm)} for name, p in params.items()}

    def update(self, params: Params, grads: Params, state: CoordinateState) -> tuple[Params, CoordinateState]:
        after = follow(grads, state)
        made = {name: features({name: p}, {name: grads[name]}, after) for name, p in params.items()}
        u = join([_statistics(own) for own in made.values()])  # [t, s, k]
        memory = torch.stack([state[name]["memory"] for name in params], -1)
        h, c = memory.chunk(2, 1)
        x = torch.cat([u, u.mean(-1, keepdim=True).expand_as(u)], 1)
        h, c = lstm_cell(x, h, c, self.lstm_weight, self.lstm_bias)
        mix, gain = (self.choose @ h).split([self.bank, 1], 1)
        mix = mix.softmax(1)
        size = (self.base + self.size @ u[:, :TENSOR_FEATURES] + gain[:, 0]).exp()  # [t, k]
        moved: Params = {}
        for k, (name, own) in enumerate(made.items()):
            after[name]["memory"] = torch.cat([h[..., k], c[..., k]], 1)
            weights = self._weights(mix[..., k], own)

            def move(at: slice, own: Features = own, weights: tuple[Tensor, ...] = weights, k: int = k) -> Tensor:
                first, bias, out = weights
                hidden = torch.baddbmm(bias, first, own.raw(at))
                d, s = (out @ hidden[:, :-1].relu()).unbind(1)
                return own.p[:, at] - (hidden[:, -1] + d) * (MAGNITUDE * s).exp() * size[:, k, None]

            moved |= place(move, {name: params[name]})
        return moved, after

    def _weights(self, mix: Tensor, own: Features) -> tuple[Tensor, Tensor, Tensor]:
        """A tensor's MLP, its first layer with the features' scales in it and ``skip`` as one more row."""
        first = torch.einsum("tb,bhf->thf", mix, torch.cat([self.first, self.skip[:, None]], 1)) * own.scales.mT
        bias = torch.einsum("tb,bh->th", mix, torch.cat([self.first_bias, torch.zeros_like(self.first_bias[:, :1])], 1))
        return first, bias[..., None], torch.einsum("tb,boh->toh", mix, self.out)


def _statistics(own: Features) -> Tensor:
    """What the LSTM sees of a tensor, ``[t, s, 1]``."""
    roots = own.scales[:, :4].reciprocal()  # of g and the momenta
    spread_of_v = (own.by_v * own.by_v).mean(-1)[:, None, None].rsqrt() + TINY
    ratios = [roots[:, 1:] / roots[:, :1], spread_of_v / roots[:, :1]]
    return torch.cat([own.tensors, *((ratio + 1e-6).log() / 3 for ratio in ratios)], 1)
