"""Gaussian processes: few-shot regression of functions drawn from a known prior, so that the best answer is known, too.

A task is one function f ~ GP(0, k) seen through noise, y = f(x) + noise * e with e ~ N(0, 1), at uniformly drawn x.
With length scale l, output scale s and distance r = |x - x'| / l the kernels are

    rbf       k = s^2 exp(-r^2 / 2)
    matern52  k = s^2 (1 + sqrt(5) r + 5 r^2 / 3) exp(-sqrt(5) r)
    periodic  k = s^2 exp(-2 sin^2(pi |x - x'| / p) / l^2)          of period p

``exact`` gives what no learner can do better than: mean and standard deviation of y given the support set,
under the task's own kernel (Rasmussen and Williams 2006, equations 2.23 and 2.24, with the noise in the latter).

Reference: Garnelo et al.: Conditional Neural Processes. ICML 2018 (section 4.1); Kim et al.: Attentive Neural
Processes. ICLR 2019 (section 4).
"""

import math
from functools import cache
from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.checks import SPLITS, at_least, interval, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.losses import mean_of, task_losses
from quickstudy.core.purity import as_if_nothing_was_set, pure
from quickstudy.core.references import Judged, Reference, ignoring, sampled
from quickstudy.core.seeding import generator, uniform
from quickstudy.core.shown import shown

JITTER = 1e-6
"""Of the output scale's square, on the diagonal of the prior's covariance: for its factorisation."""


class GaussianProcesses:
    """Regression of functions drawn from a Gaussian process; the exact answer is known.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        shot: support points per task, or (fewest, most): drawn for each batch, the same for all of its tasks.
        query: query points per task.
        kernel: ``rbf``, ``matern52`` or ``periodic``.
        length_scale: (low, high) of the uniform distribution of length scales; the same twice: fixed.
        output_scale: (low, high) of the output scales.
        period: of the periodic kernel.
        noise: standard deviation of the noise in y, > 0.
        x_range: (low, high) of the inputs.

    Raises:
        UsageError: shot or query below 1, a scale that is not positive, a range whose ends are swapped or not finite.

    >>> gp = GaussianProcesses(shot=5)
    >>> batch = gp.sample(8, seed=0)
    >>> batch.support.x.shape, gp.exact(batch.support, batch.query.x).shape
    (torch.Size([8, 5, 1]), torch.Size([8, 20, 1, 2]))
    """

    kind: ClassVar[str] = "regression"
    called: ClassVar[str] = "draws from a Gaussian process"
    default_net: ClassVar[str] = "mlp"

    def __init__(
        self,
        *,
        split: str = "train",
        shot: int | tuple[int, int] = (3, 20),
        query: int = 20,
        kernel: Literal["rbf", "matern52", "periodic"] = "rbf",
        length_scale: tuple[float, float] = (0.4, 0.4),
        output_scale: tuple[float, float] = (1.0, 1.0),
        period: float = 1.0,
        noise: float = 0.1,
        x_range: tuple[float, float] = (-2.0, 2.0),
    ) -> None:
        one_of(SPLITS, split=split)
        one_of(("rbf", "matern52", "periodic"), kernel=kernel)
        fewest, most = (shot, shot) if isinstance(shot, int) else shot
        at_least(1, shot=fewest, query=query)
        interval(
            shot=(float(fewest), float(most)), length_scale=length_scale, output_scale=output_scale, x_range=x_range
        )
        if min(length_scale[0], output_scale[0], period, noise) <= 0:
            raise UsageError(
                f"scales, period and noise must be > 0, got length_scale={length_scale}, output_scale={output_scale}, "
                f"period={period}, noise={noise}."
            )
        self.split = split
        self.shot = shot
        self.query = query
        self.kernel: Literal["rbf", "matern52", "periodic"] = kernel
        self.length_scale = length_scale
        self.output_scale = output_scale
        self.period = period
        self.noise = noise
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
        shot = f"{self.shot}-shot" if isinstance(self.shot, int) else "{}- to {}-shot".format(*self.shot)
        return f"GaussianProcesses {self.split} ({self.kernel}), {shot}, {self.query} query points"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """The exact posterior, which nothing can beat; and nothing learned."""
        low, high = self.output_scale
        known = ignoring(judged, (low**2 + low * high + high**2) / 3 + self.noise**2)
        if not known:
            return ()
        shots = (self.shot, self.shot) if isinstance(self.shot, int) else self.shot
        process = self.kernel, self.length_scale, self.output_scale, self.period, self.noise, self.x_range
        return *known, _posterior(judged.metric, shots, *process)

    def parameters(self, tasks: int, seed: int) -> tuple[Float[Tensor, " tasks"], Float[Tensor, " tasks"]]:
        """The true (length scale, output scale) of the tasks that ``sample(tasks, seed)`` draws."""
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "gp", "scales", self.split)
        return uniform(rng, (tasks,), *self.length_scale), uniform(rng, (tasks,), *self.output_scale)

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments.

        Returns:
            ``x`` and ``y`` float32, support ``[tasks, shot, 1]`` and query ``[tasks, query, 1]``.
        """
        length, scale = self.parameters(tasks, seed)
        rng = generator(seed, "tasks", "gp", self.split)
        fewest, most = (self.shot, self.shot) if isinstance(self.shot, int) else self.shot
        shot = int(torch.randint(fewest, most + 1, (), generator=rng))
        x = uniform(rng, (tasks, shot + self.query, 1), *self.x_range)
        f, e = torch.randn((2, *x.shape), generator=rng, dtype=torch.float64)
        prior = self._covariance(x, x, length, scale)
        jitter = JITTER * scale.double().square()[:, None, None] * torch.eye(x.shape[1], dtype=torch.float64)
        y = (torch.linalg.cholesky(prior + jitter) @ f + self.noise * e).float()
        return TaskBatch(
            Examples(x[:, :shot].contiguous(), y[:, :shot].contiguous()),
            Examples(x[:, shot:].contiguous(), y[:, shot:].contiguous()),
        )

    def exact(
        self, support: Examples, x: Float[Tensor, "tasks n 1"], *, seed: int | None = None
    ) -> Float[Tensor, "tasks n 1 2"]:
        """Mean and standard deviation of y at ``x`` given the support set, side by side as ``gaussian`` takes them.

        Args:
            support: of all the tasks that ``sample`` drew.
            x: where.
            seed: what the tasks were drawn from; needed where scales are drawn, for they are each task's own.

        Raises:
            UsageError: scales are drawn, and no seed is given.
        """
        if seed is None and max(low < high for low, high in (self.length_scale, self.output_scale)):
            raise UsageError("each task has scales of its own: give the seed that the tasks were sampled with.")
        length, scale = self.parameters(len(support), seed or 0)
        variance = self.noise**2 + JITTER * scale.double().square()[:, None, None]
        own = self._covariance(support.x, support.x, length, scale)
        factor = torch.linalg.cholesky(own + variance * torch.eye(own.shape[1], dtype=torch.float64))
        across = self._covariance(support.x, x, length, scale)
        mean = across.mT @ torch.cholesky_solve(support.y.double().cpu(), factor)
        explained = torch.linalg.solve_triangular(factor, across, upper=False).square().sum(1).unsqueeze(2)
        std = (scale.double().square()[:, None, None] + variance - explained).sqrt()
        return torch.stack([mean, std], -1).to(x)

    def _covariance(self, x: Tensor, other: Tensor, length: Tensor, scale: Tensor) -> Tensor:
        """``[tasks, n, m]`` of ``x [tasks, n, 1]`` and ``other [tasks, m, 1]``, float64 on the CPU."""
        apart = (x.double().cpu() - other.double().cpu().mT).abs()
        length, scale = (s.double()[:, None, None] for s in (length, scale))
        r = apart / length
        if self.kernel == "rbf":
            shape = torch.exp(-r.square() / 2)
        elif self.kernel == "matern52":
            shape = (1 + math.sqrt(5) * r + 5 * r.square() / 3) * torch.exp(-math.sqrt(5) * r)
        else:
            shape = torch.exp(-2 * (torch.sin(math.pi * apart / self.period) / length).square())
        return scale.square() * shape


@cache
def _posterior(
    metric: str,
    shots: tuple[int, int],
    kernel: Literal["rbf", "matern52", "periodic"],
    length_scale: tuple[float, float],
    output_scale: tuple[float, float],
    period: float,
    noise: float,
    x_range: tuple[float, float],
) -> Reference:
    """The exact answer's score on two thousand tasks, as many of each shot."""
    found: list[Tensor] = []
    fewest, most = shots
    each = -(-2000 // (most - fewest + 1))
    for shot in range(fewest, most + 1):
        own = GaussianProcesses(
            shot=shot,
            kernel=kernel,
            length_scale=length_scale,
            output_scale=output_scale,
            period=period,
            noise=noise,
            x_range=x_range,
        )
        batch = own.sample(each, seed=shot)
        with as_if_nothing_was_set():
            exact = own.exact(batch.support, batch.query.x, seed=shot)
            answer = exact if metric == "gaussian" else mean_of(exact)
            found.append(task_losses(metric, answer, batch.query.y))
    drawn = "" if max(low < high for low, high in (length_scale, output_scale)) == 0 else ", scales known"
    return sampled(f"exact posterior{drawn}", torch.cat(found))
