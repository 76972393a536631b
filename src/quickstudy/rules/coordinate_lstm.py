"""An LSTM that moves every coordinate by itself, with weights that all coordinates share.

For each coordinate with gradient g (Andrychowicz et al. 2016, section 2.1 and appendix A):

    x          = (log|g| / s, sign g)        where |g| >= exp(-s)
                 (-1, exp(s) g)              elsewhere
    y, state'  = LSTM_2(LSTM_1(x), state)
    p'         = p + scale * w . y

so one coordinate sees nothing but its own gradients, at whatever scale, and what it remembers of them.

Where it differs from the paper: gradients may be divided beforehand by the root of a running mean of their squares over
the whole tensor (``normalize``), which makes the rule independent of the loss's scale; the output layer starts at zero,
so that an untrained rule moves nothing.

Reference: Andrychowicz et al.: Learning to learn by gradient descent by gradient descent. NeurIPS 2016.
"""

import math

import torch
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.functional import Params
from quickstudy.core.rule import UpdateRule
from quickstudy.rules._coordinates import TINY, CoordinateState, join, lstm_cell, names_in_groups, place, row

DECAY = 0.99  # of the running mean square


class CoordinateLSTM(UpdateRule):
    """A two-layer LSTM that moves every coordinate by itself.

    Args:
        hidden_size: units of each of the two layers.
        scale: of the output, > 0.
        saturation: s: gradients below exp(-s) are not told apart by their logarithm any more, > 0.
        normalize: divide gradients by the root of a running mean of their squares over the tensor.
    """

    def __init__(
        self, *, hidden_size: int = 20, scale: float = 0.1, saturation: float = 10.0, normalize: bool = True
    ) -> None:
        super().__init__()
        if hidden_size < 1 or scale <= 0 or saturation <= 0:
            raise UsageError(
                f"CoordinateLSTM needs hidden_size >= 1, scale > 0 and saturation > 0, got {hidden_size}, {scale} and "
                f"{saturation}."
            )
        self.hidden_size = hidden_size
        self.scale = scale
        self.saturation = saturation
        self.normalize = normalize
        self.weights = nn.ParameterList(
            torch.randn(4 * hidden_size, inputs + hidden_size) / math.sqrt(inputs + hidden_size)
            for inputs in (2, hidden_size)
        )
        forget = torch.cat([torch.zeros(hidden_size), torch.ones(hidden_size), torch.zeros(2 * hidden_size)])
        self.biases = nn.ParameterList(forget.clone() for _ in range(2))
        self.out = nn.Parameter(torch.zeros(hidden_size))

    def init(self, params: Params) -> CoordinateState:
        # memory: h and c of both layers
        return {
            name: {
                "step": p.new_zeros(len(p)),
                "square": p.new_zeros(len(p)),
                "memory": p.new_zeros(len(p), 4, self.hidden_size, row(p).shape[-1]),
            }
            for name, p in params.items()
        }

    def update(self, params: Params, grads: Params, state: CoordinateState) -> tuple[Params, CoordinateState]:
        moved: Params = {}
        after: CoordinateState = {}
        for names in names_in_groups(params):
            group = {name: params[name] for name in names}
            rows: list[Tensor] = []
            for name in names:
                g, old = row(grads[name]), state[name]
                step = old["step"] + 1
                square = torch.lerp((g * g).mean(-1), old["square"], DECAY)
                by_root = (square / (1 - DECAY**step) + TINY).rsqrt()
                rows.append(g * by_root[:, None] if self.normalize else g)
                after[name] = {"step": step, "square": square}
            g, p = join(rows), join([row(p) for p in group.values()])
            memory = join([state[name]["memory"] for name in names])
            new: list[Tensor] = []

            def move(
                at: slice, g: Tensor = g, p: Tensor = p, memory: Tensor = memory, new: list[Tensor] = new
            ) -> Tensor:
                y, remembered = self._lstm(g[:, at], memory[..., at])
                new.append(remembered)
                return p[:, at] + self.scale * (self.out @ y)

            moved |= place(move, group)
            sizes = [p[0].numel() for p in group.values()]
            for name, part in zip(names, join(new).split(sizes, -1), strict=True):
                after[name]["memory"] = part
        return moved, after

    def _lstm(self, g: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The upper layer's output ``[t, hidden, n]`` and the new memory ``[t, 4, hidden, n]``."""
        s = self.saturation
        size = g.abs()
        large = size >= math.exp(-s)
        # Where the logarithm is not taken, its argument must still have a finite slope.
        logarithm = torch.where(large, size, 1.0).log() / s
        y = torch.stack([torch.where(large, logarithm, -1.0), torch.where(large, g.sign(), g * math.exp(s))], 1)
        kept: list[Tensor] = []
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y, c = lstm_cell(y, memory[:, 2 * layer], memory[:, 2 * layer + 1], weight, bias)
            kept += [y, c]
        return y, torch.stack(kept, 1)
