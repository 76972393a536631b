"""How good is a meta-learner: the mean over many unseen tasks, with its 95% interval, after every inner step.

Tasks are drawn in blocks, an independent draw each. Where the tasks of a batch share something (``SharesDraws``: the
shot, say) the interval is one over blocks, for 25 tasks of one shot say little more of the shots than one does; and
blocks are small, so that there are many.
"""

import copy
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Examples, TaskDistribution, shared_draws
from quickstudy.core.checks import fits_memory
from quickstudy.core.draws import Noise
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import B, MetaLearner, Solver, in_floats_of
from quickstudy.core.meant import check_distribution, check_learner
from quickstudy.core.model_checks import device_of, precision_told
from quickstudy.core.options import COUNT, check_options
from quickstudy.core.parallel import pieces, run_pieces
from quickstudy.core.purity import sample
from quickstudy.core.references import Judged, references_of, unit_of
from quickstudy.core.seeding import fold
from quickstudy.core.stateless import in_evaluation
from quickstudy.training import distributed
from quickstudy.training._precision import Precision, in_precision
from quickstudy.training.confusion import confusion_of, counted
from quickstudy.training.intervals import half_width
from quickstudy.training.progress import Advance, Waiting
from quickstudy.training.results import Result, StepScore

L = TypeVar("L", bound=MetaLearner)
BLOCK, SHARING = 25, 2
"""Tasks drawn at a time, independent ones and those that share a draw. Fixed, so that the tasks of an evaluation depend
on its seed and number only."""


@runtime_checkable
class Described(Protocol):
    """Tasks that say in a line what they are."""

    def describe(self) -> str:
        """Name, split, way and shot, say."""
        ...


@dataclass(frozen=True)
class Draw:
    """A block of an evaluation's tasks: ``tasks.sample(size, seed)``, the first of them number ``start``."""

    start: int
    size: int
    seed: int


def draws(tasks: TaskDistribution[Any], n_tasks: int, seed: int) -> list[Draw]:
    """How ``evaluate`` draws its tasks: 25 at a time; two, where those of a batch share a draw (of 2 or 3 tasks one).

    Raises:
        UsageError: fewer than two tasks, or the distribution does not say well what its tasks share.
    """
    if n_tasks < 2:
        raise UsageError(f"an interval needs at least 2 tasks, got n_tasks={n_tasks}.")
    size = min(SHARING, n_tasks // 2) if shared_draws(tasks) else BLOCK
    starts = range(0, n_tasks, size)
    return [Draw(start, min(size, n_tasks - start), fold(seed, "evaluate", start)) for start in starts]


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
    precision: Precision = "float32",
    progress: bool | Advance | None = True,
) -> Result:
    """Adapt to ``n_tasks`` tasks and score what comes of it (solvers, on the query examples).

    Args:
        learner: evaluated in evaluation mode; it stays as it is, so that other threads may use it meanwhile.
        tasks: any distribution; its way, shot and query may differ from training where the learner allows it.
        n_tasks: tasks, at least 2.
        seed: of the tasks; the same seed and number give the same tasks to every learner.
        steps: inner steps (None: the learner's own); learners that adapt in one go take none.
        at: the inner steps after which to score (None: ``steps_to_score``); the last is always scored.
        device: where to run (None: where the learner is).
        workers: threads on a CPU (None: as many as torch may use).
        precision: of the derivatives of inner steps, as in ``train``, whatever the training had.
        progress: show how far it is, once it has taken two seconds; or a function that is called with how many tasks
            are done, and how many there are.

    Raises:
        UsageError: an option out of its range.
    """
    check_learner(learner)
    check_distribution(tasks)
    check_options(evaluate, locals(), {"workers": COUNT})
    plan = draws(tasks, n_tasks, seed)
    taken = learner.adapt_steps
    if steps is not None and taken is None:
        raise UsageError(f"{type(learner).__name__} adapts in one go; leave out steps.")
    last = (taken or 0) if steps is None else steps
    if precision != "float32" and not last:
        raise UsageError(
            f"precision={precision!r} rounds the derivatives of inner steps, and {type(learner).__name__} takes none "
            f"here; leave out precision."
        )
    at = sorted({last, *(k for k in (steps_to_score(last) if at is None else at) if 0 <= k <= last)})
    at_once = max(1, BLOCK // plan[0].size)  # small draws side by side on the threads
    groups = [plan[i : i + at_once] for i in range(0, len(plan), at_once)]
    # On every process alike: none may wait for another that has stopped.
    distributed.check_enough(n_tasks, plan[0].size * at_once, "n_tasks")
    scored: list[tuple[int, _Scored]] = []
    metric = ""
    own = _own(learner, device)
    with Waiting("testing", "task", after=2) if progress is True else nullcontext(progress or None) as advance:
        for group in groups[distributed.rank() :: distributed.world()]:
            with fits_memory(f"{sum(draw.size for draw in group)} tasks at a time of {called(tasks)}"):
                batches = [sample(tasks, draw.size, draw.seed) for draw in group]
            metric = own.score_name(batches[0])
            with in_precision(own, precision, device_of(own)):
                results = _score(own, batches, at, workers, Noise(fold(seed, "noise"), group[0].start))
            scored += [(draw.start, result) for draw, result in zip(group, results, strict=True)]
            if advance is not None and distributed.rank() == 0:
                advance(group[-1].start + group[-1].size, n_tasks)
    everywhere = [pair for part in distributed.gather(scored) for pair in part]
    found = [result for _, result in sorted(everywhere, key=lambda pair: pair[0])]
    values, losses = torch.cat([result.scores for result in found], -1)
    shares = shared_draws(tasks)
    judged = Judged(metric, learner.trial, learner.self_play)
    half_widths = half_width(values, [draw.size for draw in plan] if shares else None)
    return Result(
        metric=metric,
        by_step=tuple(
            StepScore(step, float(values[i].mean()), float(half_widths[i]), float(losses[i].mean()))
            for i, step in enumerate(at)
        ),
        n_tasks=n_tasks,
        seed=seed,
        bn=learner.bn_mode,
        tasks=called(tasks, self_play=learner.self_play),
        draws=len(plan) if shares else n_tasks,
        shares=shares,
        scores=tuple(values[-1].tolist()),
        confusion=confusion_of(result.taken_for for result in found),
        unit=unit_of(tasks, judged),
        references=references_of(tasks, judged),
        precision=precision,
    )


def _own(learner: L, device: torch.device | str | None) -> L:
    """The same in evaluation mode, in module objects of its own; on another device with tensors of its own."""
    own = in_evaluation(learner)
    if device is None:
        return own
    wanted = distributed.pick_device(device)
    return copy.deepcopy(own).to(wanted) if any(p.device != wanted for p in own.parameters()) else own


def called(tasks: TaskDistribution[Any], *, self_play: bool = False) -> str:
    """What tasks are, in a line; for who plays itself without the opponents that it does not meet."""
    alone: Any = getattr(tasks, "describe_self_play", None) if self_play else None
    if alone is not None:
        return str(alone())
    return tasks.describe() if isinstance(tasks, Described) else type(tasks).__name__


@dataclass(frozen=True)
class _Scored:
    """Score and loss of tasks after each inner step, float64 on the CPU; which class was taken for which at the end."""

    scores: Float[Tensor, "2 steps tasks"]
    taken_for: Counter[tuple[str, str]]


def _score(
    learner: MetaLearner[B], batches: Sequence[B], at: Sequence[int], workers: int | None, noise: Noise
) -> list[_Scored]:
    """Of the tasks of each batch; the first of them is number ``noise.first``."""
    device = device_of(learner)

    def one_piece(own: MetaLearner[B], piece: B) -> _Scored:
        with torch.no_grad():
            return _score_piece(own, piece.to(device), at)

    parts = [pieces(in_floats_of(learner, batch), learner.tasks_at_once) for batch in batches]
    flat = [piece for of_batch in parts for piece in of_batch]
    with precision_told(learner):
        done = iter(run_pieces(one_piece, learner, flat, workers if device.type == "cpu" else 1, noise=noise))
    return [_joined([next(done) for _ in of_batch]) for of_batch in parts]


def _score_piece(learner: MetaLearner[Any], piece: Any, at: Sequence[int]) -> _Scored:
    scores, answers = learner.score_answers(piece, at)
    names = getattr(piece, "class_names", None)
    told = None if answers is None or names is None else counted(names, piece.query.y, answers)
    return _Scored(scores.double().cpu(), told or Counter())


def _joined(parts: Sequence[_Scored]) -> _Scored:
    total: Counter[tuple[str, str]] = Counter()
    for part in parts:
        total.update(part.taken_for)
    return _Scored(torch.cat([part.scores for part in parts], -1), total)


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
