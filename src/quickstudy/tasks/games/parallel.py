"""Two-player environments of your own, in PettingZoo's parallel interface, for agents that learn by playing each other.

There is no value in closed form here: games are played, one after the other, and ``LOLA(method="dice")`` learns from
what was sampled. An agent's policy is linear in what it sees, ``softmax(x @ W)`` with ``W [features, actions]``: a
table where observations are numbered (``Discrete``), else of the flattened observation (``Box``) and a 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import generator
from quickstudy.core.shown import shown, shown_batch


@dataclass(frozen=True)
class ParallelGameBatch:
    """Rounds of an environment for two, as tasks.

    Args:
        games: where they come from.
        seeds: of the environment, by task; every game starts with ``reset(seed=...)`` drawn from its own.
        seat: which of several pairs of agents plays the task: a number in [0, 1).
    """

    games: "ParallelGames"
    seeds: Int[Tensor, " tasks"]
    seat: Float[Tensor, " tasks"]

    __repr__ = shown_batch

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, tasks: slice) -> "ParallelGameBatch":
        return ParallelGameBatch(self.games, self.seeds[tasks], self.seat[tasks])

    def to(self, device: torch.device | str) -> "ParallelGameBatch":
        return ParallelGameBatch(self.games, self.seeds.to(device), self.seat.to(device))

    @property
    def discount(self) -> float:
        return self.games.discount

    def returns(self, policies: Float[Tensor, "tasks *more 2 n"]) -> Float[Tensor, "tasks *more 2"]:
        """Both players' rewards per step, discounted: the mean of sampled games."""
        rewards = self.simulate(policies.detach(), self.games.score_games, self.games.score_length)[1]
        times = torch.arange(rewards.shape[-2], dtype=rewards.dtype, device=rewards.device)
        return (1 - self.discount) * (rewards * (self.discount**times).unsqueeze(-1)).sum(-2).mean(-2)

    def simulate(
        self, policies: Float[Tensor, "tasks *more 2 n"], rollouts: int, length: int
    ) -> tuple[Float[Tensor, "tasks *more rollouts length 2"], Float[Tensor, "tasks *more rollouts length 2"]]:
        """Play ``rollouts`` games of at most ``length`` steps: log-probabilities of the actions, and rewards.

        After a game's end both are 0. Draws from torch's global generator.
        """
        features, actions = self.games.features, self.games.actions
        weights = policies.unflatten(-1, (features, actions))
        shape = (*policies.shape[:-2], rollouts)
        tables = weights.detach().cpu().numpy().reshape(-1, 2, features, actions)
        count = len(tables) * rollouts
        draws = torch.rand(count, length, 2).numpy()
        starts = (self.seeds.cpu().repeat_interleave(count // len(self)) + torch.randint(2**31, (count,))) % 2**31
        seen = np.zeros((count, length, 2, features), dtype=tables.dtype)
        done = np.zeros((count, length, 2), dtype=np.int64)
        earned = np.zeros((count, length, 2), dtype=tables.dtype)
        mask = np.zeros((count, length, 1), dtype=tables.dtype)
        environment = self.games.make()
        try:
            for game, seed in enumerate(starts.tolist()):
                kept = (seen[game], done[game], earned[game], mask[game])
                self.games.play(environment, seed, tables[game // rollouts], draws[game], *kept)
        finally:
            environment.close()

        def tensor(array: Any) -> Tensor:
            return torch.from_numpy(array).to(policies.device).view(*shape, length, *array.shape[2:])

        logits = torch.einsum("...rtif,...ifa->...rtia", tensor(seen), weights)
        chosen = logits.log_softmax(-1).gather(-1, tensor(done).unsqueeze(-1)).squeeze(-1)
        return chosen * tensor(mask), tensor(earned)


class ParallelGames:
    """Two-player environments of your own, in PettingZoo's parallel interface, as tasks.

    Args:
        make: gives a new environment (``pettingzoo.ParallelEnv``) of two agents that see and do alike: ``Discrete``
            or ``Box`` observations, ``Discrete`` actions.
        split: names the stream of tasks; the distribution is the same in each.
        discount: of the next step, in [0, 1).
        score_games: games that a pair of agents is scored by, per task.
        score_length: steps of each, at most.

    Raises:
        UsageError: an environment that is not for two agents alike, or spaces of another kind.
    """

    kind: ClassVar[str] = "games"

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        split: str = "train",
        discount: float = 0.96,
        score_games: int = 16,
        score_length: int = 50,
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, score_games=score_games, score_length=score_length)
        if not 0 <= discount < 1:
            raise UsageError(f"the discount must be in [0, 1), got {discount}.")
        self.make = make
        self.split = split
        self.discount = discount
        self.score_games = score_games
        self.score_length = score_length
        environment = make()
        self.agents: list[Any] = list(environment.possible_agents)
        if len(self.agents) != 2:
            raise UsageError(f"self-play takes an environment of two agents, this one has {self.agents}.")
        spaces = [(environment.observation_space(a), environment.action_space(a)) for a in self.agents]
        environment.close()
        sizes = [(_features(sees), _actions(does)) for sees, does in spaces]
        if sizes[0] != sizes[1]:
            raise UsageError(f"both agents must see and do alike, got (features, actions) {sizes[0]} and {sizes[1]}.")
        self.features, self.actions = sizes[0]
        self.first_action = int(getattr(spaces[0][1], "start", 0))

    @property
    def x_shape(self) -> tuple[int, ...]:
        """What an agent sees, ``(features,)``."""
        return (self.features,)

    @property
    def outputs(self) -> int:
        """Parameters of a policy: features times actions."""
        return self.features * self.actions

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"an environment for {' and '.join(map(str, self.agents))} {self.split}, discount {self.discount:g}"

    @pure
    def sample(self, tasks: int, seed: int) -> ParallelGameBatch:
        """Draw seeds of the environment; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        rng = generator(seed, "tasks", "parallel-games", self.split)
        seeds = torch.randint(2**31, (tasks,), generator=rng)
        return ParallelGameBatch(self, seeds, torch.rand(tasks, generator=rng))

    def play(
        self, environment: Any, seed: int, table: Any, draws: Any, seen: Any, done: Any, earned: Any, mask: Any
    ) -> None:
        """One game by the policies ``table [2, features, actions]``; fills what was seen, done and earned per step."""
        observations = environment.reset(seed=seed)[0]
        for t in range(len(draws)):
            if len(environment.agents) < 2:
                break
            mask[t] = 1
            moves: dict[Any, int] = {}
            for i, agent in enumerate(self.agents):
                seen[t, i] = self._see(observations[agent])
                scores = seen[t, i] @ table[i]
                p = np.exp(scores - scores.max())
                done[t, i] = min(int((p.cumsum() < draws[t, i] * p.sum()).sum()), self.actions - 1)
                moves[agent] = self.first_action + int(done[t, i])
            observations, rewards, *_ = environment.step(moves)
            earned[t] = [rewards[agent] for agent in self.agents]

    def _see(self, observation: Any) -> Any:
        value = np.asarray(observation)
        if value.ndim == 0 and np.issubdtype(value.dtype, np.integer):
            return np.eye(self.features)[int(value)]
        return np.append(value.ravel(), 1.0)


def _features(space: Any) -> int:
    if hasattr(space, "n") and getattr(space, "start", 0) == 0:
        return int(space.n)
    if type(space).__name__ == "Box":
        return int(np.prod(space.shape)) + 1
    raise UsageError(f"observations must be Box, or Discrete from 0, got {space}; wrap the environment.")


def _actions(space: Any) -> int:
    if type(space).__name__ != "Discrete":
        raise UsageError(f"actions must be Discrete, got {space}; wrap the environment.")
    return int(space.n)
