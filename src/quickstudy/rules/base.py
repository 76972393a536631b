"""The interface of an update rule: how parameters move, given gradients.

A rule is written as optax writes its transformations: a pure function from (parameters, gradients, state) to
(parameters, state). Everything has a leading task axis, and every operation is differentiable, so that a learner can
learn through the rule, and the rule itself can be learned (then its meta-parameters are the module's parameters).
"""

from abc import ABC, abstractmethod
from typing import Any

from torch import nn

from quickstudy.functional import Params


class UpdateRule(nn.Module, ABC):
    """Implement ``init`` and ``update`` to make a new rule."""

    @abstractmethod
    def init(self, params: Params) -> Any:
        """The state before the first step, for parameters ``{name: [tasks, ...]}``."""

    @abstractmethod
    def update(self, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
        """One step: new parameters and new state. Nothing that is passed in is changed."""


def key(name: str, part: str) -> str:
    """A key for what a rule holds of the parameter ``name``: ``nn.ParameterDict`` takes no dots.

    >>> key("head.weight", "rate")
    'head/weight/rate'
    """
    return f"{name.replace('.', '/')}/{part}"
