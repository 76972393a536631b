"""Update rules: pure, differentiable functions from (parameters, gradients, state) to (parameters, state)."""

from quickstudy.rules.adam import Adam, AdamState
from quickstudy.rules.base import UpdateRule
from quickstudy.rules.curvature import Curvature
from quickstudy.rules.per_parameter import PerParameter
from quickstudy.rules.per_step import PerStep
from quickstudy.rules.sgd import SGD

__all__ = ["SGD", "Adam", "AdamState", "Curvature", "PerParameter", "PerStep", "UpdateRule"]
