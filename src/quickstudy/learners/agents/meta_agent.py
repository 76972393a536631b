"""A meta-learned agent: where to start, and how to learn, against opponents that learn themselves.
Who it will meet is drawn from a distribution; its start and step sizes are trained through its own learning and the
opponents', so that they shape how an opponent learns and not only what it does.

Equations, for opponent phi with step size beta (0: it does not learn), returns V per game, and K steps of both at once:

    theta_0 = theta (meta-learned), phi_0 = the opponent's start
    theta_{k+1} = theta_k + alpha * dV_1/dtheta(theta_k, phi_k) + f(theta_k, phi_k, dV_1/dtheta)
    phi_{k+1}   = phi_k + beta [ dV_2/dphi (theta_k, phi_k) + eta * LOLA's shaping of theta ]
    meta-loss   = - mean over opponents and k = 1..K of (1 - gamma) V_1(theta_k, phi_k)

alpha: five learned step sizes. f: a small network, if ``hidden_size`` > 0, which starts at zero; with it the update is
learned altogether, as in M-FOS. The meta-gradient is exact: it goes through both players' steps.

Where it differs from the papers: values are exact, where both papers estimate them from sampled games; Meta-MAPG keeps
the update a policy gradient (here ``hidden_size=0``), M-FOS learns a policy over policies by reinforcement learning
(here f, by the exact derivative).

References: Kim et al.: A Policy Gradient Algorithm for Learning to Learn in Multiagent Reinforcement Learning
(Meta-MAPG). ICML 2021. Lu, Willi, Schroeder de Witt, Foerster: Model-Free Opponent Shaping (M-FOS). ICML 2022.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner, Scalars, Solver
from quickstudy.learners.agents.shaping import taylor
from quickstudy.tasks.games.iterated import GameBatch


class MetaAgent(MetaLearner[GameBatch]):
    """Meta-agent: its start and its learning are meta-learned against opponents that learn, too.

    Args:
        out_features: logits of a policy, 5.
        inner_steps: steps (K) of both players in training, validation and test, >= 1.
        inner_lr: where the learned step sizes (alpha) start, on the discounted sum of rewards.
        learn_rates: whether they are learned.
        hidden_size: units of the network that adds to each step (f); 0: none.
        average: whether the return after every step counts, or the last one's only.
        chunk: tasks at once in ``meta_backward``; bounds the memory. None: all.

    Raises:
        UsageError: an option out of its range.
    """

    learns: ClassVar[Mapping[str, str]] = {"games": "return"}

    def __init__(
        self,
        *,
        out_features: int = 5,
        inner_steps: int = 20,
        inner_lr: float = 1.0,
        learn_rates: bool = True,
        hidden_size: int = 32,
        average: bool = True,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        if out_features != 5 or inner_steps < 1 or inner_lr < 0 or hidden_size < 0:
            raise UsageError(
                "MetaAgent needs out_features=5, inner_steps >= 1, inner_lr and hidden_size >= 0, got "
                f"{out_features}, {inner_steps}, {inner_lr} and {hidden_size}."
            )
        self.out_features = out_features
        self.inner_steps = inner_steps
        self.inner_lr = inner_lr
        self.learn_rates = learn_rates
        self.hidden_size = hidden_size
        self.average = average
        self.chunk = chunk
        self.start = nn.Parameter(torch.zeros(5))
        self.rates = nn.Parameter(torch.full((5,), float(inner_lr)), requires_grad=learn_rates)
        last = nn.Linear(hidden_size, 5) if hidden_size else None
        if last is not None:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.update = None if last is None else nn.Sequential(nn.Linear(15, hidden_size), nn.Tanh(), last)

    def path(self, batch: GameBatch, steps: int) -> Iterator[Float[Tensor, "tasks 2 5"]]:
        """Both players' policies after 0, 1, ..., ``steps`` steps; differentiable where grad mode is on."""
        met, graph = batch.opponents, torch.is_grad_enabled()
        policies = torch.stack([self.start.expand(len(batch), -1), met.logits], 1)
        eta = torch.stack([torch.zeros_like(met.lookahead), met.lookahead], -1)
        yield policies
        for _ in range(steps):
            ascent = taylor(batch.values, policies, eta, create_graph=graph)
            own = self.step(policies[:, 0], policies[:, 1], ascent[:, 0])
            policies = policies + torch.stack([own, met.lr[:, None] * ascent[:, 1]], 1)
            yield policies

    def step(
        self, own: Float[Tensor, "games 5"], theirs: Float[Tensor, "games 5"], ascent: Float[Tensor, "games 5"]
    ) -> Float[Tensor, "games 5"]:
        """What the agent adds to its logits, where ``ascent`` is the derivative of its return by them."""
        plain = self.rates * ascent
        if self.update is None:
            return plain
        # The derivative's size goes over orders of magnitude.
        return plain + self.update(torch.cat([own.sigmoid(), theirs.sigmoid(), ascent.asinh()], -1))

    def adapt(self, support: GameBatch) -> Solver:
        """The agent after its steps: from what is seen, ``[tasks, n, 5]`` (one-hot), to the logit of cooperating."""
        (last,) = deque(self.adapt_path(support, self.inner_steps), maxlen=1)
        return last

    def adapt_path(self, support: GameBatch, steps: int) -> Iterator[Solver]:
        """The same after 0, 1, ..., ``steps`` steps."""
        return (partial(_logits, policies[:, 0]) for policies in self.path(support, steps))

    def meta_loss(self, batch: GameBatch) -> tuple[Tensor, Scalars]:
        path = list(self.path(batch, self.inner_steps))
        counted = path[1:] if self.average else path[-1:]
        loss = -torch.stack([batch.returns(policies)[:, 0] for policies in counted]).mean()
        with torch.no_grad():
            before, after = (batch.returns(p)[:, 0].mean() for p in (path[0], path[-1]))
            cooperation = batch.cooperation(path[-1])[:, 0].mean()
        metrics = {"loss": loss.detach(), "return": after, "return_before": before, "cooperation": cooperation}
        return loss, metrics

    def score_tasks(self, batch: GameBatch, at: Sequence[int]) -> Float[Tensor, "2 steps tasks"]:
        """The agent's return per round after each of the steps."""
        path = enumerate(self.path(batch, at[-1]))
        found = torch.stack([batch.returns(policies)[:, 0] for step, policies in path if step in at])
        return torch.stack([found, -found])

    def score_name(self, batch: GameBatch) -> str:
        return "return"

    @property
    def adapt_steps(self) -> int:
        return self.inner_steps


def _logits(own: Float[Tensor, "tasks 5"], x: Float[Tensor, "tasks n 5"]) -> Float[Tensor, "tasks n 1"]:
    return x @ own.unsqueeze(-1)
