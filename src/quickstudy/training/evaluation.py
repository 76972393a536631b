"""How good is a meta-learner: the mean over many unseen tasks, with its 95% interval, after every inner step."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskDistribution
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import B, MetaLearner, Solver, in_floats_of
from quickstudy.core.model_checks import device_of, precision_told
from quickstudy.core.parallel import pieces, run_pieces
from quickstudy.core.scores import score as score_of
from quickstudy.core.seeding import fold
from quickstudy.training import distributed

BLOCK = 25
"""Tasks drawn at a time. Fixed, so that the tasks of an evaluation depend on its seed and number only."""


@runtime_checkable
class Described(Protocol):
    """Tasks that say in a line what they are."""

    def describe(self) -> str:
        """Name, split, way and shot, say."""
        ...


@dataclass(frozen=True)
class StepScore:
    """The score after ``step`` inner steps: mean over tasks, half-width of the 95% interval, and mean loss."""

    step: int
    mean: float
    ci95: float
    loss: float


@dataclass(frozen=True)
class Result:
    """An evaluation. ``mean`` and ``ci95`` are those of the last inner step, in units of ``metric``."""

    metric: str
    by_step: tuple[StepScore, ...]
    n_tasks: int
    seed: int
    bn: str
    tasks: str

    @property
    def mean(self) -> float:
        return self.by_step[-1].mean

    @property
    def ci95(self) -> float:
        return self.by_step[-1].ci95

    @property
    def loss(self) -> float:
        return self.by_step[-1].loss

    @property
    def accuracy(self) -> float:
        """The mean accuracy in [0, 1].

        Raises:
            UsageError: the tasks are no classification.
        """
        if self.metric != "accuracy":
            raise UsageError(f"these tasks are scored by {self.metric}, not by accuracy; read .mean.")
        return self.mean

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "mean": self.mean, "ci95": self.ci95}

    def __str__(self) -> str:
        known = score_of(self.metric)
        value = f"{known.text(self.mean)} {known.interval(self.ci95)}"
        return f"{self.metric} {value} (95% interval, {self.n_tasks} tasks; BatchNorm: {self.bn}) on {self.tasks}"


@torch.inference_mode(False)  # the caller's may be on, and adapting takes derivatives
def evaluate(
    learner: MetaLearner[B],
    tasks: TaskDistribution[B],
    *,
    n_tasks: int = 1000,
    seed: int = 0,
    steps: int | None = None,
    at: Collection[int] | None = None,
    device: torch.device | str | None = None,
    workers: int | None = None,
) -> Result:
    """Adapt to ``n_tasks`` tasks and score what comes of it (solvers, on the query examples).

    Args:
        learner: in evaluation mode for the time of the call.
        tasks: any distribution; its way, shot and query may differ from training where the learner allows it.
        n_tasks: tasks, at least 2.
        seed: of the tasks; the same seed and number give the same tasks to every learner.
        steps: inner steps (None: the learner's own); learners that adapt in one go take none.
        at: the inner steps after which to score (None: ``steps_to_score``); the last is always scored.
        device: where to run (None: where the learner is).
        workers: threads on a CPU (None: as many as torch may use).

    Raises:
        UsageError: an option out of its range.
    """
    if n_tasks < 2:
        raise UsageError(f"an interval needs at least 2 tasks, got n_tasks={n_tasks}.")
    own = learner.adapt_steps
    if steps is not None and own is None:
        raise UsageError(f"{type(learner).__name__} adapts in one go; leave out steps.")
    if device is not None:
        learner.to(device)
    last = (own or 0) if steps is None else steps
    at = sorted({last, *(k for k in (steps_to_score(last) if at is None else at) if 0 <= k <= last)})
    starts = range(0, n_tasks, BLOCK)
    if len(starts) < distributed.world():  # on every process alike: none may wait for another that has stopped
        raise UsageError(f"{n_tasks} tasks are too few for {distributed.world()} processes ({BLOCK} tasks at a time).")
    scores: Tensor | None = None
    metric = ""
    modes = {module: module.training for module in learner.modules()}
    learner.eval()
    try:
        for start in starts[distributed.rank() :: distributed.world()]:
            batch = tasks.sample(min(BLOCK, n_tasks - start), fold(seed, "evaluate", start))
            block = score(learner, batch, at=at, workers=workers)
            metric = learner.score_name(batch)
            if scores is None:
                scores = torch.zeros(2, block.shape[1], n_tasks, dtype=torch.float64)
            scores[:, :, start : start + len(batch)] = block
    finally:
        for module, mode in modes.items():
            module.training = mode
    assert scores is not None, "every process has a block"
    distributed.sum_([scores])
    values, losses = scores
    half_widths = 1.96 * values.std(1) / math.sqrt(n_tasks)
    return Result(
        metric=metric,
        by_step=tuple(
            StepScore(step, float(values[i].mean()), float(half_widths[i]), float(losses[i].mean()))
            for i, step in enumerate(at)
        ),
        n_tasks=n_tasks,
        seed=seed,
        bn=learner.bn_mode,
        tasks=tasks.describe() if isinstance(tasks, Described) else type(tasks).__name__,
    )


def score(
    learner: MetaLearner[B], batch: B, *, at: Sequence[int], workers: int | None = None
) -> Float[Tensor, "2 steps tasks"]:
    """Score and loss of each task of a batch after the inner steps ``at`` (ascending), float64 on the CPU."""
    device = device_of(learner)

    def one_piece(own: MetaLearner[B], piece: B) -> Tensor:
        with torch.no_grad():
            return own.score_tasks(piece.to(device), at).double().cpu()

    parts = pieces(in_floats_of(learner, batch), learner.tasks_at_once)
    with precision_told(learner):
        return torch.cat(run_pieces(one_piece, learner, parts, workers if device.type == "cpu" else 1), -1)


def solvers(learner: MetaLearner, support: Examples, steps: int | None = None) -> Iterator[Solver]:
    """The solvers after 0, 1, ... inner steps (None: the learner's own number), or the one solver there is."""
    return learner.adapt_path(support, (learner.adapt_steps or 0) if steps is None else steps)


def steps_to_score(steps: int) -> list[int]:
    """Every step at first, then ever fewer: most happens early, and each score costs a pass over the queries.

    >>> steps_to_score(50)
    [0, 1, 2, 3, 4, 5, 10, 20, 50]
    """
    rounded = [digit * 10**power for power in range(1, 7) for digit in (1, 2, 5)]
    return sorted({*range(min(steps, 5) + 1), *(k for k in rounded if k <= steps), steps})
