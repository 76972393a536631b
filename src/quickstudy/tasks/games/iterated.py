"""Iterated games of two players: two moves each, over and over, the future discounted; values in closed form.

A player remembers one round, its own move and the other's, so a policy is five logits of its first move (*cooperate*,
heads, stag):

    in the first round, after CC, after CD, after DC, after DD        (own move first)

Two policies make a Markov chain over the four outcomes, with first round p0 [4] and transitions P [4, 4]. How often
each outcome is met, discounted, and what both players get are

    visits = (I - gamma P^T)^-1 p0          V_i = sum_s visits(s) r_i(s)          (sum of visits: 1 / (1 - gamma))

exact, and differentiable as often as wanted; (1 - gamma) V is the return per round. Where no such formula is at hand,
``simulate`` plays the game and gives the log-probabilities of what was done.

The games (reward of the first player for its C or D against the other's C or D):

    prisoners-dilemma  C: -1 -3   D: 0 -2      stag-hunt  C: 4 1   D: 3 2
    matching-pennies   C: 1 -1    D: -1 1      chicken    C: 3 1   D: 4 0

All but matching pennies, where one gets what the other loses, are symmetric.

Reference: Foerster et al.: Learning with Opponent-Learning Awareness. AAMAS 2018 (section 4, appendix).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.checks import SPLITS, at_least, interval, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.references import Judged, Reference, sampled
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown, shown_batch
from quickstudy.tasks.games.named import MOVES, TITLES
from quickstudy.tasks.games.opponents import CERTAIN, OPPONENTS, Opponents, draw_opponents

Game = Literal["prisoners-dilemma", "matching-pennies", "stag-hunt", "chicken"]
GAMES: dict[str, list[list[float]]] = {
    "prisoners-dilemma": [[-1, -3], [0, -2]],
    "matching-pennies": [[1, -1], [-1, 1]],
    "stag-hunt": [[4, 1], [3, 2]],
    "chicken": [[3, 1], [4, 0]],
}
_SECOND_SEES = (0, 1, 3, 2, 4)  # where the first player sees CD, the second sees DC


def visits(policies: Float[Tensor, "*games 2 5"], discount: float) -> Float[Tensor, "*games 4"]:
    """How often CC, CD, DC, DD (first player's move first) happen, round t counted ``discount ** t``."""
    p = policies.sigmoid()
    first, second = p[..., 0, :], p[..., 1, _SECOND_SEES]
    moves = torch.stack([first * second, first * (1 - second), (1 - first) * second, (1 - first) * (1 - second)], -1)
    start, after = moves[..., 0, :], moves[..., 1:, :]
    eye = torch.eye(4, dtype=p.dtype, device=p.device)
    return torch.linalg.solve(eye - discount * after.mT, start.unsqueeze(-1)).squeeze(-1)


def values(
    policies: Float[Tensor, "*games 2 5"], payoffs: Float[Tensor, "*games 2 2 2"], discount: float
) -> Float[Tensor, "*games 2"]:
    """The discounted sum of both players' rewards; ``payoffs[i, a, b]``: player i's, if they play a and b (0: C)."""
    return (visits(policies, discount).unsqueeze(-2) * payoffs.flatten(-2)).sum(-1)


@dataclass(frozen=True)
class GameBatch:
    """A batch of iterated games, and who is met there.

    Args:
        payoffs: of both players; ``payoffs[:, i, a, b]`` for moves a and b (0: cooperate).
        discount: of the next round.
        starts: logits that the first player may start from.
        opponents: second players.
        seat: which of several pairs of agents plays the game, where a learner holds many: a number in [0, 1).
    """

    payoffs: Float[Tensor, "tasks 2 2 2"]
    discount: float
    starts: Float[Tensor, "tasks 5"]
    opponents: Opponents
    seat: Float[Tensor, " tasks"]

    __repr__ = shown_batch

    def __len__(self) -> int:
        return len(self.payoffs)

    def __getitem__(self, tasks: slice) -> "GameBatch":
        o = self.opponents
        own = Opponents(o.kind[tasks], o.logits[tasks], o.lr[tasks], o.lookahead[tasks])
        return GameBatch(self.payoffs[tasks], self.discount, self.starts[tasks], own, self.seat[tasks])

    def to(self, device: torch.device | str) -> "GameBatch":
        o = self.opponents
        own = Opponents(o.kind.to(device), o.logits.to(device), o.lr.to(device), o.lookahead.to(device))
        tensors = {name: getattr(self, name).to(device) for name in ("payoffs", "starts", "seat")}
        return replace(self, opponents=own, **tensors)

    def values(self, policies: Float[Tensor, "tasks *more 2 5"]) -> Float[Tensor, "tasks *more 2"]:
        """The discounted sums of both players' rewards, exact; each task may be played by several pairs."""
        return values(policies, self._payoffs(policies), self.discount)

    def returns(self, policies: Float[Tensor, "tasks *more 2 5"]) -> Float[Tensor, "tasks *more 2"]:
        """Both players' rewards per round, discounted."""
        return (1 - self.discount) * self.values(policies)

    def cooperation(self, policies: Float[Tensor, "tasks *more 2 5"]) -> Float[Tensor, "tasks *more 2"]:
        """How often both players cooperate (play heads, hunt stags): a rate in [0, 1], discounted."""
        v = (1 - self.discount) * visits(policies, self.discount)
        return torch.stack([v[..., 0] + v[..., 1], v[..., 0] + v[..., 2]], -1)

    def simulate(
        self, policies: Float[Tensor, "tasks *more 2 5"], rollouts: int, length: int
    ) -> tuple[Float[Tensor, "tasks *more rollouts length 2"], Float[Tensor, "tasks *more rollouts length 2"]]:
        """Play ``length`` rounds, ``rollouts`` times: log-probabilities of the moves (with a graph), and rewards.

        Draws from torch's global generator.
        """
        logits = torch.stack([policies[..., 0, :], policies[..., 1, _SECOND_SEES]], -1)
        shape = (*policies.shape[:-2], rollouts)
        with torch.no_grad():
            p, seen = logits.sigmoid(), torch.zeros(shape, dtype=torch.int64, device=policies.device)
            states: list[Tensor] = [seen]
            for _ in range(length):
                drawn = torch.rand(*shape, 2, dtype=p.dtype, device=p.device)
                move = (drawn >= _at(p, states[-1])).long()
                states.append(1 + 2 * move[..., 0] + move[..., 1])
            outcome = torch.stack(states[1:], -1) - 1
            moves = torch.stack([outcome // 2, outcome % 2], -1)
            rewards = _at(self._payoffs(policies).flatten(-2).mT, outcome)
        x = _at(logits, torch.stack(states[:-1], -1))
        return F.logsigmoid(torch.where(moves == 0, x, -x)), rewards

    def _payoffs(self, policies: Tensor) -> Tensor:
        extra = (1,) * (policies.ndim - 3)
        return self.payoffs.view(len(self), *extra, 2, 2, 2).expand(*policies.shape[:-2], 2, 2, 2)


def _at(table: Float[Tensor, "*games states 2"], state: Tensor) -> Tensor:
    """Row ``state [*games, ...]`` of each game's table, ``[*games, ..., 2]``."""
    flat = state.flatten(table.ndim - 2).unsqueeze(-1).expand(*table.shape[:-2], -1, 2)
    return table.gather(-2, flat).view(*state.shape, 2)


class IteratedGames:
    """Two-player games, repeated: memory-one policies, exact returns.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        game: ``prisoners-dilemma``, ``matching-pennies``, ``stag-hunt`` or ``chicken``.
        discount: of the next round, in [0, 1).
        noise: standard deviation by which each task's payoffs differ from the game's.
        init_std: standard deviation of the logits of random policies.
        opponents: the kinds of second players, each as likely: ``naive``, ``lola``, ``random``, ``tit-for-tat``,
            ``always-defect``, ``always-cooperate``.
        opponent_lr: (low, high) of the step sizes of opponents that learn, on the discounted sum of rewards.

    Raises:
        UsageError: an unknown game or opponent, a discount outside of [0, 1), a negative noise or init_std.

    >>> batch = IteratedGames().sample(8, seed=0)
    >>> batch.payoffs.shape, batch.opponents.logits.shape
    (torch.Size([8, 2, 2, 2]), torch.Size([8, 5]))
    """

    kind: ClassVar[str] = "games"
    titles: ClassVar[Mapping[str, Mapping[str, str]]] = {"game": TITLES}

    def __init__(
        self,
        *,
        split: str = "train",
        game: Game = "prisoners-dilemma",
        discount: float = 0.96,
        noise: float = 0.0,
        init_std: float = 1.0,
        opponents: tuple[str, ...] = OPPONENTS,
        opponent_lr: tuple[float, float] = (0.5, 1.5),
    ) -> None:
        one_of(SPLITS, split=split)
        one_of(tuple(GAMES), game=game)
        for name in opponents:
            one_of(OPPONENTS, opponents=name)
        interval(opponent_lr=opponent_lr)
        if not 0 <= discount < 1 or noise < 0 or init_std < 0 or not opponents:
            raise UsageError(
                f"games need a discount in [0, 1), noise and init_std >= 0 and at least one opponent, got {discount}, "
                f"{noise}, {init_std} and {opponents}."
            )
        self.split = split
        self.game: Game = game
        self.discount = discount
        self.noise = noise
        self.init_std = init_std
        self.opponents = opponents
        self.opponent_lr = opponent_lr

    @property
    def x_shape(self) -> tuple[int, ...]:
        """What a player sees: one of five things, ``(5,)``."""
        return (5,)

    @property
    def outputs(self) -> int:
        """Logits of a policy: 5."""
        return 5

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"{self.describe_self_play()}; opponents: {', '.join(self.opponents)}"

    def describe_self_play(self) -> str:
        """The same for who plays itself, and so meets none of the opponents."""
        noise = f", payoffs ± {self.noise:g}" if self.noise else ""
        return f"iterated {self.game} {self.split}, discount {self.discount:g}{noise}"

    def references(self, judged: Judged) -> tuple[Reference, ...]:
        """One move for ever: of both players, and against the opponents as they are before they learn."""
        if judged.metric != "return" or self.game == "matching-pennies":
            return (Reference("the game's value", 0.0),) if judged.metric == "return" else ()
        moves = MOVES[self.game]  # noise in the payoffs is 0 on the mean
        both = (Reference(f"both {move}", GAMES[self.game][i][i]) for i, move in enumerate(moves))
        if judged.self_play:
            return (*both,)
        batch = self.sample(2000, 0)
        for_ever = (torch.full_like(batch.starts, sign * CERTAIN) for sign in (1, -1))
        played = (batch.returns(torch.stack([own, batch.opponents.logits], 1))[:, 0] for own in for_ever)
        names = (f"always {move} (opponents not learning)" for move in moves)
        return *both, *map(sampled, names, played)

    @pure
    def sample(self, tasks: int, seed: int) -> GameBatch:
        """Draw ``tasks`` games; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "games", self.split)
        first = torch.tensor(GAMES[self.game])
        second = -first if self.game == "matching-pennies" else first.mT
        payoffs = torch.stack([first, second]) + self.noise * torch.randn(tasks, 2, 2, 2, generator=rng)
        starts = torch.randn(tasks, 5, generator=rng) * self.init_std
        met = draw_opponents(tasks, tuple(self.opponents), self.opponent_lr, self.init_std, rng)
        return GameBatch(payoffs, self.discount, starts, met, torch.rand(tasks, generator=rng))
