"""Episodes as streams: in which order they are read, what the classes are called, which time a class is seen.

All of it follows from the examples and from nothing else, so that a task is read alike alone and in a batch, in one
piece of a batch and in another. Examples are hashed by their bits, with whole numbers, which are exact in any order.

Legend: t tasks, n examples, k classes, c characters of a label.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.errors import UsageError
from quickstudy.core.seeding import fold, generator
from quickstudy.nets.memory.cells import Cell, State, read

CHARACTERS, LENGTH = 5, 5
"""String labels: how many characters there are, and how many make a label."""


def keys(x: Shaped[Tensor, "t n ..."]) -> Int[Tensor, "t n"]:
    """A 64-bit number for each example; of examples of zeros it is 0."""
    flat = x.detach().flatten(2)
    bits = flat.view({1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[flat.element_size()]).long()
    factors = torch.randint(-(2**62), 2**62, (bits.shape[-1],), generator=generator(0, "keys"))
    return (bits * (2 * factors + 1).to(bits.device)).sum(-1)  # wraps around


def reading_order(x: Shaped[Tensor, "t n ..."]) -> Int[Tensor, "t n"]:
    """A random order of the examples of each task, always the same for the same examples."""
    return keys(x).argsort(dim=1, stable=True)


def shuffled(examples: Examples) -> Examples:
    """The examples in ``reading_order``."""
    order = reading_order(examples.x)
    at = order.view(*order.shape, *[1] * (examples.x.ndim - 2)).expand_as(examples.x)
    return Examples(examples.x.gather(1, at), examples.y.gather(1, order))


def words(x: Shaped[Tensor, "t n ..."], classes: int, like: Tensor) -> Float[Tensor, "t k 25"]:
    """Each class's string label, five characters one-hot each: random for each task, distinct within it."""
    all_of_them = torch.cartesian_prod(*[torch.arange(CHARACTERS)] * LENGTH)
    picked = [
        torch.randperm(len(all_of_them), generator=generator(fold(key, "words"))) for key in keys(x).sum(1).tolist()
    ]
    strings = torch.stack([all_of_them[one[:classes]] for one in picked])
    return F.one_hot(strings, CHARACTERS).flatten(2).to(like)


def spell(outputs: Float[Tensor, "t n 25"], words: Float[Tensor, "t k 25"]) -> Float[Tensor, "t n k"]:
    """The log-probability of each class's string, a softmax for each character."""
    return outputs.unflatten(-1, (LENGTH, CHARACTERS)).log_softmax(-1).flatten(2) @ words.mT


def offset(labels: Float[Tensor, "t n w"], present: Bool[Tensor, "t n"]) -> Float[Tensor, "t m w"]:
    """What is known before each step, and after the last: the label of the step before; m = n + 1, the first is 0."""
    last = torch.where(present, torch.arange(1, present.shape[1] + 1, device=labels.device), 0).cummax(1).values
    at = F.pad(last, (1, 0)).unsqueeze(-1)
    return F.pad(labels, (0, 0, 1, 0)).gather(1, at.expand(-1, -1, labels.shape[-1]))


def read_present(
    cell: Cell, x: Float[Tensor, "t n f"], present: Bool[Tensor, "t n"]
) -> tuple[Float[Tensor, "t n out"], State]:
    """Read the examples that are there; others leave the state as it was."""
    if bool(present.all()):
        return read(cell, x)
    state = cell.start(len(x))
    outputs: list[Tensor] = []
    for step, there in zip(x.unbind(1), present.unbind(1), strict=True):
        output, after = cell(step, state)
        parts = [
            torch.where(there.view(-1, *[1] * (new.ndim - 1)), new, old) for new, old in zip(after, state, strict=True)
        ]
        state = type(after)(*parts) if hasattr(after, "_fields") else tuple(parts)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def presentations(y: Int[Tensor, "t n"], classes: int) -> Int[Tensor, "t n"]:
    """How often each example's class was seen before it in its stream; -1 for padding."""
    before = (y.unsqueeze(-1) == torch.arange(classes, device=y.device)).long().cumsum(1) - 1
    return before.gather(2, y.clamp(min=0).unsqueeze(-1)).squeeze(-1).masked_fill(y < 0, -1)


def check_labels(y: Shaped[Tensor, "..."], classes: int) -> None:
    """Raise ``UsageError`` for what are no labels of that many classes."""
    if y.is_floating_point() or y.ndim != 2:
        raise UsageError(f"labels must be integers [tasks, n], got {y.dtype} {[*y.shape]}.")
    if y.numel() and (int(y.min()) < -1 or int(y.max()) >= classes):
        raise UsageError(
            f"this MANN was built with out_features={classes}, for labels from 0 to {classes - 1} (-1: padding); these "
            f"run from {int(y.min())} to {int(y.max())}. Build and train it with out_features = the largest way (on "
            f"the command line: train_way), or sample tasks of a smaller way."
        )
