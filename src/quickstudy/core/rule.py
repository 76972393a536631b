"""The interface of an update rule: how parameters move, given gradients.

A rule is written as optax writes its transformations: a pure function from (parameters, gradients, state) to
(parameters, state). Everything has a leading task axis, and every operation is differentiable, so that a learner can
learn through the rule, and the rule itself can be learned (then its meta-parameters are the module's parameters).
"""

from abc import ABC, abstractmethod
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.functional import Params
from quickstudy.core.options import checks_options


class UpdateRule(nn.Module, ABC):
    """Implement ``init`` and ``update`` to make a new rule."""

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if "__init__" in vars(cls):
            cls.__init__ = checks_options(cls.__init__)

    @abstractmethod
    def init(self, params: Params) -> Any:
        """The state before the first step, for parameters ``{name: [tasks, ...]}``."""

    @abstractmethod
    def update(self, params: Params, grads: Params, state: Any) -> tuple[Params, Any]:
        """One step: new parameters and new state. Nothing that is passed in is changed."""


@runtime_checkable
class UsesLosses(Protocol):
    """A rule that looks at the losses, too: ``unroll`` puts them in its state before each ``update``."""

    def with_losses(self, state: Any, losses: Float[Tensor, " tasks"]) -> Any:
        """The state, told the losses at the parameters that the coming ``update`` moves."""
        ...


@runtime_checkable
class MovesOne(Protocol):
    """A rule whose ``update`` there is for a single tensor too, in a form that a compiler makes fast."""

    def move_one(self, p: Tensor, g: Tensor, state: dict[str, list[Tensor]]) -> tuple[Tensor, dict[str, list[Tensor]]]:
        """What is added to one tensor of one task, and its new state.

        p and g are ``[c]``, or ``[rows, columns]`` of a tensor with more axes. ``state``: each part of it as a list of
        what lies along the part's axes but the last, in the shape of p where there are as many numbers. What comes back
        may be of any shape with as many.
        """
        ...


def key(name: str, part: str) -> str:
    """A key for what a rule holds of the parameter ``name``: ``nn.ParameterDict`` takes no dots.

    >>> key("head.weight", "rate")
    'head/weight/rate'
    """
    return f"{name.replace('.', '/')}/{part}"
