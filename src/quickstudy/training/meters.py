"""What is told of a long run: how far it is, running means, seconds."""

import time
from dataclasses import dataclass

from quickstudy.core.learner import Metrics


@dataclass(frozen=True)
class Progress:
    """What a person waiting wants to know; passed to ``train(progress=...)`` after every outer step."""

    step: int
    steps: int
    metrics: Metrics
    """Means since the last log."""
    validation: Metrics
    """The last validation's metrics, empty before the first."""


class Window:
    """Running means of the metrics since the last log."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: Metrics = {}

    def add(self, metrics: Metrics) -> None:
        self.count += 1
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in metrics.items()}

    def means(self) -> Metrics:
        return {name: value / self.count for name, value in self.sums.items()}


class Clock:
    """Seconds of training, those before a resume counted in."""

    def __init__(self, before: float) -> None:
        self.before = before
        self.started = time.monotonic()

    def seconds(self) -> float:
        return self.before + time.monotonic() - self.started
