"""Associative recall: which item came after this one? (section 4.3; see ``_sequences.py``).

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
    called: ClassVar[str] = "associative recall"

    def __init__(
        self, *, split: str = "train", bits: int = 6, items: tuple[int, int] = (2, 6), item_length: int = 3
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, bits=bits, item_length=item_length)
        whole(items=items)
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

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: the number of items, where it is a range."""
        return ranges(items=self.items)

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        items = f"{range_text(self.items)} items of {self.item_length} x {self.bits} bits"
        return f"AssociativeRecall {self.split}, {items}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` lists of one length; a pure function of its arguments.

        Returns:
            ``support.x [tasks, (items + 1) * (item_length + 1) + 1, bits + 2]`` and
            ``query.y [tasks, item_length, bits]``.
        """
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "recall", self.split)
        items = drawn(rng, self.items)
        vectors = bits_of(rng, tasks * items, self.item_length, self.bits).view(tasks, items, self.item_length, -1)
        asked = torch.randint(items - 1, (tasks,), generator=rng)
        channels = self.bits + 2
        before, around = signal(tasks, channels, -2), signal(tasks, channels, -1)
        every = torch.arange(tasks)
        shown = [step for item in vectors.unbind(1) for step in (before, channels_after(item, 2))]
        shown += [around, channels_after(vectors[every, asked], 2), around]
        return read_then_answer(torch.cat(shown, 1), vectors[every, asked + 1])
