"""What plays bandits without having been trained. A rule says what each arm is worth; the best one is pulled.

References: Thompson: On the likelihood that one unknown probability exceeds another. Biometrika 1933. Auer,
Cesa-Bianchi, Fischer: Finite-time analysis of the multiarmed bandit problem. Machine Learning 2002 (UCB1).
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from quickstudy.tasks.environments.base import Environments

Rule: TypeAlias = Callable[[Tensor, Tensor, int], Tensor]
"""From wins and losses so far ``[tasks, arms]`` and the number of the pull to what each arm is worth."""


def at_random(wins: Tensor, losses: Tensor, pull: int) -> Tensor:
    """Any arm."""
    return torch.rand_like(wins)


def greedy(wins: Tensor, losses: Tensor, pull: int) -> Tensor:
    """The mean given a uniform prior; ties by lot."""
    return (1 + wins) / (2 + wins + losses) + 1e-6 * torch.rand_like(wins)


def thompson(wins: Tensor, losses: Tensor, pull: int) -> Tensor:
    """A draw from what the arm's chance may be, given a uniform prior."""
    return torch.distributions.Beta(1 + wins, 1 + losses).sample()


def ucb(wins: Tensor, losses: Tensor, pull: int) -> Tensor:
    """UCB1: the mean and a bonus for arms little tried; untried ones first."""
    count = wins + losses
    bonus = (2 * math.log(max(pull, 1)) / count.clamp(min=1)).sqrt()
    return torch.where(count > 0, wins / count.clamp(min=1) + bonus, torch.inf) + 1e-6 * torch.rand_like(wins)


BANDIT_RULES: dict[str, Rule] = {
    "random": at_random,
    "greedy": greedy,
    "Thompson sampling": thompson,
    "UCB1": ucb,
}


def play_bandits(rule: Rule, batch: Environments, pulls: int) -> Tensor:
    """The sum of rewards of a trial of every bandit, all at once, ``[tasks]``. Draws from torch's global generator."""
    state, _ = batch.reset(1, 0, repeat=True)
    wins, losses = torch.zeros(2, len(batch), batch.actions)
    for pull in range(pulls):
        arm = rule(wins, losses, pull).argmax(1, keepdim=True)
        state, _, reward, _ = batch.step(state, arm)
        wins.scatter_add_(1, arm, reward)
        losses.scatter_add_(1, arm, 1 - reward)
    return wins.sum(1)
