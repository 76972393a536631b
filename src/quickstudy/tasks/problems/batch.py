"""A batch of optimization problems of one architecture: the losses of minibatches, as functions of the parameters."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.functional import Params
from quickstudy.core.losses import task_losses
from quickstudy.core.seeding import GOLDEN, mixed
from quickstudy.core.shown import shown_batch
from quickstudy.tasks.problems._nets import Net


@dataclass(frozen=True)
class ProblemBatch:
    """Problems of one architecture.

    Args:
        family: what they are, for people.
        net: predictions from weights and x.
        loss_name: ``cross_entropy`` or ``mse``.
        start: ``{name: [tasks, ...]}``, what is optimised, at its start.
        scales: ``{name: [tasks, 1, ...]}``; the network's weight is scale * parameter.
        train: what minibatches are drawn from.
        held: what validation is on.
        seeds: of each task's minibatches.
        batch_size: examples in a minibatch.
        horizon: steps that training on this batch is meant to take.
    """

    family: str
    net: Net
    loss_name: str
    start: Params
    scales: Params
    train: Examples
    held: Examples
    seeds: Int[Tensor, " tasks"]
    batch_size: int
    horizon: int

    __repr__ = shown_batch

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, tasks: slice) -> "ProblemBatch":
        return self._each(lambda t: t[tasks])

    def to(self, device: torch.device | str) -> "ProblemBatch":
        return self._each(lambda t: t.to(device))

    def double(self) -> "ProblemBatch":
        """The same in float64."""
        return self._each(lambda t: t.double() if t.is_floating_point() else t)

    def repeat(self, times: int) -> "ProblemBatch":
        """Every problem ``times`` times, its copies side by side."""
        return self._each(lambda t: t.repeat_interleave(times, 0))

    def only(self, which: Tensor) -> "ProblemBatch":
        """The problems that a mask or an index chooses."""
        return self._each(lambda t: t[which])

    def loss(self, params: Params, step: int) -> Float[Tensor, " tasks"]:
        """Each problem's loss on its own minibatch of this step, ``[tasks]``."""
        which = minibatch(self.seeds, step, self.batch_size, self.train.x.shape[1])
        rows = torch.arange(len(self), device=which.device)[:, None]
        return self._losses(params, self.train.x[rows, which], self.train.y[rows, which])

    def train_loss(self, params: Params) -> Float[Tensor, " tasks"]:
        """The loss on all training examples."""
        return self._losses(params, self.train.x, self.train.y)

    def held_loss(self, params: Params) -> Float[Tensor, " tasks"]:
        """The loss on the held-out examples."""
        return self._losses(params, self.held.x, self.held.y)

    def _losses(self, params: Params, x: Tensor, y: Tensor) -> Tensor:
        weights = {name: p * self.scales[name] for name, p in params.items()}
        return task_losses(self.loss_name, self.net(weights, x), y)

    def _each(self, change: Callable[[Tensor], Tensor]) -> "ProblemBatch":
        return replace(
            self,
            start={name: change(t) for name, t in self.start.items()},
            scales={name: change(t) for name, t in self.scales.items()},
            train=Examples(change(self.train.x), change(self.train.y)),
            held=Examples(change(self.held.x), change(self.held.y)),
            seeds=change(self.seeds),
        )


def minibatch(seeds: Int[Tensor, " tasks"], step: int, count: int, below: int) -> Int[Tensor, "tasks count"]:
    """Numbers in ``0 .. below - 1``, a function of seed, step and place alone (a hash)."""
    place = torch.arange(count, device=seeds.device)
    z = seeds[:, None] + (step * 1_000_003 + place + 1) * GOLDEN
    return ((mixed(z) >> 31) & 0x7FFFFFFF) % below
