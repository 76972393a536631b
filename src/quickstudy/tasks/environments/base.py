"""Environments as tasks: thousands of them step at once, as tensors whose first axis is the task.

A batch of environments is a pure function, as Gymnasium's interface is not: ``reset`` gives a state, ``step`` takes one
and gives the next, and nothing is changed. Its random numbers are functions of the task's seed, the seed of ``reset``
and the number of the step, so a batch does what its tasks would do one by one, whenever and wherever they run.

    state, observation = batch.reset(episodes=20, seed=0)
    state, observation, reward, done = batch.step(state, action)

Every task has ``episodes`` episodes side by side. An episode that is over stays so, its rewards zero; with
``reset(..., repeat=True)`` another begins in its place, and the observation is the new one's first (a trial).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar, final, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.core.seeding import GOLDEN, fold, scrambled

S = TypeVar("S", bound="Environments")
E = TypeVar("E", bound="EnvBatch")
Luck: TypeAlias = Callable[..., Tensor]
"""``luck(*shape)``: this step's independent draws from U(0, 1), ``[tasks, *shape]``."""


@dataclass(frozen=True)
class EnvState:
    """Where every episode is.

    Args:
        now: what the environment is in.
        time: steps since the episode began.
        over: whether the episode has ended.
        seed: of ``reset``.
        steps: since ``reset``: the counter of the random numbers.
        repeat: whether a new episode follows one that ended.
    """

    now: Shaped[Tensor, "tasks episodes ..."]
    time: Int[Tensor, "tasks episodes"]
    over: Bool[Tensor, "tasks episodes"]
    seed: int
    steps: int
    repeat: bool


class Step(NamedTuple):
    """What a step gives."""

    state: Any
    observation: Float[Tensor, "tasks episodes o"]
    reward: Float[Tensor, "tasks episodes"]
    done: Bool[Tensor, "tasks episodes"]


@runtime_checkable
class Environments(Protocol):
    """What learners ask of a batch of environments."""

    @property
    def observations(self) -> int:
        """Numbers in an observation."""
        ...

    @property
    def actions(self) -> int:
        """Actions to choose from; numbers in an action, where they are not ``discrete``."""
        ...

    @property
    def discrete(self) -> bool:
        """Whether an action is one of several, int64 ``[tasks, episodes]``; else ``[tasks, episodes, actions]``."""
        ...

    @property
    def horizon(self) -> int:
        """Steps after which an episode ends, whatever happens."""
        ...

    @property
    def seeds(self) -> Tensor:
        """A number of each task's own, int64 ``[tasks]``: where its random numbers come from."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self: S, tasks: slice) -> S: ...
    def to(self: S, device: torch.device | str) -> S: ...

    def reset(self, episodes: int, seed: int, *, repeat: bool = False) -> tuple[Any, Tensor]:
        """A state in which every episode begins, and what is observed in it."""
        ...

    def step(self, state: Any, action: Tensor) -> Step:
        """The next state, what is observed in it, the reward, and whether the episode ended with it."""
        ...


@dataclass(frozen=True)
class EnvBatch(ABC):
    """Environments whose dynamics are a function of tensors. Every tensor of a subclass has the task axis first.

    Args:
        seeds: of each task's random numbers.
        horizon: steps of an episode.
    """

    seeds: Int[Tensor, " tasks"]
    horizon: int

    @property
    @abstractmethod
    def observations(self) -> int:
        """Numbers in an observation."""

    @property
    @abstractmethod
    def actions(self) -> int:
        """Actions to choose from; numbers in an action, where they are not ``discrete``."""

    @property
    @abstractmethod
    def discrete(self) -> bool:
        """Whether an action is one of several."""

    @abstractmethod
    def first(self, episodes: int, luck: Luck) -> Shaped[Tensor, "tasks episodes ..."]:
        """What every episode begins in."""

    @abstractmethod
    def observe(self, now: Shaped[Tensor, "tasks episodes ..."]) -> Float[Tensor, "tasks episodes o"]:
        """What is seen of it."""

    @abstractmethod
    def move(
        self, now: Shaped[Tensor, "tasks episodes ..."], action: Shaped[Tensor, "tasks episodes ..."], luck: Luck
    ) -> tuple[Tensor, Float[Tensor, "tasks episodes"], Bool[Tensor, "tasks episodes"] | None]:
        """What comes next, the reward, and whether the episode ends with it (None: at its horizon only)."""

    @final
    def __len__(self) -> int:
        return len(self.seeds)

    @final
    def __getitem__(self: E, tasks: slice) -> E:
        return self._each(lambda t: t[tasks])

    @final
    def to(self: E, device: torch.device | str) -> E:
        return self._each(lambda t: t.to(device))

    @final
    def reset(self, episodes: int, seed: int, *, repeat: bool = False) -> tuple[EnvState, Tensor]:
        """Begin ``episodes`` episodes of every task.

        Raises:
            UsageError: fewer than one episode.
        """
        if episodes < 1:
            raise UsageError(f"reset needs episodes >= 1, got {episodes}.")
        now = self.first(episodes, self._luck(seed, 0, "first"))
        time = torch.zeros(len(self), episodes, dtype=torch.int64, device=self.seeds.device)
        state = EnvState(now, time, time.bool(), seed, 0, repeat)
        return state, self.observe(now)

    @final
    def step(self, state: EnvState, action: Shaped[Tensor, "tasks episodes ..."]) -> Step:
        """One step of every episode."""
        count = state.steps + 1
        now, reward, ends = self.move(state.now, action, self._luck(state.seed, count, "move"))
        time = state.time + 1
        done = time >= self.horizon if ends is None else ends | (time >= self.horizon)
        over = state.over
        if state.repeat:
            again = self.first(time.shape[1], self._luck(state.seed, count, "first"))
            now = torch.where(done.view(*done.shape, *(1 for _ in now.shape[2:])), again, now)
            time = time.masked_fill(done, 0)
        else:
            reward = reward.masked_fill(over, 0.0)
            done = over = over | done
        return Step(EnvState(now, time, over, state.seed, count, state.repeat), self.observe(now), reward, done)

    def _luck(self, seed: int, step: int, what: str) -> Luck:
        return lambda *shape: uniforms(self.seeds, shape, seed, step, what)

    def _each(self: E, change: Callable[[Tensor], Tensor]) -> E:
        tensors = {f.name: value for f in fields(self) if isinstance(value := getattr(self, f.name), Tensor)}
        return replace(self, **{name: change(t) for name, t in tensors.items()})


def uniforms(seeds: Int[Tensor, " tasks"], shape: tuple[int, ...], *counters: int | str) -> Float[Tensor, "tasks ..."]:
    """Draws from U(0, 1), ``[tasks, *shape]``: a function of each task's seed, the counters and the place alone.

    >>> one, both = uniforms(torch.tensor([7]), (3,), 0, "move"), uniforms(torch.tensor([5, 7]), (3,), 0, "move")
    >>> torch.equal(one[0], both[1])
    True
    """
    place = torch.arange(1, 1 + torch.Size(shape).numel(), device=seeds.device)
    z = scrambled(scrambled(seeds ^ fold(0, *counters))[:, None] + place * GOLDEN)
    return (((z >> 41) & 0x7FFFFF).float() + 0.5).mul_(2.0**-23).view(len(seeds), *shape)


def seeds_of(tasks: int, seed: int, *counters: int | str) -> Int[Tensor, " tasks"]:
    """A seed for each of a batch's tasks."""
    return torch.tensor([fold(seed, *counters, t) for t in range(tasks)])
