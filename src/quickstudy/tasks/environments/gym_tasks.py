"""Any Gymnasium environment as tasks: a factory, and a number drawn for each task.

``make(parameter) -> gymnasium.Env`` builds the environment of a task. They step one after the other in this process, so
this is far slower than environments written as tensors (``quickstudy.tasks.EnvBatch``), behind the same interface. An
environment that has ``set_task(parameter)`` is kept and told its next task; others are built anew.

Actions: one of several (``Discrete``), one combination of several choices (``MultiDiscrete``, ``MultiBinary``, up to
1024 combinations), or numbers (``Box`` of any shape), clipped to the box and, where it is of integers, rounded.
Observations: vectors; choices become one-hot and the parts of a ``Dict`` or ``Tuple`` stand in a row.

A Gymnasium environment changes as it steps: unlike elsewhere, a state can be stepped from once only, and another
``reset`` of the same number of episodes ends what was going on.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from quickstudy.core.checks import SPLITS, at_least, one_of
from quickstudy.core.errors import UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import fold, generator
from quickstudy.core.shown import shown, shown_batch
from quickstudy.tasks.environments.base import Step, seeds_of

Draw = Callable[[int, torch.Generator], Tensor]
"""``draw(tasks, rng) -> parameters [tasks]``."""


@dataclass(frozen=True)
class GymState:
    """Where Gymnasium's environments are; good for one step.

    Args:
        ticket: who reset them, and how often they have stepped since.
        over: whether each episode has ended.
        repeat: whether a new episode follows one that ended.
    """

    ticket: tuple[object, int]
    over: Bool[Tensor, "tasks episodes"]
    repeat: bool


class _Pool:
    """The environments of one distribution, kept from batch to batch."""

    def __init__(self, make: Callable[[float], Any], horizon: int) -> None:
        try:
            from quickstudy.tasks.environments._gym_envs import side_by_side
            from quickstudy.tasks.environments._gym_spaces import Actions
        except ModuleNotFoundError as error:
            raise UsageError(
                f"Gymnasium's environments need the extra rl ({error}): pip install 'quickstudy[rl]'."
            ) from error
        self._build = partial(side_by_side, make, horizon=horizon)
        self._kept: dict[int, Any] = {}
        self.tickets: dict[int, tuple[object, int]] = {}
        spaces = self.of([0.0])
        self.observations = int(spaces.single_observation_space.shape[0])
        self.own_actions = Actions.of(spaces.single_action_space)
        self.discrete = self.own_actions.discrete
        self.actions = self.own_actions.count

    def of(self, parameters: list[float]) -> Any:
        """Environments of these tasks."""
        count = len(parameters)
        if count not in self._kept:
            self._kept[count] = self._build(count, parameters[0])
        for env, parameter in zip(self._kept[count].envs, parameters, strict=True):
            env.get_wrapper_attr("be")(parameter)
        return self._kept[count]


@dataclass(frozen=True)
class GymBatch:
    """A batch of Gymnasium environments.

    Args:
        seeds: of each task's random numbers.
        parameters: what each task's environment is built with.
        horizon: steps of an episode.
        pool: where the environments are.
    """

    seeds: Int[Tensor, " tasks"]
    parameters: Float[Tensor, " tasks"]
    horizon: int
    pool: Any

    __repr__ = shown_batch

    @property
    def observations(self) -> int:
        return self.pool.observations

    @property
    def actions(self) -> int:
        return self.pool.actions

    @property
    def discrete(self) -> bool:
        return self.pool.discrete

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, tasks: slice) -> "GymBatch":
        return replace(self, seeds=self.seeds[tasks], parameters=self.parameters[tasks])

    def to(self, device: torch.device | str) -> "GymBatch":
        return replace(self, seeds=self.seeds.to(device), parameters=self.parameters.to(device))

    def reset(self, episodes: int, seed: int, *, repeat: bool = False) -> tuple[GymState, Tensor]:
        """Begin ``episodes`` episodes of every task."""
        at_least(1, episodes=episodes)
        envs = self.pool.of([p for p in self.parameters.tolist() for _ in range(episodes)])
        seeds = [fold(own, seed, e) % 2**31 for own in self.seeds.tolist() for e in range(episodes)]
        seen, _ = envs.reset(seed=seeds)
        ticket = (object(), 0)
        self.pool.tickets[len(seeds)] = ticket
        over = torch.zeros(len(self), episodes, dtype=torch.bool, device=self.seeds.device)
        return GymState(ticket, over, repeat), self._tensor(seen, over)

    def step(self, state: GymState, action: Shaped[Tensor, "tasks episodes ..."]) -> Step:
        """One step of every episode, one after the other.

        Raises:
            UsageError: the state was stepped from already.
        """
        count = state.over.numel()
        if self.pool.tickets.get(count) != state.ticket:
            raise UsageError(
                "Gymnasium's environments have moved on from this state; step from the last one, or reset."
            )
        self.pool.tickets[count] = ticket = (state.ticket[0], state.ticket[1] + 1)
        asked = self.pool.own_actions.given(action.flatten(0, 1).cpu().numpy())
        seen, reward, terminated, truncated, _ = self.pool.of(
            [p for p in self.parameters.tolist() for _ in range(state.over.shape[1])]
        ).step(asked)
        done = torch.from_numpy(terminated | truncated).to(self.seeds.device).view_as(state.over)
        gain = self._tensor(reward, state.over)
        over = state.over
        if not state.repeat:
            gain = gain.masked_fill(over, 0.0)
            done = over = over | done
        return Step(GymState(ticket, over, state.repeat), self._tensor(seen, state.over), gain, done)

    def _tensor(self, values: Any, like: Tensor) -> Tensor:
        found = torch.as_tensor(values, dtype=torch.float32).to(like.device)
        return found.view(*like.shape, *found.shape[1:])


class GymTasks:
    """Any Gymnasium environment with a number drawn for each task; the user's own, in Python.

    Args:
        make: builds a task's environment from its number.
        draw: gives the numbers of some tasks, by a generator.
        split: names the stream of tasks; the distribution is the same in each.
        horizon: steps of an episode.

    Raises:
        UsageError: Gymnasium is not installed, or a space that is neither of what is said above.
    """

    kind: ClassVar[str] = "environments"
    default_net: ClassVar[str] = "mlp"

    def __init__(self, make: Callable[[float], Any], draw: Draw, *, split: str = "train", horizon: int = 200) -> None:
        one_of(SPLITS, split=split)
        at_least(1, horizon=horizon)
        self.make = make
        self.draw = draw
        self.split = split
        self.horizon = horizon
        self._pool = _Pool(make, horizon)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of an observation."""
        return (self._pool.observations,)

    @property
    def outputs(self) -> int:
        """Actions to choose from, or numbers in an action."""
        return self._pool.actions

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"Gymnasium environments {self.split}, {self.horizon} steps"

    @pure
    def sample(self, tasks: int, seed: int) -> GymBatch:
        """Draw ``tasks`` environments; a pure function of its arguments."""
        at_least(1, tasks=tasks)
        parameters = self.draw(tasks, generator(seed, "tasks", "gym", self.split)).float()
        return GymBatch(seeds_of(tasks, seed, "luck", "gym", self.split), parameters, self.horizon, self._pool)
