"""A neural Turing machine: a controller that reads and writes a memory at places it addresses softly.

Equations (Graves et al. 2014, section 3), for one step t. The memory M has ``slots`` rows M(i); the controller sees the
input and what was read a step ago, and its hidden state h gives every head's parameters by one linear map:

    h, c = LSTM([x, r_t-1], (h_t-1, c_t-1))       or, feed-forward,       h = tanh(W [x, r_t-1] + b)
    k = tanh(.)  beta = softplus(.)  g = sigmoid(.)  s = softmax(.)  gamma = 1 + softplus(.)        of each head
    e = sigmoid(.)  a = tanh(.)                                                                     of each write head

    w_c(i) = softmax_i( beta cos(k, M_t-1(i)) )                                   by content
    w_g    = g w_c + (1 - g) w_t-1                                                interpolation
    w_s(i) = sum_j s(j) w_g(i - j mod slots)                                      shift, j from -shift to shift
    w_t(i) = w_s(i)^gamma / sum_i' w_s(i')^gamma                                  sharpening

    r_t    = sum_i w_t(i) M_t-1(i)                                                each read head
    M_t(i) = M_t-1(i) prod_heads (1 - w_t(i) e) + sum_heads w_t(i) a              each write head

Where it differs from the paper: what it leaves open follows Collier and Beel 2018 (the nonlinearities above, all heads
address M_t-1 and read it before it is written, memory starts at a small constant). At the start every head points at
slot 0, for all slots are alike. Norms have 1e-6 added in square, and sharpening works with log(w_s + 1e-16).

References: Graves, Wayne, Danihelka: Neural Turing Machines. arXiv:1410.5401, 2014. Collier, Beel: Implementing Neural
Turing Machines. ICANN 2018.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.by_hand import in_own_precision
from quickstudy.core.errors import UsageError
from quickstudy.nets.memory._ntm_heads import TINY, Sizes, norm_inverse, split_heads
from quickstudy.nets.memory._ntm_reading import ReadByHand
from quickstudy.nets.memory.cells import Cell, State

START = 1e-6
"""What every cell of the memory holds before anything was written."""


class NTMState(NamedTuple):
    """What is carried from step to step. A feed-forward controller has no hidden and cell state (width 0)."""

    memory: Float[Tensor, "n slots width"]
    weights: Float[Tensor, "n heads slots"]
    reads: Float[Tensor, "n read"]
    hidden: Float[Tensor, "n hidden"]
    cell: Float[Tensor, "n hidden"]


class NTM(Cell):
    """A neural Turing machine as a cell; its output is the controller's hidden state beside what was read.

    Heads are ordered: first those that read, then those that write.

    Args:
        in_features: numbers read per step.
        hidden_size: size of the controller's hidden state.
        slots: rows of the memory.
        slot_width: numbers per row.
        reads: read heads, at least 1.
        writes: write heads, at least 1.
        shift: how many slots a head can move in one step, either way.
        controller: ``lstm`` or ``feedforward``.

    Raises:
        UsageError: a size below 1, a shift that goes around the memory, or an unknown controller.

    >>> ntm = NTM(in_features=3, hidden_size=8, slots=16, slot_width=4)
    >>> output, state = ntm(torch.zeros(2, 3), ntm.start(2))
    >>> output.shape, state.memory.shape, state.weights.shape
    (torch.Size([2, 12]), torch.Size([2, 16, 4]), torch.Size([2, 2, 16]))
    """

    def __init__(
        self,
        in_features: int,
        *,
        hidden_size: int = 100,
        slots: int = 128,
        slot_width: int = 20,
        reads: int = 1,
        writes: int = 1,
        shift: int = 1,
        controller: Literal["lstm", "feedforward"] = "lstm",
    ) -> None:
        super().__init__()
        if min(in_features, hidden_size, slots, slot_width, reads, writes) < 1 or not 0 <= 2 * shift < slots:
            raise UsageError(
                "NTM needs in_features, hidden_size, slots, slot_width, reads and writes >= 1 and 0 <= shift < "
                f"slots / 2, got {in_features}, {hidden_size}, {slots}, {slot_width}, {reads}, {writes} and {shift}."
            )
        if controller not in ("lstm", "feedforward"):
            raise UsageError(f"controller must be lstm or feedforward, got {controller!r}.")
        self.in_features = in_features
        self.hidden_size = hidden_size
        self.slots = slots
        self.slot_width = slot_width
        self.reads = reads
        self.writes = writes
        self.shift = shift
        self.controller = controller
        self.output_size = hidden_size + reads * slot_width
        self.sizes = Sizes(reads, writes, slot_width, shift, hidden_size, controller == "lstm")
        gates = 4 * hidden_size if self.sizes.recurrent else hidden_size
        self.from_input = nn.Linear(in_features, gates)
        self.from_before = nn.Linear(reads * slot_width + hidden_size * self.sizes.recurrent, gates, bias=False)
        self.heads = nn.Linear(hidden_size, self.sizes.head_parameters)
        if self.sizes.recurrent:
            with torch.no_grad():
                self.from_input.bias[hidden_size : 2 * hidden_size] += 1  # the forget gate starts open

    def start(self, n: int) -> NTMState:
        """Memory at a small constant, every head at slot 0, nothing read."""
        like = self.from_before.weight
        weights = like.new_zeros(n, self.reads + self.writes, self.slots)
        weights[..., 0] = 1
        zeros = like.new_zeros(n, self.hidden_size * self.sizes.recurrent)
        memory = like.new_full((n, self.slots, self.slot_width), START)
        return NTMState(memory, weights, like.new_zeros(n, self.reads * self.slot_width), zeros, zeros)

    @in_own_precision
    def forward(self, x: Float[Tensor, "n f"], state: State) -> tuple[Float[Tensor, "n out"], NTMState]:
        """One step; ``state`` as ``start`` or a step gave it."""
        after = ntm_step(self.from_input(x), NTMState(*state), *self._weights(), self.sizes)
        hidden = after.hidden
        return torch.cat([hidden, after.reads], -1), self._carried(after)

    @in_own_precision
    def read_all(self, x: Float[Tensor, "n steps f"], state: State) -> tuple[Float[Tensor, "n steps out"], NTMState]:
        """All steps, with derivatives by hand: the same numbers, several times as fast."""
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, self.output_size), NTMState(*state)
        inputs = self.from_input(x).transpose(0, 1)
        hidden, reads, *last = ReadByHand.apply(self.sizes, ntm_steps, inputs, *state, *self._weights())
        after = NTMState(last[0], last[1], reads[-1], hidden[-1], last[2])
        return torch.cat([hidden, reads], -1).transpose(0, 1), self._carried(after)

    def _weights(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.from_before.weight, self.heads.weight, self.heads.bias

    def _carried(self, after: NTMState) -> NTMState:
        return after if self.sizes.recurrent else after._replace(hidden=after.hidden[:, :0])


def ntm_step(
    inputs: Float[Tensor, "n gates"],
    state: NTMState,
    from_before: Float[Tensor, "gates before"],
    heads_weight: Float[Tensor, "p hidden"],
    heads_bias: Float[Tensor, " p"],
    sizes: Sizes,
) -> NTMState:
    """One step as the equations say it. ``inputs``: the part of the controller's preactivation that comes from x."""
    memory, weights, reads, hidden, cell = state
    gates = inputs + torch.cat([reads, hidden], -1) @ from_before.mT
    if sizes.recurrent:
        let_in, forget, out, new = gates.chunk(4, -1)
        cell = forget.sigmoid() * cell + let_in.sigmoid() * new.tanh()
        hidden = out.sigmoid() * cell.tanh()
    else:
        hidden = gates.tanh()
    raw = split_heads(F.linear(hidden, heads_weight, heads_bias), sizes)
    key, add, erase, gate = raw.key.tanh(), raw.add.tanh(), raw.erase.sigmoid(), raw.gate.sigmoid()
    strength, gamma, shift = F.softplus(raw.strength), 1 + F.softplus(raw.gamma), raw.shift.softmax(-1)

    cosine = (key @ memory.mT) * norm_inverse(key).unsqueeze(-1) * norm_inverse(memory).unsqueeze(-2)
    by_content = (strength.unsqueeze(-1) * cosine).softmax(-1)
    mixed = torch.lerp(weights, by_content, gate.unsqueeze(-1))
    moved = sum((shift[..., j, None] * mixed.roll(j - sizes.shift, -1) for j in range(2 * sizes.shift + 1)), 0 * mixed)
    weights = (gamma.unsqueeze(-1) * (moved + TINY).log()).softmax(-1)

    reading, writing = weights.split([sizes.reads, sizes.writes], 1)
    keep = (1 - writing.unsqueeze(-1) * erase.unsqueeze(-2)).prod(1)
    return NTMState(memory * keep + writing.mT @ add, weights, (reading @ memory).flatten(1), hidden, cell)


def ntm_steps(sizes: Sizes, inputs: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
    """All steps by ``ntm_step``: what ``ReadByHand`` gives, as a graph that can be differentiated again and again."""
    state, weights = NTMState(*rest[:5]), rest[5:]
    hidden: list[Tensor] = []
    reads: list[Tensor] = []
    for x in inputs:
        after = ntm_step(x, state, weights[0], weights[1], weights[2], sizes)
        hidden.append(after.hidden)
        reads.append(after.reads)
        state = after if sizes.recurrent else after._replace(hidden=after.hidden[:, :0])
    return torch.stack(hidden), torch.stack(reads), state.memory, state.weights, state.cell
