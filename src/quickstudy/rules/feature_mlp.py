"""A small MLP that turns hand-made features of each coordinate into its step, with weights that all share.

For a coordinate with features x, in a tensor with features u (both in ``quickstudy.rules._features``):

    (d, s) = MLP(x, u)
    step   = clip((skip . x + d) * exp(0.3 s), -4, 4) * exp(base + size . u)        p' = p - step

In the clip are a direction and a magnitude of the coordinate (what has hardly ever had a gradient has features far out,
and must not leap), outside one of the tensor (a learned schedule, and how steps grow with the parameters). u enters the
MLP by its first layer's bias. The MLP's output starts at zero, ``skip`` at the feature that is Adam's direction, and
``size`` at the parameter's root mean square: an untrained rule is Adam with steps relative to the size of the
parameters, and all that it learns is a gain over that.

Where it differs from the paper: the start, ``skip``, ``size`` and the clip; 15 features of a coordinate in place of 39,
with three momenta and one second moment.

Reference: Metz, Freeman, Harrison, Maheswaranathan, Sohl-Dickstein: Practical tradeoffs between memory, compute, and
performance in learned optimizers. CoLLAs 2022 (small_fc_lopt).
"""

import math

import torch
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule
from quickstudy.rules._coordinates import CoordinateState, layer, names_in_groups, place, spread
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
from quickstudy.rules._one_tensor import Parts, dense, features_of_one, follow_one

MAGNITUDE = 0.3
LIMIT = 4.0


class FeatureMLP(UpdateRule):
    """A small MLP over momenta, second moments and the step, shared by all coordinates.

    Args:
        hidden_size: units of each of the two hidden layers.
        lr: steps of the untrained rule, relative to the root mean square of a tensor's parameters, > 0.
    """

    def __init__(self, *, hidden_size: int = 4, lr: float = 0.01) -> None:
        super().__init__()
        if hidden_size < 1 or lr <= 0:
            raise UsageError(f"FeatureMLP needs hidden_size >= 1 and lr > 0, got {hidden_size} and {lr}.")
        self.hidden_size = hidden_size
        self.lr = lr
        inputs = COORDINATE_FEATURES + TENSOR_FEATURES
        self.first = nn.Parameter(torch.randn(hidden_size, COORDINATE_FEATURES) / math.sqrt(inputs))
        self.first_tensor = nn.Parameter(torch.randn(hidden_size, TENSOR_FEATURES) / math.sqrt(inputs))
        self.first_bias = nn.Parameter(torch.zeros(hidden_size))
        self.second = nn.Parameter(torch.randn(hidden_size, hidden_size) * math.sqrt(2 / hidden_size))
        self.second_bias = nn.Parameter(torch.zeros(hidden_size))
        self.out = nn.Parameter(torch.zeros(2, hidden_size))
        self.skip = nn.Parameter(torch.zeros(COORDINATE_FEATURES).index_fill_(0, torch.tensor(ADAM), 1.0))
        self.base = nn.Parameter(torch.tensor(math.log(lr)))
        self.size = nn.Parameter(torch.zeros(TENSOR_FEATURES).index_fill_(0, torch.tensor(LOG_SIZE), 1.0))

    def init(self, params: Params) -> CoordinateState:
        return {name: begin(p) for name, p in params.items()}

    def update(self, params: Params, grads: Params, state: CoordinateState) -> tuple[Params, CoordinateState]:
        after = follow(grads, state)
        moved: Params = {}
        for names in names_in_groups(params):
            group = {name: params[name] for name in names}
            made = features(group, {name: grads[name] for name in names}, after)
            bias = self.first_tensor @ made.tensors + self.first_bias[:, None]  # [t, hidden, k]
            size = (self.base + self.size @ made.tensors).exp()  # [t, k]

            def move(at: slice, made: Features = made, bias: Tensor = bias, size: Tensor = size) -> Tensor:
                return made.p[:, at] - self._step(made, bias, at) * spread(size, made.sizes, at)

            moved |= place(move, group)
        return moved, after

    def move_one(self, p: Tensor, g: Tensor, state: Parts) -> tuple[Tensor, Parts]:
        """As ``update`` (see ``quickstudy.rules.MovesOne``)."""
        after = follow_one(g, state)
        x, scales, u = features_of_one(p, g, after)
        h = dense(self.first * scales, self.first_bias + self.first_tensor @ u, x)
        h = dense(self.second, self.second_bias, [a.relu() for a in h])
        d, s = dense(self.out, torch.zeros_like(self.out[:, 0]), [a.relu() for a in h])
        (direct,) = dense((self.skip * scales)[None], torch.zeros_like(self.skip[:1]), x)
        step = ((direct + d) * (MAGNITUDE * s).exp()).clamp(-LIMIT, LIMIT) * (self.base + self.size @ u).exp()
        return -step, after

    def _step(self, made: Features, bias: Tensor, at: slice) -> Tensor:
        """Direction times the coordinate's magnitude, within limits, ``[t, n]``."""
        first = torch.cat([self.first, self.skip[None]])
        bias = torch.cat([bias, torch.zeros_like(bias[:, :1])], 1)
        if len(made.sizes) == 1:  # the features' scales in the weights: fewer passes over the coordinates
            h = torch.baddbmm(bias, first * made.scales.mT, made.raw(at))
        else:
            h = layer(first, made.coordinates(at), spread(bias, made.sizes, at))
        direct = h[:, -1]
        h = layer(self.second, h[:, :-1].relu(), self.second_bias[:, None])
        d, s = torch.bmm(self.out.expand(len(h), -1, -1), h.relu()).unbind(1)
        return ((direct + d) * (MAGNITUDE * s).exp()).clamp(-LIMIT, LIMIT)
