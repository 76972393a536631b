"""How two players that learn step at once: naively, or reckoning with the other's step (see ``lola.py``).

Everything works on many games at once, ``policies [*games, 2, n]``: both players' parameters. No game sees another.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import Batch

Values: TypeAlias = Callable[[Tensor], Tensor]
"""``values(policies [*games, 2, n]) -> [*games, 2]``: what each player gets. No game depends on another."""
PLAYERS = ((0, 1), (1, 0))
"""Each player and the other."""


@runtime_checkable
class PlayedByTwo(Batch, Protocol):
    """A batch of two-player games that can be played: ``GameBatch``, or rounds of an environment of your own."""

    @property
    def discount(self) -> float: ...
    @property
    def seat(self) -> Tensor: ...
    def returns(self, policies: Tensor) -> Tensor: ...
    def simulate(self, policies: Tensor, rollouts: int, length: int) -> tuple[Tensor, Tensor]: ...


def taylor(
    values: Values,
    policies: Float[Tensor, "*games 2 n"],
    eta: float | Float[Tensor, "*games 2"],
    *,
    create_graph: bool = False,
) -> Float[Tensor, "*games 2 n"]:
    """``naive`` (eta 0) and ``lola`` directions of both players; player i assumes that the other steps by eta_i."""
    with torch.enable_grad():
        theta = policies if create_graph and policies.requires_grad else policies.detach().requires_grad_()
        v = values(theta)
        # d[i][..., j, :]: the derivative of player i's return by player j's policy
        d = [torch.autograd.grad(v[..., i].sum(), theta, create_graph=True)[0] for i, _ in PLAYERS]
        found = torch.stack([d[0][..., 0, :], d[1][..., 1, :]], -2)
        rates = torch.as_tensor(eta, dtype=v.dtype, device=v.device).expand(v.shape)
        if eta.device.type != "cpu" or bool((eta != 0).any()) if isinstance(eta, Tensor) else eta:  # no GPU is asked
            keep = {"create_graph": create_graph, "retain_graph": True}
            # player i's: the derivative of the other's step, d[j][..., j, :], weighted by what it is worth to i
            by_step = [torch.autograd.grad(d[j][..., j, :], theta, d[i][..., j, :], **keep)[0] for i, j in PLAYERS]
            found = found + rates.unsqueeze(-1) * torch.stack([by_step[i][..., i, :] for i, _ in PLAYERS], -2)
    return found if create_graph else found.detach()


def lookahead(
    values: Values, policies: Float[Tensor, "*games 2 n"], eta: float, steps: int
) -> Float[Tensor, "*games 2 n"]:
    """Directions of both players, each by the return after the other's next ``steps`` steps."""
    return _each_after_the_other(lambda pair, player: values(pair)[..., player].sum(), policies, eta, steps)


def dice(
    batch: PlayedByTwo, policies: Float[Tensor, "*games 2 n"], eta: float, steps: int, rollouts: int, length: int
) -> Float[Tensor, "*games 2 n"]:
    """As ``lookahead``, from sampled games; every estimate draws games of its own."""

    def estimate(pair: Tensor, player: int) -> Tensor:
        log_p, rewards = batch.simulate(pair, rollouts, length)
        return dice_objective(log_p.sum(-1), rewards[..., player], batch.discount).sum()

    return _each_after_the_other(estimate, policies, eta, steps)


def _each_after_the_other(
    value: Callable[[Tensor, int], Tensor], policies: Float[Tensor, "*games 2 n"], eta: float, steps: int
) -> Float[Tensor, "*games 2 n"]:
    found: list[Tensor] = []
    with torch.enable_grad():
        for me, other in PLAYERS:
            own, theirs = (policies.detach()[..., i, :].requires_grad_() for i in (me, other))
            for _ in range(steps):
                v = value(_pair(own, theirs, me), other)
                theirs = theirs + eta * torch.autograd.grad(v, theirs, create_graph=True)[0]
            found.append(torch.autograd.grad(value(_pair(own, theirs, me), me), own)[0])
    return torch.stack(found, -2)


def _pair(own: Tensor, theirs: Tensor, me: int) -> Tensor:
    return torch.stack([own, theirs] if me == 0 else [theirs, own], -2)


def dice_objective(
    log_p: Float[Tensor, "*games rollouts length"], rewards: Float[Tensor, "*games rollouts length"], discount: float
) -> Float[Tensor, "*games"]:
    """An estimate of the discounted sum of rewards whose derivatives, of any order, are estimates of its derivatives.

    Args:
        log_p: log-probability of all that was decided in a round, by whomever is differentiated through.
        rewards: that came of it.
        discount: of the next round.
    """
    times = torch.arange(rewards.shape[-1], dtype=rewards.dtype, device=rewards.device)
    worth = rewards * discount**times
    to_come = worth.flip(-1).cumsum(-1).flip(-1)
    n = rewards.shape[-2]
    baseline = (to_come.sum(-2, keepdim=True) - to_come) / (n - 1)  # of the others: its own would bias the estimate
    past = log_p.cumsum(-1)
    box = (past - past.detach()).exp()
    before = torch.cat([torch.ones_like(box[..., :1]), box[..., :-1]], -1)
    return (worth * box - (box - before) * baseline).sum(-1).mean(-1)
