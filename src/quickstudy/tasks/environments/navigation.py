"""Navigation: a point in the plane, and a goal that it does not see.

The point begins at the origin; an action moves it by 0.1 times the action, each coordinate clipped to [-1, 1]. The
reward is minus the squared distance to the goal after the move, and an episode ends within 0.01 of the goal, or after
100 steps. A task is a goal, drawn from U[-0.5, 0.5]^2; only the point's place is observed.

The paper's text has the squared distance; its authors' code, from which its figures come, the distance itself
(``reward="distance"``).

Reference: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017
(section 5.3).
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.purity import pure
from quickstudy.core.references import Judged, Reference, sampled
from quickstudy.core.seeding import generator, uniform
from quickstudy.core.shown import shown, shown_batch
from quickstudy.tasks.environments.base import EnvBatch, Luck, seeds_of

Reward = Literal["squared", "distance"]
SPEED = 0.1
NEAR = 0.01


@dataclass(frozen=True)
class NavigationBatch(EnvBatch):
    """A batch of goals.

    Args:
        goals: of each task.
        reward: minus the ``squared`` distance, or minus the ``distance``.
    """

    goals: Float[Tensor, "tasks 2"]
    reward: Reward

    __repr__ = shown_batch

    @property
    def observations(self) -> int:
        return 2

    @property
    def actions(self) -> int:
        return 2

    @property
    def discrete(self) -> bool:
        return False

    def first(self, episodes: int, luck: Luck) -> Float[Tensor, "tasks episodes 2"]:
        return self.goals.new_zeros(len(self), episodes, 2)

    def observe(self, now: Float[Tensor, "tasks episodes 2"]) -> Float[Tensor, "tasks episodes 2"]:
        return now

    def move(
        self, now: Float[Tensor, "tasks episodes 2"], action: Float[Tensor, "tasks episodes 2"], luck: Luck
    ) -> tuple[Tensor, Float[Tensor, "tasks episodes"], Bool[Tensor, "tasks episodes"] | None]:
        there = now.add(action.to(now.dtype).clamp(-1, 1), alpha=SPEED)
        squared = (there - self.goals[:, None]).square_().sum(-1)
        reward = -squared if self.reward == "squared" else -squared.sqrt()
        return there, reward, squared < NEAR**2


class Navigation:
    """Navigation: a point in the plane moves towards a goal that it does not see.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        horizon: steps of an episode.
        reward: minus the ``squared`` distance to the goal (the paper's text), or minus the ``distance`` (its code).
        reach: goals are drawn uniformly from the square from -reach to reach.

    Raises:
        UsageError: a number out of its range.

    >>> batch = Navigation().sample(4, seed=0)
    >>> state, observation = batch.reset(episodes=20, seed=0)
    >>> observation.shape
    torch.Size([4, 20, 2])
    """

    kind: ClassVar[str] = "environments"
    called: ClassVar[str] = "2-D navigation"
    default_net: ClassVar[str] = "mlp"

    def __init__(
        self, *, split: str = "train", horizon: int = 100, reward: Reward = "squared", reach: float = 0.5
    ) -> None:
        one_of(SPLITS, split=split)
        one_of(get_args(Reward), reward=reward)
        at_least(1, horizon=horizon)
        self.split = split
        self.horizon = horizon
        self.reward: Reward = reward
        self.reach = reach

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of an observation: the point's place, ``(2,)``."""
        return (2,)

    @property
    def outputs(self) -> int:
        """Numbers in an action: 2."""
        return 2

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        distance = "squared distance" if self.reward == "squared" else "distance"
        return f"Navigation {self.split}, {self.horizon} steps, reward minus the {distance} to the goal"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Standing still; and straight to the goal, were it known: nothing can do better."""
        if judged.metric != "return":
            return ()
        # The mean over the square of the squared distance to its middle, and of the distance.
        away = 2 / 3 * self.reach**2 if self.reward == "squared" else self.reach * (math.sqrt(2) + math.asinh(1)) / 3
        return Reference("standing still", -self.horizon * away), sampled("straight to the goal", self._straight())

    def _straight(self) -> Float[Tensor, " tasks"]:
        """The return of going to each of 1000 goals as fast as can be."""
        batch = self.sample(1000, 0)
        state, place = batch.reset(1, 0)
        total = torch.zeros(len(batch))
        for _ in range(self.horizon):
            state, place, reward, done = batch.step(state, (batch.goals[:, None] - place) / SPEED)
            total += reward[:, 0]
            if bool(done.all()):
                break
        return total

    @pure
    def sample(self, tasks: int, seed: int) -> NavigationBatch:
        """Draw ``tasks`` goals; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "navigation", self.split)
        goals = uniform(rng, (tasks, 2), -self.reach, self.reach)
        seeds = seeds_of(tasks, seed, "luck", "navigation", self.split)
        return NavigationBatch(seeds, self.horizon, goals, self.reward)
