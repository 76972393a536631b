"""What the reinforcement learners share: episodes, advantages, and an objective with right derivatives of any order."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from quickstudy.tasks.environments.base import Environments, uniforms


@dataclass(frozen=True)
class Episodes:
    """What happened in the episodes of a batch of tasks. After an episode's end everything counts as zero.

    Args:
        observations: before each action.
        actions: what was done.
        rewards: what it brought.
        mask: 1 for the steps that there were, else 0.
    """

    observations: Float[Tensor, "tasks episodes steps o"]
    actions: Shaped[Tensor, "tasks episodes steps ..."]
    rewards: Float[Tensor, "tasks episodes steps"]
    mask: Float[Tensor, "tasks episodes steps"]

    @property
    def returns(self) -> Float[Tensor, " tasks"]:
        """The mean over episodes of the sum of rewards."""
        return self.rewards.sum(-1).mean(-1)


@torch.no_grad()
def play(batch: Environments, act: Callable[[Tensor, Tensor], Tensor], *, episodes: int, seed: int) -> Episodes:
    """Whole episodes of every task; ``act(observation, draws from U(0, 1)) -> action``, all ``[tasks, episodes, ...]``.

    A function of the tasks and ``seed``: no other random numbers are used.
    """
    state, observation = batch.reset(episodes, seed)
    draws = uniforms(batch.seeds, (batch.horizon, episodes, 1 if batch.discrete else batch.actions), seed, "act")
    mask = torch.ones(len(batch), episodes, dtype=torch.bool, device=observation.device)
    parts: list[tuple[Tensor, ...]] = []
    for u in draws.unbind(1):
        action = act(observation, u)
        state, after, reward, over = batch.step(state, action)
        parts.append((observation, action, reward, mask))
        observation, mask = after, ~over
    observations, actions, rewards, lived = (torch.stack(part, 2) for part in zip(*parts, strict=True))
    return Episodes(observations, actions, rewards, lived.to(rewards.dtype))


def discounted(x: Float[Tensor, "*n steps"], factor: float) -> Float[Tensor, "*n steps"]:
    """y_t = x_t + factor * y_t+1."""
    found: list[Tensor] = []
    total = torch.zeros_like(x[..., 0])
    for now in reversed(x.unbind(-1)):
        total = now + factor * total
        found.append(total)
    return torch.stack(found[::-1], -1)


def gae(
    rewards: Float[Tensor, "*n steps"], values: Float[Tensor, "*n steps"], discount: float, gae_lambda: float
) -> Float[Tensor, "*n steps"]:
    """Generalised advantages (Schulman et al. 2016): discounted sums of r_t + discount * V_t+1 - V_t; V ends at 0."""
    following = torch.cat([values[..., 1:], torch.zeros_like(values[..., :1])], -1)
    return discounted(rewards + discount * following - values, discount * gae_lambda)


def baseline(episodes: Episodes, discount: float) -> Float[Tensor, "tasks episodes steps"]:
    """The value of what is to come: ridge regression, for each task, on its own episodes (Duan et al. 2016).

    The features are the observation, its square, powers of the time up to the third, and a constant.
    """
    seen = episodes.observations.double().clamp(-10, 10)
    steps = seen.shape[2]
    time = (torch.arange(steps, device=seen.device, dtype=seen.dtype) / 100).view(1, 1, steps, 1)
    clock = torch.cat([time, time**2, time**3, torch.ones_like(time)], -1).expand(*seen.shape[:3], 4)
    mask = episodes.mask.double().unsqueeze(-1)
    x = (torch.cat([seen, seen.square(), clock], -1) * mask).flatten(1, 2)
    y = discounted(episodes.rewards.double(), discount).unsqueeze(-1) * mask
    penalty = 1e-5 * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    weights = torch.linalg.solve(x.mT @ x + penalty, x.mT @ y.flatten(1, 2))
    return (x @ weights).view(y.shape[:3]).to(episodes.rewards.dtype)


def advantages(episodes: Episodes, *, discount: float, gae_lambda: float) -> Float[Tensor, "tasks episodes steps"]:
    """How much better than the baseline each step was; of mean 0 and standard deviation 1 over a task's steps."""
    mask = episodes.mask
    found = gae(episodes.rewards, baseline(episodes, discount), discount, gae_lambda) * mask
    count = mask.sum((1, 2), keepdim=True)
    found = (found - found.sum((1, 2), keepdim=True) / count) * mask
    std = (found.square().sum((1, 2), keepdim=True) / count).sqrt()
    return found / (std + 1e-8)


def dice(
    log_p: Float[Tensor, "tasks episodes steps"],
    advantage: Float[Tensor, "tasks episodes steps"],
    discount: float,
    *,
    credit: str = "past",
) -> Float[Tensor, " tasks"]:
    """Zero, whose derivatives are estimates of those of the expected discounted return, mean over episodes.

    With L_t the sum of log-probabilities up to step t and box(x) = exp(x - stop(x)), which is 1 (DiCE, Foerster et al.
    2018, in the form of Farquhar et al. 2019 that takes advantages):

        sum_t discount^t A_t (box(L_t) - box(L_t-1))

    Args:
        log_p: of the actions taken; zero after an episode's end.
        advantage: A_t, advantages of the actions; constants.
        discount: of the next step.
        credit: ``past``: as above. ``own``: box(log_p_t) in place of the difference: the same gradient, and second
            derivatives of less variance, which leave out how earlier actions lead to where t is (Rothfuss et al. 2019).
    """
    times = torch.arange(log_p.shape[-1], dtype=log_p.dtype, device=log_p.device)
    if credit == "own":
        weight = (log_p - log_p.detach()).exp() - 1
    else:
        upto = log_p.cumsum(-1)
        before = upto - log_p
        weight = (upto - upto.detach()).exp() - (before - before.detach()).exp()
    return (discount**times * advantage * weight).sum(-1).mean(-1)


def minus_mean(ratio: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Mean over tasks of minus the mean over a task's steps."""
    return -((ratio * advantage * mask).sum((1, 2)) / mask.sum((1, 2))).mean()
