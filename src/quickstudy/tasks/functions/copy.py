"""Copy: a sequence is read, then given back (section 4.1; see ``_sequences.py`` for what a batch holds).

Reference: Graves, Wayne, Danihelka: Neural Turing Machines. arXiv:1410.5401, 2014.
"""

from typing import ClassVar

import torch

from quickstudy.core.batch import TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.purity import pure
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown
from quickstudy.tasks.functions._sequences import (
    bits_of,
    channels_after,
    drawn,
    range_text,
    ranges,
    read_then_answer,
    signal,
    whole,
)


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
    called: ClassVar[str] = "copying"

    def __init__(self, *, split: str = "train", bits: int = 8, length: tuple[int, int] = (1, 20)) -> None:
        one_of(SPLITS, split=split)
        at_least(1, bits=bits)
        whole(length=length)
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

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: the length, where it is a range."""
        return ranges(length=self.length)

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"Copy {self.split}, {range_text(self.length)} vectors of {self.bits} bits"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` sequences of one length; a pure function of its arguments.

        Returns:
            ``support.x [tasks, length + 1, bits + 1]``, ``query.y [tasks, length, bits]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "copy", self.split)
        vectors = bits_of(rng, tasks, drawn(rng, self.length), self.bits)
        shown = torch.cat([channels_after(vectors, 1), signal(tasks, self.bits + 1, -1)], 1)
        return read_then_answer(shown, vectors)
