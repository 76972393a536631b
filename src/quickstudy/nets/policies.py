"""Policies: what to do given what is seen, as a distribution over actions.

Actions are drawn by given uniform numbers, not by torch's generator, so that an episode is a function of its seed.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from quickstudy.nets.backbones.mlp import MLP


class Gaussian(NamedTuple):
    """Actions of several numbers, independent and normal: ``mean [..., actions]`` and the log of the spread."""

    mean: Tensor
    log_std: Tensor

    def act(self, u: Float[Tensor, "*shape actions"]) -> Float[Tensor, "*shape actions"]:
        """The action that draws ``u`` from U(0, 1) stand for."""
        return self.mean + self.log_std.exp() * torch.special.ndtri(u.to(self.mean.dtype))

    def log_prob(self, action: Float[Tensor, "*shape actions"]) -> Float[Tensor, "*shape"]:
        z = (action - self.mean) * (-self.log_std).exp()
        return (-z.square() / 2 - self.log_std - math.log(2 * math.pi) / 2).sum(-1)

    def entropy(self) -> Float[Tensor, "*shape"]:
        return (self.log_std + (1 + math.log(2 * math.pi)) / 2).expand(self.mean.shape).sum(-1)

    def divergence(self, other: "Gaussian") -> Float[Tensor, "*shape"]:
        """The Kullback-Leibler divergence of ``other`` from this distribution."""
        ratio = 2 * (self.log_std - other.log_std)
        distance = ((self.mean - other.mean) * (-other.log_std).exp()).square()
        return ((ratio.exp() + distance - ratio - 1) / 2).sum(-1)


class Categorical(NamedTuple):
    """One of several actions: unnormalised log-probabilities ``logits [..., actions]``."""

    logits: Tensor

    def act(self, u: Float[Tensor, "*shape 1"]) -> Int[Tensor, "*shape"]:
        """The action that draws ``u`` from U(0, 1) stand for."""
        upto = self.logits.softmax(-1).cumsum(-1)
        return (upto < u).sum(-1).clamp(max=self.logits.shape[-1] - 1)

    def log_prob(self, action: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        return self.logits.log_softmax(-1).gather(-1, action.unsqueeze(-1)).squeeze(-1)

    def entropy(self) -> Float[Tensor, "*shape"]:
        log_p = self.logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def divergence(self, other: "Categorical") -> Float[Tensor, "*shape"]:
        """The Kullback-Leibler divergence of ``other`` from this distribution."""
        log_p, log_q = self.logits.log_softmax(-1), other.logits.log_softmax(-1)
        return (log_p.exp() * (log_p - log_q)).sum(-1)


Choices: TypeAlias = Gaussian | Categorical


def divergence_of(old: Choices, new: Choices) -> Tensor:
    """The divergence of ``new`` from ``old``, which are of one kind."""
    return old.divergence(new)  # pyright: ignore[reportArgumentType]


def choices(outputs: Tensor, log_std: Tensor, discrete: bool) -> Choices:
    """What a network's outputs mean: logits of the actions, or the mean of an action that is several numbers."""
    return Categorical(outputs) if discrete else Gaussian(outputs, log_std)


class Policy(nn.Module):
    """An MLP policy for discrete or continuous actions, for a batch of tasks, each with its own weights.

    Args:
        in_features: numbers in an observation.
        actions: to choose from; numbers in an action, where they are continuous.
        hidden: width of each hidden layer.
        log_std: where the log of the spread of continuous actions starts; it does not depend on the observation.
    """

    def __init__(self, *, in_features: int, actions: int, hidden: tuple[int, ...], log_std: float = 0.0) -> None:
        super().__init__()
        self.mlp = MLP(in_features=in_features, out_features=actions, hidden=hidden)
        self.log_std = nn.Parameter(torch.full((actions,), log_std))
        last = self.mlp.layers[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():  # nearly the same everywhere at first: what it does is then the noise's choice
            last.weight.mul_(0.1)
            last.bias.zero_()

    def start(self, tasks: int) -> dict[str, Tensor]:
        """The parameters, shared by all tasks (views, attached to the graph)."""
        return {name: p.unsqueeze(0).expand(tasks, *p.shape) for name, p in self.named_parameters()}

    def forward_tasks(
        self, params: Mapping[str, Tensor], x: Shaped[Tensor, "tasks n o"]
    ) -> Float[Tensor, "tasks n actions"]:
        """Logits, or means, for observations of a batch of tasks."""
        own = {name.removeprefix("mlp."): p for name, p in params.items()}
        return self.mlp.forward_tasks(own, x.to(own["layers.0.weight"].dtype))

    def on(self, params: Mapping[str, Tensor], x: Shaped[Tensor, "tasks *n o"], discrete: bool) -> Choices:
        """The distribution over actions, ``[tasks, *n]``, given observations."""
        outputs = self.forward_tasks(params, x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
        log_std = params["log_std"]
        return choices(outputs, log_std.view(len(log_std), *(1 for _ in x.shape[1:-1]), -1), discrete)


class RecurrentPolicy(nn.Module):
    """A GRU that reads what happens, with heads for the action and for the value of what is to come.

    Args:
        in_features: numbers read per step.
        actions: to choose from; numbers in an action, where they are continuous.
        hidden: units of the GRU.
        log_std: where the log of the spread of continuous actions starts.
    """

    def __init__(self, *, in_features: int, actions: int, hidden: int, log_std: float = 0.0) -> None:
        super().__init__()
        self.hidden = hidden
        self.gru = nn.GRU(in_features, hidden, batch_first=True)
        self.head = nn.Linear(hidden, actions)
        self.value = nn.Linear(hidden, 1)
        self.log_std = nn.Parameter(torch.full((actions,), log_std))
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    def start(self, n: int) -> Float[Tensor, "n hidden"]:
        """The state before anything was read."""
        return self.head.weight.new_zeros(n, self.hidden)

    def read(
        self, x: Float[Tensor, "n steps f"], state: Float[Tensor, "n hidden"], discrete: bool
    ) -> tuple[Choices, Float[Tensor, "n steps"], Float[Tensor, "n hidden"]]:
        """What to do, and the value, after each step; and the state after the last."""
        h, last = self.gru(x, state.unsqueeze(0))
        return choices(self.head(h), self.log_std, discrete), self.value(h).squeeze(-1), last[0]
