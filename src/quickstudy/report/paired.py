"""Runs compared where they can be: task by task on the same test tasks, and over the seeds of one configuration."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from quickstudy.core.scores import score
from quickstudy.report.content import Evaluation, Story
from quickstudy.training.intervals import mean_and_half_width
from quickstudy.training.paired import gap
from quickstudy.training.runs import Run


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
    first = stories[0].headline
    found: list[str] = []
    for run, story in zip(runs, stories, strict=True):
        best, apart = story.headline, None
        if best and first and run is not runs[0] and _drawn(run, best) == _drawn(runs[0], first):
            apart = gap([(first.result, best.result)])
        found.append(score(best.metric).gap(apart.mean, apart.ci95) if best and apart else "")
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
        about = f"{score(best.metric).named(story.unit)} of {story.heading}"
        found.append(Seeds([name for name, _, _ in group], score(best.metric).told(mean, ci95), about))
    return found


def _drawn(run: Run, found: Evaluation) -> Any:
    """What of the tasks the results themselves do not say."""
    classes, tasks, told = (run.config.get(part) or {} for part in ("classes", "tasks", "fingerprint"))
    own = told.get("tasks") if "opaque" in tasks else None  # a person's own may not describe themselves
    return found.split, classes.get(found.split), own
