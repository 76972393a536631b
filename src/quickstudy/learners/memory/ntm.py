"""Sequences read into a memory, and the answer given from it: neural Turing machines and, to compare, LSTMs.

The support of a task is a sequence that is read step by step; the query steps go on from the state that it left, with
nothing but zeros to read, and each gives a vector of logits, one per bit of the answer.

Equations, with the cell (see ``quickstudy.nets.NTM``), its state s, the sequence x_1 .. x_L and the query steps q_1 ..:

    h_t, s_t = cell(x_t, s_t-1)        t = 1 .. L                    adapt: s_L is kept
    h'_t, s'_t = cell(q_t, s'_t-1)     s'_0 = s_L                    the solver
    logit_t = W h'_t + b               P(bit = 1) = sigmoid(logit)

The meta-loss is the mean of -log P(bit) over the bits of the answer, in nats.

Where it differs from the paper: Adam with clipped gradients in place of RMSprop with momentum, and the controller's
cell has no bypass to the output; what the paper leaves open about the memory is said in ``quickstudy.nets.memory.ntm``.

Reference: Graves, Wayne, Danihelka: Neural Turing Machines. arXiv:1410.5401, 2014.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from torch import Tensor, nn

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import Solver
from quickstudy.core.pad import present
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.core.taken import Found
from quickstudy.learners.memory.streams import read_present
from quickstudy.nets.memory.cells import Cell, LSTMCell, read
from quickstudy.nets.memory.ntm import NTM


class NTMLearner(SupportQueryLearner):
    """Neural Turing machine: a sequence is read into a memory (or by an LSTM), then answered from it.

    Args:
        in_features: channels of a step.
        out_features: bits of a step's answer.
        cell: ``ntm``, or ``lstm`` to compare; the LSTM takes ``hidden_size`` alone of what follows.
        hidden_size: size of the controller's hidden state.
        slots: rows of the memory.
        slot_width: numbers per row.
        reads: read heads.
        writes: write heads.
        shift: how many slots a head can move in one step, either way.
        controller: ``lstm`` or ``feedforward``.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"sequence": "bits"}
    titles: ClassVar[Mapping[str, Mapping[str, str]]] = {"cell": {"lstm": "An LSTM"}}
    loss = "bits"

    def __init__(
        self,
        *,
        in_features: int,
        out_features: int,
        cell: Literal["ntm", "lstm"] = "ntm",
        hidden_size: int = 100,
        slots: int = 128,
        slot_width: int = 20,
        reads: int = 1,
        writes: int = 1,
        shift: int = 1,
        controller: Literal["lstm", "feedforward"] = "lstm",
    ) -> None:
        super().__init__()
        if cell not in ("ntm", "lstm"):
            raise UsageError(f"cell must be ntm or lstm, got {cell!r}.")
        self.in_features = in_features
        self.out_features = out_features
        self.cell: Literal["ntm", "lstm"] = cell
        self.hidden_size = hidden_size
        self.slots = slots
        self.slot_width = slot_width
        self.reads = reads
        self.writes = writes
        self.shift = shift
        self.controller: Literal["lstm", "feedforward"] = controller
        self.net: Cell = (
            LSTMCell(in_features, hidden_size)
            if cell == "lstm"
            else NTM(
                in_features,
                hidden_size=hidden_size,
                slots=slots,
                slot_width=slot_width,
                reads=reads,
                writes=writes,
                shift=shift,
                controller=controller,
            )
        )
        self.answer = nn.Linear(self.net.output_size, out_features)

    def adapt(self, support: Examples) -> Solver:
        """Read the sequences; the solver answers from what is then in memory, from the first step at every call."""
        _, memory = read_present(self.net, support.x, present(support.y))

        def solve(x: Tensor) -> Tensor:
            if x.ndim != 3 or len(x) != len(support):
                raise UsageError(
                    f"this solver has read {len(support)} sequences: x must be [{len(support)}, steps, channels], got "
                    f"{[*x.shape]}."
                )
            return self.answer(read(self.net, x, memory)[0])

        return Found(solve, self.adapt, support)
