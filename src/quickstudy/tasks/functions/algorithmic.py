"""Algorithms to be learned from examples: copy, repeat-copy and associative recall.

A task is one sequence of random bit vectors. It is read step by step (``support.x [tasks, steps, channels]``, the bits
first, then channels for delimiters), then the answer is given step by step while nothing more is shown (``query.x`` is
zero), and judged bit by bit (``query.y``, 0.0 or 1.0). ``support.y`` is zero: nothing is asked while reading. All
sequences of a batch have one length, drawn from the seed.

Reference: Graves, Wayne, Danihelka: Neural Turing Machines. arXiv:1410.5401, 2014 (sections 4.1 to 4.3).
"""

from typing import ClassVar

import torch
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.seeding import generator

COUNTED_IN = 10
"""The number of copies is shown divided by this, whatever its range, so that a number looks the same at test."""


class Copy:
    """Sequences of random bits to be given back from memory.

    Read are ``length`` vectors and a delimiter; then the same vectors are to be given back in the same order.

    Args:
        split: names the stream of sequences; the distribution is the same in each.
        bits: numbers per vector.
        length: (shortest, longest) sequence, in vectors.

    Raises:
        UsageError: an option out of its range.

    >>> batch = Copy(bits=8, length=(5, 5)).sample(2, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([2, 6, 9]), torch.Size([2, 5, 8]))
    """

    kind: ClassVar[str] = "sequence"

    def __init__(self, *, split: str = "train", bits: int = 8, length: tuple[int, int] = (1, 20)) -> None:
        one_of(SPLITS, split=split)
        at_least(1, bits=bits)
        _whole(length=length)
        self.split = split
        self.bits = bits
        self.length = length

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one step: the bits and a delimiter."""
        return (self.bits + 1,)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: one per bit."""
        return self.bits

    def describe(self) -> str:
        """One line for people."""
        return f"Copy {self.split}, {_range(self.length)} vectors of {self.bits} bits"

    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` sequences of one length; a pure function of its arguments.

        Returns:
            ``support.x [tasks, length + 1, bits + 1]``, ``query.y [tasks, length, bits]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "copy", self.split)
        vectors = _bits(rng, tasks, _drawn(rng, self.length), self.bits)
        shown = torch.cat([_channels(vectors, 1), _signal(tasks, self.bits + 1, -1)], 1)
        return _batch(shown, vectors)


class RepeatCopy:
    """Sequences of random bits to be given back as often as asked, and an end marker.

    Read are ``length`` vectors and one step with a delimiter and the number of copies (divided by 10); then the copies
    are to be given one after the other, and at last a one in a channel of its own.

    With ``mixed`` a limit is drawn for each batch first, then the length and the copies below it: short sequences come
    more often, beside ones of every size (the mixed strategy of Zaremba and Sutskever, arXiv:1410.4615, 2014). So a
    neural Turing machine learns the loop within minutes.

    Args:
        split: names the stream of sequences; the distribution is the same in each.
        bits: numbers per vector.
        length: (shortest, longest) sequence, in vectors.
        copies: (fewest, most) copies.
        mixed: draw a limit first; False: length and copies uniformly, as in the paper.

    Raises:
        UsageError: an option out of its range.

    >>> batch = RepeatCopy(bits=8, length=(5, 5), copies=(3, 3)).sample(2, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([2, 6, 10]), torch.Size([2, 16, 9]))
    """

    kind: ClassVar[str] = "sequence"

    def __init__(
        self,
        *,
        split: str = "train",
        bits: int = 8,
        length: tuple[int, int] = (1, 10),
        copies: tuple[int, int] = (1, 10),
        mixed: bool = True,
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, bits=bits)
        _whole(length=length, copies=copies)
        self.split = split
        self.bits = bits
        self.length = length
        self.copies = copies
        self.mixed = mixed

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one step: the bits, a delimiter, and the number of copies."""
        return (self.bits + 2,)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: one per bit, and the end marker."""
        return self.bits + 1

    def describe(self) -> str:
        """One line for people."""
        shape = f"{_range(self.length)} vectors of {self.bits} bits, {_range(self.copies)} copies"
        return f"RepeatCopy {self.split}, {shape}"

    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` sequences of one length and one number of copies; a pure function of its arguments.

        Returns:
            ``support.x [tasks, length + 1, bits + 2]``, ``query.y [tasks, copies * length + 1, bits + 1]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "repeat-copy", self.split)
        part = float(torch.rand((), generator=rng)) if self.mixed else 1.0
        length, copies = (_drawn(rng, _below(part, ends)) for ends in (self.length, self.copies))
        vectors = _bits(rng, tasks, length, self.bits)
        count = _signal(tasks, self.bits + 2, -2)
        count[..., -1] = copies / COUNTED_IN
        shown = torch.cat([_channels(vectors, 2), count], 1)
        answer = torch.cat([_channels(vectors.repeat(1, copies, 1), 1), _signal(tasks, self.bits + 1, -1)], 1)
        return _batch(shown, answer)


class AssociativeRecall:
    """Lists of items, one of which is shown again: the item after it is to be given.

    An item is a few bit vectors. Read is the list, a delimiter before each item, then the item that is asked about
    between two delimiters of another kind; then the next item of the list is to be given.

    Args:
        split: names the stream of sequences; the distribution is the same in each.
        bits: numbers per vector.
        items: (fewest, most) items of a list, at least 2.
        item_length: vectors per item.

    Raises:
        UsageError: an option out of its range.

    >>> batch = AssociativeRecall(bits=6, items=(4, 4), item_length=3).sample(2, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([2, 21, 8]), torch.Size([2, 3, 6]))
    """

    kind: ClassVar[str] = "sequence"

    def __init__(
        self, *, split: str = "train", bits: int = 6, items: tuple[int, int] = (2, 6), item_length: int = 3
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, bits=bits, item_length=item_length)
        _whole(items=items)
        at_least(2, items=items[0])
        self.split = split
        self.bits = bits
        self.items = items
        self.item_length = item_length

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one step: the bits and two delimiters."""
        return (self.bits + 2,)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: one per bit."""
        return self.bits

    def describe(self) -> str:
        """One line for people."""
        return f"AssociativeRecall {self.split}, {_range(self.items)} items of {self.item_length} x {self.bits} bits"

    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` lists of one length; a pure function of its arguments.

        Returns:
            ``support.x [tasks, (items + 1) * (item_length + 1) + 1, bits + 2]`` and
            ``query.y [tasks, item_length, bits]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "recall", self.split)
        items = _drawn(rng, self.items)
        vectors = _bits(rng, tasks * items, self.item_length, self.bits).view(tasks, items, self.item_length, -1)
        asked = torch.randint(items - 1, (tasks,), generator=rng)
        channels = self.bits + 2
        before, around = _signal(tasks, channels, -2), _signal(tasks, channels, -1)
        every = torch.arange(tasks)
        shown = [step for item in vectors.unbind(1) for step in (before, _channels(item, 2))]
        shown += [around, _channels(vectors[every, asked], 2), around]
        return _batch(torch.cat(shown, 1), vectors[every, asked + 1])


def _bits(rng: torch.Generator, tasks: int, length: int, bits: int) -> Tensor:
    return torch.randint(2, (tasks, length, bits), generator=rng).float()


def _drawn(rng: torch.Generator, ends: tuple[int, int]) -> int:
    return int(torch.randint(ends[0], ends[1] + 1, (), generator=rng))


def _below(part: float, ends: tuple[int, int]) -> tuple[int, int]:
    """The lower ``part`` of a range."""
    low, high = ends
    return low, low + round(part * (high - low))


def _channels(vectors: Tensor, more: int) -> Tensor:
    """The vectors with ``more`` channels of zeros."""
    return torch.nn.functional.pad(vectors, (0, more))


def _signal(tasks: int, channels: int, channel: int) -> Tensor:
    """One step with a one in one channel."""
    step = torch.zeros(tasks, 1, channels)
    step[..., channel] = 1
    return step


def _batch(shown: Tensor, answer: Tensor) -> TaskBatch:
    silence = shown.new_zeros(len(shown), answer.shape[1], shown.shape[2])
    return TaskBatch(Examples(shown, shown.new_zeros(*shown.shape[:2], answer.shape[2])), Examples(silence, answer))


def _whole(**options: tuple[int, int]) -> None:
    """Every option must be a pair of integers (low, high), 1 <= low <= high."""
    for name, ends in options.items():
        if len(ends) != 2 or any(int(end) != end for end in ends) or not 1 <= ends[0] <= ends[1]:
            raise UsageError(f"{name} must be two integers (low, high) with 1 <= low <= high, got {name}={ends}.")


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]}" if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
