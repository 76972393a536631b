"""Sinusoids: few-shot regression of ``y = amplitude * sin(x - phase)``.

Every task is one curve with its own amplitude and phase, drawn uniformly; support and query are points of it at
uniformly drawn ``x``, without noise.

Reference: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017
(section 5.1).
"""

import cmath
import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import SPLITS, at_least, interval, one_of
from quickstudy.core.purity import pure
from quickstudy.core.references import Judged, Reference, ignoring
from quickstudy.core.seeding import generator, uniform
from quickstudy.core.shown import shown


class Sinusoids:
    """Regression of sine curves, each of its own amplitude and phase.

    ``y = amplitude * sin(x - phase)``.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        shot: support points per task, or (fewest, most): then each batch draws one number for all its tasks.
        query: query points per task.
        amplitude: (low, high) of the uniform distribution of amplitudes.
        phase: (low, high) of the phases, in radians.
        x_range: (low, high) of the inputs.

    Raises:
        UsageError: shot or query below 1, a range whose ends are swapped or not finite.

    >>> batch = Sinusoids(shot=5).sample(8, seed=0)
    >>> batch.support.x.shape, batch.query.y.shape
    (torch.Size([8, 5, 1]), torch.Size([8, 10, 1]))
    """

    kind: ClassVar[str] = "regression"
    called: ClassVar[str] = "sine curves"
    default_net: ClassVar[str] = "mlp"

    def __init__(
        self,
        *,
        split: str = "train",
        shot: int | tuple[int, int] = 10,
        query: int = 10,
        amplitude: tuple[float, float] = (0.1, 5.0),
        phase: tuple[float, float] = (0.0, math.pi),
        x_range: tuple[float, float] = (-5.0, 5.0),
    ) -> None:
        one_of(SPLITS, split=split)
        fewest, most = (shot, shot) if isinstance(shot, int) else shot
        at_least(1, shot=fewest, query=query)
        interval(shot=(float(fewest), float(most)))
        interval(amplitude=amplitude, phase=phase, x_range=x_range)
        self.split = split
        self.shot = shot
        self.query = query
        self.amplitude = amplitude
        self.phase = phase
        self.x_range = x_range

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(1,)``."""
        return (1,)

    @property
    def outputs(self) -> int:
        """Outputs a model needs: 1."""
        return 1

    @property
    def shares(self) -> tuple[str, ...]:
        """What the tasks of one batch have in common: the shot, where it is a range."""
        return () if isinstance(self.shot, int) or self.shot[0] == self.shot[1] else ("shot",)

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        low, high = self.amplitude
        shot = f"{self.shot}-shot" if isinstance(self.shot, int) else "{}- to {}-shot".format(*self.shot)
        return f"Sinusoids {self.split} (amplitude {low:g} to {high:g}), {shot}, {self.query} query points"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Nothing learned; and no error: two points tell a curve."""
        low, high = self.amplitude
        turned = _turn(self.x_range) * _turn(self.phase).conjugate()  # the mean of exp(2i (x - phase))
        known = ignoring(judged, (low**2 + low * high + high**2) / 3 * (1 - turned.real) / 2)
        enough = (self.shot if isinstance(self.shot, int) else self.shot[0]) > 1
        return (*known, Reference("best possible", 0.0)) if judged.metric == "mse" and enough else known

    def parameters(self, tasks: int, seed: int) -> tuple[Float[Tensor, " tasks"], Float[Tensor, " tasks"]]:
        """The true (amplitude, phase in radians) of the tasks that ``sample(tasks, seed)`` draws."""
        amplitude, phase, _ = self._draw(tasks, seed)
        return amplitude, phase

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments.

        Returns:
            ``x`` and ``y`` float32, support ``[tasks, shot, 1]`` and query ``[tasks, query, 1]``.
        """
        amplitude, phase, x = self._draw(tasks, seed)
        shot = x.shape[1] - self.query
        y = amplitude[:, None, None] * torch.sin(x - phase[:, None, None])
        return TaskBatch(
            Examples(x[:, :shot].contiguous(), y[:, :shot].contiguous()),
            Examples(x[:, shot:].contiguous(), y[:, shot:].contiguous()),
        )

    def _draw(self, tasks: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "sinusoids", self.split)
        amplitude = uniform(rng, (tasks,), *self.amplitude)
        phase = uniform(rng, (tasks,), *self.phase)
        shot = self.shot
        if not isinstance(shot, int):  # from a stream of its own: the curves are those of a fixed number
            own = generator(seed, "tasks", "sinusoids", "shot", self.split)
            shot = int(torch.randint(shot[0], shot[1] + 1, (), generator=own))
        return amplitude, phase, uniform(rng, (tasks, shot + self.query, 1), *self.x_range)


def _turn(ends: tuple[float, float]) -> complex:
    """The mean of exp(2i u) for u from U[low, high)."""
    low, high = ends
    first, last = cmath.exp(2j * low), cmath.exp(2j * high)
    return first if low == high else (last - first) / (2j * (high - low))
