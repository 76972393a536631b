"""Bandits: every task has a few arms, each of which pays 1 with a probability of its own, else 0.

The probabilities are drawn from U[0, 1). An episode is one pull, and nothing is observed (the observation is a
constant); what there is to learn within a trial is which arm pays best.

Reference: Duan et al.: RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning. arXiv:1611.02779, 2016
(section 3.1).
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.draws import seeded
from quickstudy.core.purity import as_if_nothing_was_set, pure
from quickstudy.core.references import Judged, Reference, sampled
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown, shown_batch
from quickstudy.tasks.environments.bandit_rules import play_bandits, thompson
from quickstudy.tasks.environments.base import EnvBatch, Luck, seeds_of


@dataclass(frozen=True)
class BanditBatch(EnvBatch):
    """A batch of bandits.

    Args:
        chances: of each arm to pay.
    """

    chances: Float[Tensor, "tasks arms"]

    __repr__ = shown_batch

    @property
    def observations(self) -> int:
        return 1

    @property
    def discrete(self) -> bool:
        return True

    @property
    def actions(self) -> int:
        return self.chances.shape[1]

    def first(self, episodes: int, luck: Luck) -> Float[Tensor, "tasks episodes 1"]:
        return self.chances.new_ones(len(self), episodes, 1)

    def observe(self, now: Float[Tensor, "tasks episodes 1"]) -> Float[Tensor, "tasks episodes 1"]:
        return now

    def move(
        self, now: Float[Tensor, "tasks episodes 1"], action: Int[Tensor, "tasks episodes"], luck: Luck
    ) -> tuple[Tensor, Float[Tensor, "tasks episodes"], Bool[Tensor, "tasks episodes"] | None]:
        paid = luck(action.shape[1]) < self.chances.gather(1, action)
        return now, paid.to(self.chances.dtype), None


class Bandits:
    """Bandits: arms that pay 1 with a probability of their own, drawn uniformly for each task.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        arms: to choose from.

    Raises:
        UsageError: fewer than 2 arms.

    >>> batch = Bandits(arms=5).sample(8, seed=0)
    >>> state, observation = batch.reset(episodes=3, seed=0)
    >>> batch.step(state, torch.zeros(8, 3, dtype=torch.int64)).reward.shape
    torch.Size([8, 3])
    """

    kind: ClassVar[str] = "environments"
    called: ClassVar[str] = "bandits"
    default_net: ClassVar[str] = "mlp"
    per: ClassVar[str] = "pull"

    def __init__(self, *, split: str = "train", arms: int = 5) -> None:
        one_of(SPLITS, split=split)
        at_least(2, arms=arms)
        self.split = split
        self.arms = arms

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of an observation: ``(1,)``, a constant."""
        return (1,)

    @property
    def outputs(self) -> int:
        """Actions to choose from."""
        return self.arms

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"Bandits {self.split}, {self.arms} arms"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Arms at random; Thompson sampling in trials as long; the best arm, were it known: nothing can do better."""
        if judged.metric != "return":
            return ()
        rules = () if judged.trial is None else (_thompson(self.arms, judged.trial),)
        best = self.arms / (self.arms + 1)  # the mean of the largest of as many uniform draws
        return Reference("arms at random", 0.5), *rules, Reference("best arm known", best)

    @pure
    def sample(self, tasks: int, seed: int) -> BanditBatch:
        """Draw ``tasks`` bandits; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        chances = torch.rand(tasks, self.arms, generator=generator(seed, "tasks", "bandits", self.split))
        return BanditBatch(seeds_of(tasks, seed, "luck", "bandits", self.split), 1, chances)


@cache
def _thompson(arms: int, pulls: int) -> Reference:
    batch = Bandits(arms=arms).sample(max(200, min(2000, 200_000 // pulls)), 0)
    with as_if_nothing_was_set(), seeded(0):
        return sampled("Thompson sampling", play_bandits(thompson, batch, pulls) / pulls)
