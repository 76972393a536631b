"""Gymnasium's side of ``GymTasks``: needs the extra ``rl``. Imported where it is used."""

import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import FlattenObservation, TimeLimit

from quickstudy.core.errors import UsageError
from quickstudy.tasks.environments._gym_spaces import with_vectors


class Switched(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose task can be changed."""

    def __init__(self, make: Callable[[float], Any], parameter: float) -> None:
        super().__init__(with_vectors(make(parameter)))
        self._make = make
        self._parameter = parameter

    def be(self, parameter: float) -> None:
        """Become the task of this parameter: by the environment's own ``set_task``, or by a new one."""
        if parameter != self._parameter:
            told = self._told()
            if told is not None:
                told(parameter)
            else:
                before = self.action_space, self.observation_space.shape
                self.env.close()
                self.env = with_vectors(self._make(parameter))
                now = self.action_space, self.observation_space.shape
                if now != before:
                    raise UsageError(
                        f"the environments of all tasks must have the same actions and as many numbers in an "
                        f"observation; make({parameter}) gives {now[0]} and {now[1]}, an earlier one {before[0]} and "
                        f"{before[1]}."
                    )
            self._parameter = parameter

    def _told(self) -> Callable[[float], None] | None:
        """The user's own ``set_task``, which a wrapper of ours may stand before."""
        env = self.env.env if isinstance(self.env, FlattenObservation) else self.env
        return getattr(env, "set_task", None)


def side_by_side(make: Callable[[float], Any], count: int, parameter: float, horizon: int) -> SyncVectorEnv:
    """``count`` environments with a horizon; an episode that ends is followed by the next within the same step."""
    makers = [lambda: TimeLimit(Switched(make, parameter), horizon)] * count
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def _say_nothing(text: str) -> None:
    pass


class Cheetah(gymnasium.Wrapper[Any, Any, Any, Any]):
    """HalfCheetah whose reward is for a direction, or for a velocity; both less 0.05 of the action's square."""

    def __init__(self, parameter: float, *, velocity: bool) -> None:
        # MuJoCo prints, for each environment, that Gymnasium's model file has an attribute of former days.
        mujoco: Any = importlib.import_module("mujoco")
        before = mujoco.get_mju_user_warning()
        mujoco.set_mju_user_warning(_say_nothing)
        try:
            super().__init__(gymnasium.make("HalfCheetah-v5").unwrapped)
        finally:
            mujoco.set_mju_user_warning(before)
        self._parameter = parameter
        self._velocity = velocity

    def set_task(self, parameter: float) -> None:
        self._parameter = parameter

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, _, terminated, truncated, info = self.env.step(action)
        speed = float(info["x_velocity"])
        gain = -abs(speed - self._parameter) if self._velocity else self._parameter * speed
        return observation, gain - 0.05 * float((action**2).sum()), terminated, truncated, info
