"""The LSTM meta-learner's rule: parameters are the cell state of an LSTM with learned gates, coordinate by coordinate.

Equations (Ravi and Larochelle 2017, sections 3.1 to 3.3), for one coordinate theta of any tensor, its gradient g and
the task's loss L; the weights are the same for all coordinates:

    h_t, c_t = LSTM([pre(g), pre(L)], h_{t-1}, c_{t-1})            an ordinary LSTM of ``hidden_size`` units
    i_t      = sigmoid( W_I [h_t, theta_{t-1}, i_{t-1}] + b_I )    how far to go down the gradient
    f_t      = sigmoid( W_F [h_t, theta_{t-1}, f_{t-1}] + b_F )    how much of the parameter to keep
    theta_t  = f_t * theta_{t-1} - i_t * g

    pre(x)   = (log|x| / p, sign x)    where |x| >= e^-p, else (-1, e^p x)

At the start b_F is large and b_I small, so that the rule is gradient descent with a small step size and little decay.

Legend: t tasks, c coordinates of all tensors one after the other, h hidden units.

Reference: Ravi, Larochelle: Optimization as a Model for Few-Shot Learning. ICLR 2017.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule

P = 10.0  # the paper's p: gradients below e^-10 are taken as they are


class GatesState(NamedTuple):
    """The LSTM's output and cell ``[t, h, c]``, the last gates ``[t, 1, c]``, the losses of this step ``[t]``."""

    h: Tensor
    cell: Tensor
    keep: Tensor
    go: Tensor
    losses: Tensor | None


class LSTMGates(UpdateRule):
    """An LSTM decides, for every coordinate, how far to step and how much to keep.

    Args:
        hidden_size: units of the LSTM, >= 1.
        keep_bias: (low, high) of the uniform distribution from which the forget gate's bias b_F starts.
        step_bias: the same for the input gate's bias b_I: sigmoid of it is about the step size at the start.
    """

    def __init__(
        self,
        *,
        hidden_size: int = 20,
        keep_bias: tuple[float, float] = (4.0, 6.0),
        step_bias: tuple[float, float] = (-5.0, -4.0),
    ) -> None:
        super().__init__()
        if hidden_size < 1 or keep_bias[0] > keep_bias[1] or step_bias[0] > step_bias[1]:
            raise UsageError(
                f"LSTMGates needs hidden_size >= 1 and biases (low, high), got {hidden_size}, {keep_bias} and "
                f"{step_bias}."
            )
        self.hidden_size = hidden_size
        self.keep_bias = keep_bias
        self.step_bias = step_bias
        bound = 1 / math.sqrt(hidden_size)
        self.lstm_weight = nn.Parameter(torch.empty(4 * hidden_size, 4 + hidden_size).uniform_(-bound, bound))
        self.lstm_bias = nn.Parameter(torch.empty(4 * hidden_size).uniform_(-bound, bound))
        self.w_i = nn.Parameter(torch.empty(1, hidden_size + 2).uniform_(-0.01, 0.01))
        self.w_f = nn.Parameter(torch.empty(1, hidden_size + 2).uniform_(-0.01, 0.01))
        self.b_i = nn.Parameter(torch.empty(()).uniform_(*step_bias))
        self.b_f = nn.Parameter(torch.empty(()).uniform_(*keep_bias))

    def init(self, params: Params) -> GatesState:
        theta = _row(params)
        zeros = theta.new_zeros(len(theta), self.hidden_size, theta.shape[-1])
        return GatesState(zeros, zeros, zeros[:, :1], zeros[:, :1], None)

    def with_losses(self, state: GatesState, losses: Float[Tensor, " t"]) -> GatesState:
        """The state, told the losses at which the coming step's gradients are taken."""
        return state._replace(losses=losses)

    def update(self, params: Params, grads: Params, state: GatesState) -> tuple[Params, GatesState]:
        if state.losses is None:
            raise UsageError("LSTMGates looks at the losses, too: give them by with_losses before each update.")
        theta, g = _row(params), _row(grads)
        loss = preprocessed(state.losses[:, None]).expand(-1, -1, g.shape[-1])
        gates = self.lstm_weight @ torch.cat([preprocessed(g), loss, state.h], 1) + self.lstm_bias[:, None]
        i, f, o, new = gates.chunk(4, 1)
        cell = f.sigmoid() * state.cell + i.sigmoid() * new.tanh()
        h = o.sigmoid() * cell.tanh()
        seen = torch.cat([h, theta[:, None]], 1)
        go = (self.w_i @ torch.cat([seen, state.go], 1) + self.b_i).sigmoid()
        keep = (self.w_f @ torch.cat([seen, state.keep], 1) + self.b_f).sigmoid()
        moved = keep[:, 0] * theta - go[:, 0] * g
        parts = moved.split([p[0].numel() for p in params.values()], 1)
        return (
            {name: part.view(p.shape) for (name, p), part in zip(params.items(), parts, strict=True)},
            GatesState(h, cell, keep, go, None),
        )


def preprocessed(x: Float[Tensor, "t c"]) -> Float[Tensor, "t 2 c"]:
    """pre(x): the size on a logarithmic scale and the sign, for numbers of any size."""
    size = x.abs()
    large = size >= math.exp(-P)
    scaled = size.clamp(min=math.exp(-P)).log() / P
    return torch.stack([torch.where(large, scaled, -1.0), torch.where(large, x.sign(), math.exp(P) * x)], 1)


def _row(params: Params) -> Float[Tensor, "t c"]:
    """All coordinates of a task in one row."""
    return torch.cat([p.reshape(len(p), -1) for p in params.values()], 1)
