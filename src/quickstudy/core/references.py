"""Values that a score can be held beside: chance, the best possible, rules that need no training. Tasks know them.

A distribution of tasks that knows some has a method ``references``; it may do without. What is computed is exact; what
was sampled has an interval. They are for a few lines of text, so they cost a moment, once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.core.scores import score

EPISODE = {"games": "round"}
"""What a return is counted by, by the kind of tasks; ``episode`` where nothing else is said."""


@dataclass(frozen=True)
class Reference:
    """A score that no training was needed for.

    Args:
        name: whose it is: ``chance``, ``Thompson sampling``, ...
        value: in units of the score.
        ci95: half the width of its 95% interval, where it was sampled (0: it is exact).
    """

    name: str
    value: float
    ci95: float = 0.0

    def text(self, metric: str) -> str:
        """The value with its interval.

        >>> Reference("chance", 0.2).text("accuracy"), Reference("UCB1", 0.6612, 0.0061).text("return")
        ('20%', '0.6612 ± 0.0061')
        """
        return score(metric).told(self.value, self.ci95) if self.ci95 else score(metric).exact(self.value)


@dataclass(frozen=True)
class Judged:
    """What a learner's score is of.

    Args:
        metric: its name (see ``quickstudy.core.scores``).
        trial: episodes in a row, of which the score is the mean (None: of those after adapting).
        self_play: of two players, it is both.
    """

    metric: str
    trial: int | None = None
    self_play: bool = False


@runtime_checkable
class KnowsReferences(Protocol):
    """Tasks that know what their scores can be held beside."""

    def references(self, judged: Judged) -> Sequence[Reference]:
        """What is known of a score; nothing of one that is not known here."""
        ...


def references_of(tasks: object, judged: Judged) -> tuple[Reference, ...]:
    """What a score on these tasks can be held beside: what they say; of classification, chance; of bits, guessing.

    Raises:
        UsageError: they say something else than references.
    """
    if not isinstance(tasks, KnowsReferences):
        way: Any = getattr(tasks, "way", None)
        if judged.metric == "accuracy" and type(way) is int and way > 0:
            return (chance(way),)
        return (Reference("guessing", 0.5),) if judged.metric == "bit_error" else ()
    found: Any = tasks.references(judged)
    if not isinstance(found, tuple | list) or not all(isinstance(each, Reference) for each in found):
        raise UsageError(
            f"references of {type(tasks).__name__} must be a tuple of Reference(name, value), got {found!r:.80}."
        )
    return tuple(found)


def chance(*ways: int) -> Reference:
    """Guessing among so many classes (where the way is drawn: of all that are as likely)."""
    return Reference("chance", math.fsum(1 / way for way in ways) / len(ways))


def unit_of(tasks: object, judged: Judged) -> str:
    """What a score is counted in: ``per pull, in trials of 10 pulls``; empty where its name says enough."""
    if judged.metric != "return":
        return score(judged.metric).unit
    per: str = getattr(tasks, "per", None) or EPISODE.get(getattr(tasks, "kind", ""), "episode")
    trial = "" if judged.trial is None else f", in trials of {judged.trial} {per}{'s' * (judged.trial != 1)}"
    return f"per {per}{trial}{', mean of both players' if judged.self_play else ''}"


def ignoring(judged: Judged, square: float) -> tuple[Reference, ...]:
    """Regression that looks at nothing, given the mean square of y: 0 everywhere, or one normal distribution."""
    if judged.metric == "mse":
        return (Reference("0 everywhere", square),)
    if judged.metric == "gaussian":
        return (Reference("one normal distribution everywhere", math.log(2 * math.pi * math.e * square) / 2),)
    return ()


def sampled(name: str, scores: Float[Tensor, " tasks"]) -> Reference:
    """The mean over some hundred independent tasks, and its interval."""
    v = scores.double()
    return Reference(name, float(v.mean()), 1.96 * float(v.std()) / math.sqrt(len(v)))
