"""Small Markov decision processes, drawn at random: what follows an action, and what it brings, differs by task.

For state s and action a, transition probabilities p(. | s, a) are drawn from a flat Dirichlet distribution and the mean
reward m(s, a) from N(1, 1); a reward is drawn from N(m(s, a), 1). An episode begins in state 0 and has ten steps. The
observation is the state, one-hot.

Reference: Duan et al.: RL^2: Fast Reinforcement Learning via Slow Reinforcement Learning. arXiv:1611.02779, 2016
(section 3.2).
"""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.draws import seeded
from quickstudy.core.purity import as_if_nothing_was_set, pure
from quickstudy.core.references import Judged, Reference, sampled
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown, shown_batch
from quickstudy.tasks.environments.base import EnvBatch, Luck, seeds_of
from quickstudy.tasks.environments.mdp_rules import MDP_RULES, play_mdps


@dataclass(frozen=True)
class MDPBatch(EnvBatch):
    """A batch of Markov decision processes.

    Args:
        upto: cumulative probabilities of the next state, by state and action.
        means: of the reward, by state and action.
    """

    upto: Float[Tensor, "tasks states actions states"]
    means: Float[Tensor, "tasks states actions"]

    __repr__ = shown_batch

    @property
    def discrete(self) -> bool:
        return True

    @property
    def observations(self) -> int:
        return self.means.shape[1]

    @property
    def actions(self) -> int:
        return self.means.shape[2]

    def first(self, episodes: int, luck: Luck) -> Int[Tensor, "tasks episodes"]:
        return torch.zeros(len(self), episodes, dtype=torch.int64, device=self.seeds.device)

    def observe(self, now: Int[Tensor, "tasks episodes"]) -> Float[Tensor, "tasks episodes states"]:
        return F.one_hot(now, self.observations).to(self.means.dtype)

    def move(
        self, now: Int[Tensor, "tasks episodes"], action: Int[Tensor, "tasks episodes"], luck: Luck
    ) -> tuple[Tensor, Float[Tensor, "tasks episodes"], Bool[Tensor, "tasks episodes"] | None]:
        place = now * self.actions + action
        u = luck(2, action.shape[1]).to(self.means.dtype)
        reward = self.means.flatten(1).gather(1, place) + torch.special.ndtri(u[:, 0])
        upto = self.upto.flatten(1, 2).gather(1, place.unsqueeze(-1).expand(-1, -1, self.observations))
        following = (upto < u[:, 1].unsqueeze(-1)).sum(-1).clamp(max=self.observations - 1)
        return following, reward, None


class TabularMDPs:
    """Small Markov decision processes with random transitions and rewards.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        states: of the process.
        actions: to choose from.
        horizon: steps of an episode.

    Raises:
        UsageError: a number out of its range.

    >>> batch = TabularMDPs().sample(4, seed=0)
    >>> batch.reset(episodes=2, seed=0)[1].shape
    torch.Size([4, 2, 10])
    """

    kind: ClassVar[str] = "environments"
    called: ClassVar[str] = "tabular Markov decision processes"
    default_net: ClassVar[str] = "mlp"

    def __init__(self, *, split: str = "train", states: int = 10, actions: int = 5, horizon: int = 10) -> None:
        one_of(SPLITS, split=split)
        at_least(2, states=states, actions=actions)
        at_least(1, horizon=horizon)
        self.split = split
        self.states = states
        self.actions = actions
        self.horizon = horizon

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of an observation: the state, one-hot."""
        return (self.states,)

    @property
    def outputs(self) -> int:
        """Actions to choose from."""
        return self.actions

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"TabularMDPs {self.split}, {self.states} states, {self.actions} actions, {self.horizon} steps"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """Actions at random; posterior sampling in trials as long; the best plan, were the task known."""
        if judged.metric != "return":
            return ()
        rules = ("task known",) if judged.trial is None else ("posterior sampling", "task known")
        shape = self.states, self.actions, self.horizon
        played = (_played(rule, shape, judged.trial or 1) for rule in rules)
        return Reference("actions at random", float(self.horizon)), *played  # mean rewards are N(1, 1), whatever comes

    @pure
    def sample(self, tasks: int, seed: int) -> MDPBatch:
        """Draw ``tasks`` processes; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "mdps", self.split)
        # A flat Dirichlet distribution is that of exponential draws over their sum.
        weights = -torch.log1p(-torch.rand(tasks, self.states, self.actions, self.states, generator=rng))
        upto = (weights / weights.sum(-1, keepdim=True)).cumsum(-1)
        means = 1 + torch.randn(tasks, self.states, self.actions, generator=rng)
        return MDPBatch(seeds_of(tasks, seed, "luck", "mdps", self.split), self.horizon, upto, means)


@cache
def _played(rule: str, shape: tuple[int, int, int], episodes: int) -> Reference:
    states, actions, horizon = shape
    batch = TabularMDPs(states=states, actions=actions, horizon=horizon).sample(max(100, min(400, 4000 // episodes)), 0)
    with as_if_nothing_was_set(), seeded(0):
        return sampled(rule, play_mdps(MDP_RULES[rule], batch, episodes) / episodes)
