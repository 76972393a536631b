"""MuJoCo's HalfCheetah, whose task is a direction or a velocity.

Reference: Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017
(section 5.3).
"""

from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from quickstudy.core.checks import one_of
from quickstudy.core.purity import pure
from quickstudy.core.shown import shown
from quickstudy.tasks.environments.gym_tasks import GymBatch, GymTasks


class HalfCheetah:
    """MuJoCo's HalfCheetah, run in a direction or at a velocity that differs by task.

    The tasks are ``GymTasks`` of it; its reward is less 0.05 times the action's square.

    Args:
        split: names the stream of tasks; the distribution is the same in each.
        goal: ``direction``: forwards or backwards, the faster the better; ``velocity``: one from 0 to 2.
        horizon: steps of an episode.

    Raises:
        UsageError: gymnasium[mujoco] is not installed.
    """

    kind: ClassVar[str] = "environments"
    called: ClassVar[str] = "HalfCheetah"
    default_net: ClassVar[str] = "mlp"

    def __init__(self, *, split: str = "train", goal: str = "direction", horizon: int = 200) -> None:
        one_of(("direction", "velocity"), goal=goal)
        self.split = split
        self.goal = goal
        self.horizon = horizon
        self._tasks = GymTasks(partial(_cheetah, goal), partial(_goals, goal), split=split, horizon=horizon)

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of an observation: ``(17,)``."""
        return self._tasks.x_shape

    @property
    def outputs(self) -> int:
        """Numbers in an action: 6."""
        return self._tasks.outputs

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"HalfCheetah {self.split}, {self.goal} by task, {self.horizon} steps"

    @pure
    def sample(self, tasks: int, seed: int) -> GymBatch:
        """Draw ``tasks`` directions or velocities; a pure function of its arguments."""
        return self._tasks.sample(tasks, seed)


def _cheetah(goal: str, parameter: float) -> Any:
    from quickstudy.tasks.environments._gym_envs import Cheetah

    return Cheetah(parameter, velocity=goal == "velocity")


def _goals(goal: str, tasks: int, rng: torch.Generator) -> Tensor:
    if goal == "velocity":
        return 2 * torch.rand(tasks, generator=rng)
    return (torch.randint(0, 2, (tasks,), generator=rng) * 2 - 1).float()
