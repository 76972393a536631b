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
from typing import ClassVar

import torch

from quickstudy.core.checks import SPLITS, at_least, interval, one_of
from quickstudy.core.functional import Params
from quickstudy.core.purity import pure
from quickstudy.core.references import Judged, Reference
from quickstudy.core.seeding import fold, generator, uniform
from quickstudy.core.shown import shown
from quickstudy.tasks.problems import _data as data_of
from quickstudy.tasks.problems._nets import ConvNets, MLPs, Net, Transformers
from quickstudy.tasks.problems.batch import ProblemBatch

TRAINED = ("quadratic", "logistic", "mlp", "conv")
HELD_OUT = ("wide", "deep", "activation", "digits", "omniglot", "transformer")
_SEEN_ACTIVATIONS = ("relu", "tanh", "gelu")
_NEW_ACTIVATIONS = ("silu", "softsign")


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
    called: ClassVar[str] = "optimization problems"
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

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: the architecture, the batch size, the pool of images."""
        return ("architecture",)

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"Problems {self.split} ({', '.join(self.families)}; images: {', '.join(self.data)})"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Losses are relative to that at the start."""
        return (Reference("no training", 1.0),) if judged.metric == "final_loss" else ()

    @pure
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
