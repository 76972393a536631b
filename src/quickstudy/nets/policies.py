"""Policies: what to do given what is seen, as a distribution over actions.

Actions are drawn by given uniform numbers, not by torch's generator, so that an episode is a function of its seed.
"""

from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, Normal, kl_divergence

from quickstudy.nets.backbones.mlp import MLP


@final
class ActionDistribution:
    """What a network's outputs mean: one of several actions, or an action of several independent normal numbers.

    Args:
        outputs: unnormalised log-probabilities, or means, ``[*shape, actions]``.
        log_std: of continuous actions, of a shape that expands to that of the outputs.
        discrete: whether it is one of several actions.
    """

    def __init__(self, outputs: Tensor, log_std: Tensor, discrete: bool) -> None:
        self.outputs = outputs
        self.log_std = log_std
        self.discrete = discrete

    @property
    def distribution(self) -> Distribution:
        """The same as torch has it."""
        if self.discrete:
            return Categorical(logits=self.outputs, validate_args=False)
        normal = Normal(self.outputs, self.log_std.exp(), validate_args=False)
        return Independent(normal, 1, validate_args=False)

    def act(self, u: Float[Tensor, "*shape numbers"]) -> Shaped[Tensor, "..."]:
        """The action that draws ``u`` from U(0, 1) stand for: one of them if discrete, else one for each number."""
        if self.discrete:
            upto = self.outputs.softmax(-1).cumsum(-1)
            return (upto < u).sum(-1).clamp(max=self.outputs.shape[-1] - 1)
        return self.outputs + self.log_std.exp() * torch.special.ndtri(u.to(self.outputs.dtype))

    def log_prob(self, action: Shaped[Tensor, "..."]) -> Float[Tensor, "*shape"]:
        return self.distribution.log_prob(action)

    def entropy(self) -> Float[Tensor, "*shape"]:
        return self.distribution.entropy()

    def kl(self, other: "ActionDistribution") -> Float[Tensor, "*shape"]:
        """The Kullback-Leibler divergence of ``other`` from this distribution; both are of one kind."""
        return kl_divergence(self.distribution, other.distribution)

    def detach(self) -> "ActionDistribution":
        """The same, as constants."""
        return ActionDistribution(self.outputs.detach(), self.log_std.detach(), self.discrete)


class Policy(nn.Module):
    """An MLP policy for discrete or continuous actions, for a batch of tasks, each with its own weights.

    Args:
        in_features: numbers in an observation.
        actions: to choose from; numbers in an action, where they are continuous.
        hidden: width of each hidden layer.
        log_std: where the log of the standard deviation of continuous actions starts; observations do not
            change it.
    """

    def __init__(self, *, in_features: int, actions: int, hidden: tuple[int, ...], log_std: float = 0.0) -> None:
        super().__init__()
        self.mlp = MLP(in_features=in_features, out_features=actions, hidden=hidden)
        self.log_std = nn.Parameter(torch.full((actions,), float(log_std)))
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

    def on(self, params: Mapping[str, Tensor], x: Shaped[Tensor, "tasks *n o"], discrete: bool) -> ActionDistribution:
        """The distribution over actions, ``[tasks, *n]``, given observations."""
        outputs = self.forward_tasks(params, x.flatten(1, -2)).unflatten(1, x.shape[1:-1])
        log_std = params["log_std"]
        return ActionDistribution(outputs, log_std.view(len(log_std), *(1 for _ in x.shape[1:-1]), -1), discrete)


class RecurrentPolicy(nn.Module):
    """A GRU that reads what happens, with heads for the action and for the value of what is to come.

    Args:
        in_features: numbers read per step.
        actions: to choose from; numbers in an action, where they are continuous.
        hidden_size: units of the GRU.
        log_std: where the log of the standard deviation of continuous actions starts.
    """

    def __init__(self, *, in_features: int, actions: int, hidden_size: int, log_std: float = 0.0) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.gru = nn.GRU(in_features, hidden_size, batch_first=True)
        self.head = nn.Linear(hidden_size, actions)
        self.value = nn.Linear(hidden_size, 1)
        self.log_std = nn.Parameter(torch.full((actions,), float(log_std)))
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    def start(self, n: int) -> Float[Tensor, "n hidden"]:
        """The state before anything was read."""
        return self.head.weight.new_zeros(n, self.hidden_size)

    def read(
        self, x: Float[Tensor, "n steps f"], state: Float[Tensor, "n hidden"], discrete: bool
    ) -> tuple[ActionDistribution, Float[Tensor, "n steps"], Float[Tensor, "n hidden"]]:
        """What to do, and the value, after each step; and the state after the last."""
        h, last = self.gru(x, state.unsqueeze(0))
        return ActionDistribution(self.head(h), self.log_std, discrete), self.value(h).squeeze(-1), last[0]

    def after(self, x: Float[Tensor, "n steps f"], steps: Int[Tensor, " n"]) -> Float[Tensor, "n hidden"]:
        """The state after the first so many steps (>= 1) of each, read from the start."""
        h, _ = self.gru(x)
        at = (steps - 1).view(-1, 1, 1).expand(-1, 1, h.shape[2])
        return h.gather(1, at).squeeze(1)
