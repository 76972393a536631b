"""Minibatches of each task's examples for the inner steps, in an order of the task's own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from quickstudy.core.batch import Examples
from quickstudy.core.pad import refuse
from quickstudy.core.seeding import content_keys, places, scrambled


@dataclass(frozen=True)
class Minibatches:
    """Step k's ``size`` examples of an endless stream of permutations: none comes twice before all came once.

    A task's permutations follow from its examples and nothing else, so they are the same alone and in a batch, and as
    good as random from task to task. One order for all tasks would favour labels: examples lie class by class, and
    what is seen last counts most.

    Args:
        size: examples of a step (None: all, at each step).
    """

    size: int | None

    def __call__(self, examples: Examples) -> Callable[[int], Examples]:
        """The stream of such examples: a function from the step to its minibatch."""
        n, size = examples.x.shape[1], self.size
        if size is None or size >= n:
            return lambda _: examples
        refuse(examples.y, "an inner step draws its minibatch from all examples")
        keys = content_keys(examples.x) ^ scrambled(content_keys(examples.y))
        every = torch.arange(len(keys), device=keys.device)[:, None]

        def at(step: int) -> Examples:
            first, last = step * size, (step + 1) * size
            passes = range(first // n, (last - 1) // n + 1)
            mixes = [scrambled(keys[:, None] + places(k * n + 1, n, keys.device)) for k in passes]
            drawn = [mix.argsort(dim=1, stable=True) for mix in mixes]
            chosen = torch.cat(drawn, 1)[:, first - passes[0] * n : last - passes[0] * n]
            return Examples(examples.x[every, chosen], examples.y[every, chosen])

        return at
