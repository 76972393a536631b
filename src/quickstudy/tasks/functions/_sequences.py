"""What the algorithms to be learned from examples share: a sequence that is read, and an answer that is given.

A task is one sequence of random bit vectors. It is read step by step (``support.x [tasks, steps, channels]``, the bits
first, then channels for delimiters), then the answer is given step by step while nothing more is shown (``query.x`` is
zero), and judged bit by bit (``query.y``, 0.0 or 1.0). ``support.y`` is zero: nothing is asked while reading. All
sequences of a batch have one length, drawn from the seed.

Reference: Graves, Wayne, Danihelka: Neural Turing Machines. arXiv:1410.5401, 2014 (sections 4.1 to 4.3).
"""

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.errors import UsageError


def bits_of(rng: torch.Generator, tasks: int, length: int, bits: int) -> Tensor:
    """Random vectors ``[tasks, length, bits]`` of zeros and ones."""
    return torch.randint(2, (tasks, length, bits), generator=rng).float()


def drawn(rng: torch.Generator, ends: tuple[int, int]) -> int:
    """An integer within a range, both ends included."""
    return int(torch.randint(ends[0], ends[1] + 1, (), generator=rng))


def below(part: float, ends: tuple[int, int]) -> tuple[int, int]:
    """The lower ``part`` of a range."""
    low, high = ends
    return low, low + round(part * (high - low))


def channels_after(vectors: Tensor, more: int) -> Tensor:
    """The vectors with ``more`` channels of zeros."""
    return torch.nn.functional.pad(vectors, (0, more))


def signal(tasks: int, channels: int, channel: int) -> Tensor:
    """One step with a one in one channel."""
    step = torch.zeros(tasks, 1, channels)
    step[..., channel] = 1
    return step


def read_then_answer(shown: Tensor, answer: Tensor) -> TaskBatch:
    """The support is what is shown, the query the answer while nothing is."""
    silence = shown.new_zeros(len(shown), answer.shape[1], shown.shape[2])
    return TaskBatch(Examples(shown, shown.new_zeros(*shown.shape[:2], answer.shape[2])), Examples(silence, answer))


def whole(**options: tuple[int, int]) -> None:
    """Every option must be a pair of integers (low, high), 1 <= low <= high."""
    for name, ends in options.items():
        if len(ends) != 2 or any(int(end) != end for end in ends) or not 1 <= ends[0] <= ends[1]:
            raise UsageError(f"{name} must be two integers (low, high) with 1 <= low <= high, got {name}={ends}.")


def ranges(**options: tuple[int, int]) -> tuple[str, ...]:
    """The names of the options that are drawn, once for all sequences of a batch."""
    return tuple(name for name, (low, high) in options.items() if low < high)


def range_text(ends: tuple[int, int]) -> str:
    """``3``, or ``1 to 20``."""
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
