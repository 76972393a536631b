"""What Gymnasium's spaces are to a policy: one of several actions, or some numbers. Needs the extra ``rl``.

Several choices at once (``MultiBinary``, ``MultiDiscrete``) are one choice among all their combinations.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.wrappers import FlattenObservation
from numpy.typing import NDArray

from quickstudy.core.errors import UsageError

MOST = 1024  # combinations


@dataclass(frozen=True)
class Actions:
    """The actions of one environment.

    Args:
        space: Gymnasium's.
        count: of actions to choose from, or of numbers in an action.
        discrete: whether an action is one of several.

    Raises:
        UsageError: a space that is neither.
    """

    space: Any
    count: int
    discrete: bool

    @staticmethod
    def of(space: Any) -> "Actions":
        if isinstance(space, spaces.Box):
            return Actions(space, math.prod(space.shape), False)
        if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise UsageError(
                f"actions must be a Box, Discrete, MultiDiscrete or MultiBinary, got {space}; wrap the environment in "
                f"a gymnasium.ActionWrapper that makes its actions of one of these."
            )
        count = math.prod(int(n) for n in _choices(space))
        if count > MOST:
            raise UsageError(
                f"{space} has {count} combinations of choices, and a policy chooses among {MOST} at most; wrap the "
                f"environment in a gymnasium.ActionWrapper that offers fewer, or a Box."
            )
        return Actions(space, count, True)

    def given(self, asked: NDArray[Any]) -> Sequence[Any]:
        """What the environments are given for a policy's actions, ``[n]`` or ``[n, numbers]``: members of the space."""
        space = self.space
        if not self.discrete:
            asked = asked.reshape(len(asked), *space.shape)
            if np.issubdtype(space.dtype, np.integer):
                asked = np.rint(asked)
            inside = asked.clip(space.low, space.high).astype(space.dtype)
            return [np.asarray(one) for one in inside]  # of a box without axes, too, members are arrays
        if isinstance(space, spaces.Discrete):
            return [*(asked + space.start)]
        chosen = np.stack(np.unravel_index(asked, _choices(space)), -1).reshape(len(asked), *space.shape)
        start = space.start if isinstance(space, spaces.MultiDiscrete) else 0
        return [*(chosen + start).astype(space.dtype)]


def _choices(space: Any) -> tuple[int, ...]:
    if isinstance(space, spaces.Discrete):
        return (int(space.n),)
    if isinstance(space, spaces.MultiBinary):
        return (2,) * math.prod(space.shape)
    return tuple(int(n) for n in space.nvec.flatten())


def with_vectors(env: gymnasium.Env[Any, Any]) -> gymnasium.Env[Any, Any]:
    """The environment with a vector of numbers as its observation: choices one-hot, parts of a whole in a row.

    Raises:
        UsageError: observations that are images, or no numbers of a fixed count.
    """
    space = env.observation_space
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return env
    if isinstance(space, spaces.Box) and len(space.shape) > 1 and space.dtype == np.uint8:
        raise UsageError(
            f"these policies see vectors of numbers, not images: {space}; wrap the environment in one that gives "
            f"features of them, or in gymnasium.wrappers.FlattenObservation."
        )
    if not space.is_np_flattenable:
        raise UsageError(f"observations must be numbers of a fixed count, got {space}; wrap the environment.")
    return FlattenObservation(env)
