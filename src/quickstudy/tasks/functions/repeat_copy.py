"""Repeat-copy: a sequence is read, then given back several times (section 4.2; see ``_sequences.py``).

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
    below,
    bits_of,
    channels_after,
    drawn,
    range_text,
    ranges,
    read_then_answer,
    signal,
    whole,
)

COUNTED_IN = 10
"""The number of copies is shown divided by this, whatever its range, so that a number looks the same at test."""


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
    called: ClassVar[str] = "repeated copying"

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
        whole(length=length, copies=copies)
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

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: length and copies, where they are ranges."""
        return ranges(length=self.length, copies=self.copies)

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        shape = f"{range_text(self.length)} vectors of {self.bits} bits, {range_text(self.copies)} copies"
        return f"RepeatCopy {self.split}, {shape}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` sequences of one length and one number of copies; a pure function of its arguments.

        Returns:
            ``support.x [tasks, length + 1, bits + 2]``, ``query.y [tasks, copies * length + 1, bits + 1]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "repeat-copy", self.split)
        part = float(torch.rand((), generator=rng)) if self.mixed else 1.0
        length, copies = (drawn(rng, below(part, ends)) for ends in (self.length, self.copies))
        vectors = bits_of(rng, tasks, length, self.bits)
        count = signal(tasks, self.bits + 2, -2)
        count[..., -1] = copies / COUNTED_IN
        shown = torch.cat([channels_after(vectors, 2), count], 1)
        answer = torch.cat([channels_after(vectors.repeat(1, copies, 1), 1), signal(tasks, self.bits + 1, -1)], 1)
        return read_then_answer(shown, answer)
