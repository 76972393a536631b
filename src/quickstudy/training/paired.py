"""By how much two learners differ, from results on the same test tasks.

Who was tested on the same tasks does well and badly on the same of them, so the interval of the difference, task by
task, is narrower than that of either. Where the tasks of a draw share something, it counts draws; where there are
several trainings of each, it counts those.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from quickstudy.training.intervals import half_width, mean_and_half_width
from quickstudy.training.results import Result


@dataclass(frozen=True)
class Gap:
    """By how much the second one's score is larger than the first one's.

    Args:
        mean: of the differences.
        ci95: half the width of its 95% interval.
        over: what the interval is over: ``1000 tasks``, ``500 draws``, ``3 seeds``.
    """

    mean: float
    ci95: float
    over: str


def same_tasks(first: Result, other: Result) -> bool:
    """Whether two results are of the same tasks, as far as they say: their score, description, number and seed."""
    a, b = ((r.metric, r.tasks, r.n_tasks, r.seed, r.draws, len(r.scores)) for r in (first, other))
    return a == b


def gap(pairs: Sequence[tuple[Result, Result]]) -> Gap | None:
    """The difference of two learners.

    Args:
        pairs: a result of each on the same tasks, for each seed that both were trained with.

    Returns:
        None, where the tasks are not the same, or a result does not hold the score of each (those of older versions).
    """
    if not pairs or not all(same_tasks(a, b) and len(a.scores) == a.n_tasks > 1 for a, b in pairs):
        return None
    apart = [_scores(b) - _scores(a) for a, b in pairs]
    if len(pairs) > 1:
        return Gap(*mean_and_half_width(torch.stack([each.mean() for each in apart])), f"{len(pairs)} seeds")
    (gaps,), (first, _) = apart, pairs[0]
    n, draws = first.n_tasks, first.draws
    if not 2 <= draws <= n:  # it is not known which tasks share something
        return None
    size = -(-n // draws)  # tasks of a draw; the last may have fewer
    width = half_width(gaps, [min(size, n - start) for start in range(0, n, size)])
    return Gap(float(gaps.mean()), float(width), f"{n} tasks" if draws == n else f"{draws} draws of tasks")


def _scores(of: Result) -> Tensor:
    return torch.tensor(of.scores, dtype=torch.float64)
