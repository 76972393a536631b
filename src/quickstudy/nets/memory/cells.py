"""Cells: networks that read a sequence one step at a time and keep what they read in a state.

A state is a tuple of tensors whose first axis is the sequence, so that it can be sliced, forked and saved like a batch.
Neither a cell nor anything here changes a state in place: who kept one can go on from it again.
"""

from abc import ABC, abstractmethod
from typing import Protocol, TypeAlias, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError

State: TypeAlias = tuple[Tensor, ...]
"""What a cell carries from step to step: a tuple (or NamedTuple) of tensors ``[n, ...]``."""
S = TypeVar("S", bound=State)


class Cell(nn.Module, ABC):
    """One step of reading n independent sequences.

    Attributes:
        output_size: numbers that a step gives for each sequence.
    """

    output_size: int

    @abstractmethod
    def start(self, n: int) -> State:
        """The state of ``n`` sequences before anything was read, in the dtype and on the device of the parameters."""

    @abstractmethod
    def forward(self, x: Float[Tensor, "n f"], state: State) -> tuple[Float[Tensor, "n out"], State]:
        """What is said after reading ``x``, ``[n, output_size]``, and the state to go on from."""


@runtime_checkable
class ReadsAll(Protocol):
    """A cell that reads several steps faster than one by one; ``read`` then uses it. It gives the same numbers."""

    def read_all(self, x: Float[Tensor, "n steps f"], state: State) -> tuple[Float[Tensor, "n steps out"], State]:
        """Outputs after each of the steps and the state after the last."""
        ...


def read(
    cell: Cell, x: Float[Tensor, "n steps f"], state: State | None = None
) -> tuple[Float[Tensor, "n steps out"], State]:
    """Read n sequences from their first step to their last.

    Args:
        cell: what reads.
        x: what is read.
        state: where to go on from (None: ``cell.start``).

    Returns:
        The outputs ``[n, steps, output_size]`` after each step, and the state after the last one.

    >>> outputs, state = read(LSTMCell(3, 8), torch.zeros(2, 5, 3))
    >>> outputs.shape, state[0].shape
    (torch.Size([2, 5, 8]), torch.Size([2, 8]))
    """
    now = cell.start(len(x)) if state is None else state
    if isinstance(cell, ReadsAll):
        return cell.read_all(x, now)
    outputs: list[Tensor] = []
    for x_nf in x.unbind(1):
        output, now = cell(x_nf, now)
        outputs.append(output)
    return torch.stack(outputs, 1) if outputs else x.new_zeros(len(x), 0, cell.output_size), now


def repeat(state: S, times: int) -> S:
    """Fork the state of each sequence: ``[n, ...]`` becomes ``[n * times, ...]``, copies of a sequence side by side.

    >>> repeat((torch.tensor([[1.0], [2.0]]),), 2)[0].flatten()
    tensor([1., 1., 2., 2.])
    """
    forked = [part.repeat_interleave(times, 0) for part in state]
    return type(state)(*forked) if hasattr(state, "_fields") else type(state)(forked)


class LSTMCell(Cell):
    """An LSTM (Hochreiter and Schmidhuber 1997, with forget gates) as a cell; its output is its hidden state.

    Args:
        in_features: numbers read per step.
        hidden_size: size of the hidden state, and of the output.

    Raises:
        UsageError: a size below 1.
    """

    def __init__(self, in_features: int, hidden_size: int) -> None:
        super().__init__()
        if min(in_features, hidden_size) < 1:
            raise UsageError(f"LSTMCell needs in_features and hidden_size >= 1, got {in_features} and {hidden_size}.")
        self.in_features = in_features
        self.hidden_size = hidden_size
        self.output_size = hidden_size
        self.lstm = nn.LSTM(in_features, hidden_size, batch_first=True)

    def start(self, n: int) -> State:
        """Zeros: hidden and cell state, each ``[n, hidden_size]``."""
        zeros = next(self.parameters()).new_zeros(n, self.hidden_size)
        return zeros, zeros

    def forward(self, x: Float[Tensor, "n f"], state: State) -> tuple[Float[Tensor, "n out"], State]:
        """One step."""
        outputs, state = self.read_all(x.unsqueeze(1), state)
        return outputs[:, 0], state

    def read_all(self, x: Float[Tensor, "n steps f"], state: State) -> tuple[Float[Tensor, "n steps out"], State]:
        """All steps in torch's own loop."""
        if not x.shape[1]:
            return x.new_zeros(len(x), 0, self.hidden_size), state
        hidden, memory = state
        outputs, (hidden, memory) = self.lstm(x, (hidden.unsqueeze(0), memory.unsqueeze(0)))
        return outputs, (hidden[0], memory[0])
