"""What plays tabular MDPs without having been trained: at random, by posterior sampling, and with the task known.

All play the trials that RL^2 plays: the same task for several episodes, the sum of all rewards counts.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from quickstudy.tasks.environments.base import Environments


class Processes(Environments, Protocol):
    """A batch of tabular MDPs: cumulative probabilities of what follows, and mean rewards (``mdps.MDPBatch``)."""

    @property
    def upto(self) -> Tensor: ...
    @property
    def means(self) -> Tensor: ...


@dataclass
class Seen:
    """What a trial has shown so far: transitions ``[tasks, states, actions, states]`` and sums of rewards."""

    transitions: Tensor
    rewards: Tensor


Rule: TypeAlias = Callable[[Processes, Seen], Tensor]
"""From the processes and what was seen of them to an action by time and state, ``[horizon, tasks, states]``."""


def plan(chances: Tensor, means: Tensor, horizon: int) -> Tensor:
    """The best action by time and state, ``[horizon, tasks, states]``, by dynamic programming from the end."""
    value = torch.zeros_like(means[..., 0])
    found: list[Tensor] = []
    for _ in range(horizon):
        worth = means + torch.einsum("tsan,tn->tsa", chances, value)
        value, best = worth.max(-1)
        found.append(best)
    return torch.stack(found[::-1])


def at_random(batch: Processes, seen: Seen) -> Tensor:
    """Any action, in any state at any time."""
    return torch.randint(batch.actions, (batch.horizon, len(batch), batch.observations))


def posterior_sampling(batch: Processes, seen: Seen) -> Tensor:
    """The plan for a task drawn from what it may be, given the prior that tasks are drawn from (Strens 2000)."""
    chances = torch.distributions.Dirichlet(1 + seen.transitions).sample()
    count = seen.transitions.sum(-1)
    means = (1 + seen.rewards) / (1 + count) + torch.randn_like(count) / (1 + count).sqrt()
    return plan(chances, means, batch.horizon)


def task_known(batch: Processes, seen: Seen) -> Tensor:
    """What no learner can do better than."""
    chances = torch.diff(batch.upto, prepend=torch.zeros_like(batch.upto[..., :1]), dim=-1)
    return plan(chances, batch.means, batch.horizon)


MDP_RULES: dict[str, Rule] = {
    "random": at_random,
    "posterior sampling": posterior_sampling,
    "task known": task_known,
}


def play_mdps(rule: Callable[[Processes, Seen], Tensor], batch: Processes, episodes: int) -> Tensor:
    """The sum of rewards of a trial of every task, all at once, ``[tasks]``; a rule plans each episode at its start."""
    states, actions = batch.observations, batch.actions
    seen = Seen(torch.zeros(len(batch), states, actions, states), torch.zeros(len(batch), states, actions))
    rows = torch.arange(len(batch))
    state, observation = batch.reset(1, 0, repeat=True)
    total = torch.zeros(len(batch))
    for _ in range(episodes):
        best = rule(batch, seen)
        for moment in range(batch.horizon):
            now = observation.argmax(-1)[:, 0]
            action = best[moment, rows, now]
            state, observation, reward, done = batch.step(state, action[:, None])
            seen.rewards[rows, now, action] += reward[:, 0]
            if not done.any():  # else the next state is already that of a new episode
                seen.transitions[rows, now, action] += F.one_hot(observation.argmax(-1)[:, 0], states)
            total += reward[:, 0]
    return total
