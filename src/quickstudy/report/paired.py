"""Runs compared where they can be: task by task on the same test tasks, and over the seeds of one configuration.

Two runs that were tested on the same tasks do well and badly on the same of them, so the interval of their difference
is narrower than their own two intervals together.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from quickstudy.core.scores import score
from quickstudy.report.content import Evaluation, Story
from quickstudy.training.intervals import half_width, mean_and_half_width
from quickstudy.training.runs import Run

MINUS = "\u2212"


@dataclass(frozen=True)
class Seeds:
    """Runs that differ in their seed alone.

    Args:
        names: of the runs.
        score: the mean over them, with the 95% interval over seeds.
        about: metric, learner and tasks.
    """

    names: list[str]
    score: str
    about: str


def differences(runs: Sequence[Run], stories: Sequence[Story]) -> list[str]:
    """By how much each run's score is larger than the first one's, with its 95% interval; empty where not comparable.

    Comparable are evaluations of the same tasks: of one description, seed and number, and of the same classes.
    """
    found: list[str] = []
    for run, story in zip(runs, stories, strict=True):
        same = _drawn(run, story.headline) == _drawn(runs[0], stories[0].headline)
        found.append(_difference(stories[0].headline, story.headline) if same and run is not runs[0] else "")
    return found


def seeds(runs: Sequence[Run], stories: Sequence[Story], names: Sequence[str]) -> list[Seeds]:
    """The runs that differ in their seed alone, where there are several, each seed once."""
    groups: dict[str, dict[Any, tuple[str, Story, Evaluation]]] = {}
    for run, story, name in zip(runs, stories, names, strict=True):
        training: Any = run.config.get("training")
        if story.headline is None or not isinstance(training, dict):
            continue
        rest = {option: value for option, value in training.items() if option != "seed"}
        parts = [run.config.get(part) for part in ("learner", "tasks", "validation", "test", "fingerprint")]
        key = json.dumps([rest, parts, story.headline.metric, story.headline.tasks], sort_keys=True)
        groups.setdefault(key, {}).setdefault(training.get("seed"), (name, story, story.headline))
    found: list[Seeds] = []
    for group in ([*of_seed.values()] for of_seed in groups.values() if len(of_seed) > 1):
        _, story, best = group[0]
        mean, ci95 = mean_and_half_width(torch.tensor([e.mean for _, _, e in group]))
        told = f"{score(best.metric).text(mean)} {score(best.metric).interval(ci95)}"
        about = f"{score(best.metric).words} of {story.learner} on {story.tasks}"
        found.append(Seeds([name for name, _, _ in group], told, about))
    return found


def _drawn(run: Run, found: Evaluation | None) -> Any:
    if found is None:
        return None
    classes, tasks, told = (run.config.get(part) or {} for part in ("classes", "tasks", "fingerprint"))
    own = told.get("tasks") if "opaque" in tasks else None  # a person's own may not describe themselves
    return found.metric, found.tasks, found.n_tasks, found.seed, found.split, classes.get(found.split), own


def _difference(first: Evaluation | None, other: Evaluation | None) -> str:
    if first is None or other is None:
        return ""
    ours, theirs = first.result, other.result
    n, draws = len(ours.scores), ours.draws
    if not n == len(theirs.scores) == ours.n_tasks or not 2 <= draws <= n:  # those of older versions have none
        return ""
    size = -(-n // draws)  # tasks of a draw; the last may have fewer
    gaps = torch.tensor(theirs.scores, dtype=torch.float64) - torch.tensor(ours.scores, dtype=torch.float64)
    width = half_width(gaps, [min(size, n - start) for start in range(0, n, size)])
    mean, known = float(gaps.mean()), score(first.metric)
    text = f"{100 * mean:+.2f}" if known.percent else f"{mean:+.4f}"
    return f"{text.replace('-', MINUS)} {known.interval(float(width))}"
