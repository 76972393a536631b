"""Problems: optimization problems to train an optimizer on, or to compare optimizers by.

A problem is a network's start, its data, and the loss of a minibatch at each step. The families vary what an optimizer
meets: curvature (``quadratic``: regression with a random spectrum), ``logistic`` regression on overlapping clusters,
``mlp`` and ``conv`` nets on small images, of random depth, width, activation, batch size and initial scale. A task may
be reparametrised: what is optimised is p, the network's weight is s * p with a scale s of its own for each tensor.

All problems of a batch have one architecture, drawn from the seed, and so run as one set of operations; data, classes,
starts, scales and minibatches are each problem's own. Held-out families, for tests: ``wide``, ``deep``, ``activation``
(none of those trained on), ``digits`` and ``omniglot`` (other data), ``transformer``.

After Metz et al.: Tasks, stability, architecture, and compute. 2020, and Practical tradeoffs between memory, compute,
and performance in learned optimizers. CoLLAs 2022; the distribution is our own and much smaller.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.checks import SPLITS, at_least, interval, one_of
from quickstudy.core.functional import Params
from quickstudy.core.losses import task_losses
from quickstudy.core.seeding import fold, generator, uniform
from quickstudy.tasks.problems import _data as data_of
from quickstudy.tasks.problems._nets import ConvNets, MLPs, Net, Transformers

TRAINED = ("quadratic", "logistic", "mlp", "conv")
HELD_OUT = ("wide", "deep", "activation", "digits", "omniglot", "transformer")
_SEEN_ACTIVATIONS = ("relu", "tanh", "gelu")
_NEW_ACTIVATIONS = ("silu", "softsign")


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
    """Numbers in ``0 .. below - 1``, a function of seed, step and place alone (splitmix64's finaliser as a hash)."""
    place = torch.arange(count, device=seeds.device)
    z = seeds[:, None] + (step * 1_000_003 + place + 1) * -7046029254386353131  # 0x9E3779B97F4A7C15, wraps around
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        z = (z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return ((z >> 31) & 0x7FFFFFFF) % below


class Problems:
    """Optimization problems: quadratics, logistic regression, MLPs and conv nets of random shape.

    Args:
        split: names the stream of problems; the distribution is the same in each.
        families: what the batches are drawn from, by turns of the seed: ``quadratic``, ``logistic``, ``mlp``, ``conv``;
            held out for tests: ``wide``, ``deep``, ``activation``, ``digits``, ``omniglot``, ``transformer``.
        data: images for ``mlp`` and ``conv``: ``glyphs`` (drawn), ``digits`` (scikit-learn's), ``omniglot``.
        horizon: (low, high) of the steps that a batch is meant to be trained for, log-uniform.
        examples: training examples per problem.
        size: height and width of images in pixels.
        rescale: how far reparametrisation goes, in powers of ten: a tensor's scale is 10 ** u with u within
            plus and minus a bound that each task draws up to this; 0: none.

    Raises:
        UsageError: an unknown family or data, or a number out of its range.

    >>> batch = Problems(families=("mlp",)).sample(3, seed=0)
    >>> batch.loss(batch.start, 0).shape
    torch.Size([3])
    """

    kind: ClassVar[str] = "problems"
    default_net: ClassVar[str] = "mlp"

    def __init__(
        self,
        *,
        split: str = "train",
        families: tuple[str, ...] = TRAINED,
        data: tuple[str, ...] = ("glyphs",),
        horizon: tuple[int, int] = (20, 200),
        examples: int = 256,
        size: int = 8,
        rescale: float = 1.0,
    ) -> None:
        one_of(SPLITS, split=split)
        for name in families:
            one_of((*TRAINED, *HELD_OUT), families=name)
        for name in data:
            one_of(data_of.IMAGES, data=name)
        at_least(1, families=len(families), data=len(data), least_horizon=horizon[0])
        at_least(horizon[0], most_horizon=horizon[1])
        at_least(8, size=size, examples=examples)
        interval(rescale=(0.0, rescale))
        self.split = split
        self.families = tuple(families)
        self.data = tuple(data)
        self.horizon = (horizon[0], horizon[1])
        self.examples = examples
        self.size = size
        self.rescale = rescale

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one image of the problems that have some."""
        return (1, self.size, self.size)

    @property
    def outputs(self) -> int:
        """Classes in the problems that have some."""
        return 10

    def describe(self) -> str:
        """One line for people."""
        return f"Problems {self.split} ({', '.join(self.families)}; images: {', '.join(self.data)})"

    def sample(self, tasks: int, seed: int) -> ProblemBatch:
        """Draw ``tasks`` problems of one architecture; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        # The architecture is drawn apart, so that it does not depend on the number of tasks.
        rng = generator(seed, "problems", "architecture", self.split)
        family = self.families[_integer(rng, 0, len(self.families) - 1)]
        low, high = self.horizon
        horizon = _log_integer(rng, low, high)
        net, data = self._architecture(family, rng)
        batch_size = min(self.examples, (16, 32, 64)[_integer(rng, 0, 2)])
        rng = generator(seed, "problems", "tasks", self.split)
        if data == "regression":
            train, held = data_of.regression(tasks, self.examples, self._inputs(net), rng)
        elif data == "clusters":
            assert isinstance(net, MLPs)
            train, held = data_of.clusters(tasks, self.examples, self._inputs(net), net.widths[-1], rng)
        else:
            train, held = data_of.images(data, tasks, self.examples, self.size, self.outputs, rng)
        # Weights multiply: of deep networks each changes the less.
        weights = sum(std > 0 for _, std in net.shapes().values())
        gain = 10 ** (uniform(rng, (tasks,), -0.5, 0.5) * 2 / max(2, weights))
        reach = uniform(rng, (tasks,), 0.0, self.rescale)
        start: Params = {}
        scales: Params = {}
        for name, (shape, std) in net.shapes().items():
            axes = (tasks, *(1 for _ in shape))
            draw = torch.randn((tasks, *shape), generator=rng)
            scale = (10 ** (reach * (2 * torch.rand((tasks,), generator=rng) - 1))).view(axes)
            begin = draw * std * gain.view(axes) if std >= 0 else torch.full_like(draw, -std)
            start[name] = begin / scale
            scales[name] = scale
        seeds = torch.tensor([fold(seed, "minibatches", self.split, t) for t in range(tasks)])
        loss = "mse" if data == "regression" else "cross_entropy"
        return ProblemBatch(
            f"{family}: {net} on {data}", net, loss, start, scales, train, held, seeds, batch_size, horizon
        )

    def _architecture(self, family: str, rng: torch.Generator) -> tuple[Net, str]:
        """The net and the name of its data."""
        image = self.data[_integer(rng, 0, len(self.data) - 1)]
        pixels, classes = self.size**2, self.outputs
        if family == "quadratic":
            return MLPs((_log_integer(rng, 8, 64), 1), bias=False), "regression"
        if family == "logistic":
            return MLPs((_log_integer(rng, 4, 64), _integer(rng, 2, 10))), "clusters"
        if family == "transformer":
            return Transformers(self.size, 8 * _integer(rng, 2, 4), 2, _integer(rng, 1, 2), classes), image
        seen = _SEEN_ACTIVATIONS[_integer(rng, 0, len(_SEEN_ACTIVATIONS) - 1)]
        if family == "conv":
            channels = tuple(_log_integer(rng, 4, 16) for _ in range(_integer(rng, 1, 3)))
            return ConvNets((1, *channels), self.size, classes, seen), image
        hidden = tuple(_log_integer(rng, 8, 64) for _ in range(_integer(rng, 1, 5)))
        if family == "wide":
            hidden = (256,) * _integer(rng, 1, 2)
        elif family == "deep":
            hidden = (32,) * _integer(rng, 6, 8)
        elif family == "activation":
            seen = _NEW_ACTIVATIONS[_integer(rng, 0, len(_NEW_ACTIVATIONS) - 1)]
        return MLPs((pixels, *hidden, classes), seen), family if family in data_of.IMAGES else image

    @staticmethod
    def _inputs(net: Net) -> int:
        assert isinstance(net, MLPs)
        return net.widths[0]


def _integer(rng: torch.Generator, low: int, high: int) -> int:
    return int(torch.randint(low, high + 1, (), generator=rng))


def _log_integer(rng: torch.Generator, low: int, high: int) -> int:
    drawn = uniform(rng, (), math.log(low), math.log(high + 1))
    return min(high, int(drawn.exp()))
