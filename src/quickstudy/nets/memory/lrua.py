"""A memory that is written where it was used least: least recently used access (LRUA), with an LSTM as controller.

Equations (Santoro et al. 2016, section 3), for one step t and head h = 1..n. The memory M has ``slots`` rows M(i); the
controller sees the input and what was read a step ago, and its hidden state gives each head a key k and a gate sigma:

    h_t, c_t = LSTM([x_t, r_t-1], (h_t-1, c_t-1))       k = tanh(.)    sigma = sigmoid(.)

    wlu_h(i) = 1 where i is the slot with the h-th smallest wu_t-1, else 0         least used, a constant
    ww_h     = sigma wr_h,t-1 + (1 - sigma) wlu_h                                  write where it was read, or there
    M_t(i)   = M_t-1(i) (1 - sum_h wlu_h(i)) + sum_h ww_h(i) k_h                   the least used are zeroed first
    wr_h(i)  = softmax_i( cos(k_h, M_t(i)) )         r_h = sum_i wr_h(i) M_t(i)    read by content
    wu_t     = gamma wu_t-1 + sum_h wr_h + sum_h ww_h                              usage

Where it differs from the paper: it writes one wlu with n ones, for n heads; here its ones are dealt out, a slot to each
head, for otherwise all heads would write to all n slots the same. What it leaves open: keys go through tanh, everything
starts at zero, of slots used alike any is the least used (they hold the same, so it does not matter which). Norms
have 1e-6 added in square. ``sharpen`` multiplies the cosines by 1 + softplus(.), which the controller says for each
head, as a neural Turing machine has it: without, no slot can be read with more than exp(2) times another's weight.

Reference: Santoro, Bartunov, Botvinick, Wierstra, Lillicrap: Meta-Learning with Memory-Augmented Neural Networks.
ICML 2016.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.by_hand import in_own_precision
from quickstudy.core.errors import UsageError
from quickstudy.nets.memory._lrua_reading import ReadByHand, Sizes, least_used, norm_inverse
from quickstudy.nets.memory.cells import Cell, State


class LRUAState(NamedTuple):
    """What is carried from step to step."""

    memory: Float[Tensor, "n slots width"]
    usage: Float[Tensor, "n slots"]
    read_weights: Float[Tensor, "n heads slots"]
    reads: Float[Tensor, "n read"]
    hidden: Float[Tensor, "n hidden"]
    cell: Float[Tensor, "n hidden"]


class LRUA(Cell):
    """Least recently used access as a cell; its output is the controller's hidden state beside what was read.

    Args:
        in_features: numbers read per step.
        hidden_size: size of the controller's hidden state.
        slots: rows of the memory, at least as many as heads.
        slot_width: numbers per row.
        heads: read heads; each writes, too.
        decay: gamma, what is left of the usage after a step, in [0, 1].
        sharpen: let the controller say how much the similarity counts (the paper: always 1).

    Raises:
        UsageError: an option out of its range.

    >>> cell = LRUA(3, hidden_size=8, slots=16, slot_width=4, heads=2)
    >>> output, state = cell(torch.zeros(5, 3), cell.start(5))
    >>> output.shape, state.memory.shape
    (torch.Size([5, 16]), torch.Size([5, 16, 4]))
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden_size: int = 200,
        slots: int = 128,
        slot_width: int = 40,
        heads: int = 4,
        decay: float = 0.95,
        sharpen: bool = False,
    ) -> None:
        super().__init__()
        if min(in_features, hidden_size, slot_width, heads) < 1 or slots < heads or not 0 <= decay <= 1:
            raise UsageError(
                "LRUA needs in_features, hidden_size, slot_width and heads >= 1, slots >= heads and 0 <= decay <= 1, "
                f"got {in_features}, {hidden_size}, {slot_width}, {heads}, {slots} and {decay}."
            )
        self.in_features = in_features
        self.hidden_size = hidden_size
        self.slots = slots
        self.slot_width = slot_width
        self.heads = heads
        self.decay = decay
        self.sharpen = sharpen
        self.output_size = hidden_size + heads * slot_width
        self.sizes = Sizes(heads, slot_width, hidden_size, decay, sharpen)
        self.from_input = nn.Linear(in_features, 4 * hidden_size)
        self.from_before = nn.Linear(heads * slot_width + hidden_size, 4 * hidden_size, bias=False)
        self.to_heads = nn.Linear(hidden_size, sum(self.sizes.parts))

    def start(self, n: int) -> LRUAState:
        """Nothing written, nothing read: zeros."""
        like = self.to_heads.weight
        slots = like.new_zeros(n, self.slots)
        nothing = like.new_zeros(n, self.hidden_size)
        return LRUAState(
            slots.new_zeros(n, self.slots, self.slot_width),
            slots,
            slots.new_zeros(n, self.heads, self.slots),
            slots.new_zeros(n, self.heads * self.slot_width),
            nothing,
            nothing,
        )

    @in_own_precision
    def forward(self, x: Float[Tensor, "n f"], state: State) -> tuple[Float[Tensor, "n out"], LRUAState]:
        """One step; ``state`` as ``start`` or a step gave it."""
        after = lrua_step(self.from_input(x), LRUAState(*state), *self._weights(), self.sizes)
        return torch.cat([after.hidden, after.reads], -1), after

    @in_own_precision
    def read_all(self, x: Float[Tensor, "n steps f"], state: State) -> tuple[Float[Tensor, "n steps out"], LRUAState]:
        """All steps, with derivatives by hand: the same numbers, several times as fast."""
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, self.output_size), LRUAState(*state)
        inputs = self.from_input(x).transpose(0, 1)
        hidden, reads, memory, usage, w_read, cell = ReadByHand.apply(
            self.sizes, lrua_steps, inputs, *state, *self._weights()
        )
        after = LRUAState(memory, usage, w_read, reads[-1], hidden[-1], cell)
        return torch.cat([hidden, reads], -1).transpose(0, 1), after

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.from_before.weight, self.to_heads.weight, self.to_heads.bias


def lrua_step(
    inputs: Float[Tensor, "n gates"],
    state: LRUAState,
    from_before: Float[Tensor, "gates before"],
    heads_weight: Float[Tensor, "p hidden"],
    heads_bias: Float[Tensor, " p"],
    sizes: Sizes,
) -> LRUAState:
    """One step as the equations say it. ``inputs``: the part of the controller's preactivation that comes from x."""
    memory, usage, w_read, reads, hidden, cell = state
    let_in, forget, out, new = (inputs + torch.cat([reads, hidden], -1) @ from_before.mT).chunk(4, -1)
    cell = forget.sigmoid() * cell + let_in.sigmoid() * new.tanh()
    hidden = out.sigmoid() * cell.tanh()
    key, gate, strength = F.linear(hidden, heads_weight, heads_bias).split(sizes.parts, -1)
    key = key.tanh().unflatten(-1, (sizes.heads, sizes.width))

    w_least, keep = least_used(usage, sizes.heads)
    w_write = torch.lerp(w_least, w_read, gate.sigmoid().unsqueeze(-1))
    memory = memory * keep + w_write.mT @ key
    cosine = (key @ memory.mT) * norm_inverse(key).unsqueeze(-1) * norm_inverse(memory).unsqueeze(-2)
    if sizes.sharpen:
        cosine = cosine * (1 + F.softplus(strength)).unsqueeze(-1)
    w_read = cosine.softmax(-1)
    usage = sizes.decay * usage + (w_read + w_write).detach().sum(1)
    return LRUAState(memory, usage, w_read, (w_read @ memory).flatten(1), hidden, cell)


def lrua_steps(sizes: Sizes, inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
    """All steps by ``lrua_step``: what ``ReadByHand`` gives, as a graph that can be differentiated again and again."""
    state, (from_before, heads_weight, heads_bias) = LRUAState(*rest[:6]), rest[6:]
    states: list[LRUAState] = []
    for x in inputs:
        state = lrua_step(x, state, from_before, heads_weight, heads_bias, sizes)
        states.append(state)
    hidden, reads = torch.stack([s.hidden for s in states]), torch.stack([s.reads for s in states])
    return hidden, reads, state.memory, state.usage, state.read_weights, state.cell
