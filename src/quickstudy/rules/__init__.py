"""Update rules: pure, differentiable functions from (parameters, gradients, state) to (parameters, state)."""

from quickstudy.rules.adam import Adam, AdamState
from quickstudy.rules.base import UpdateRule
from quickstudy.rules.sgd import SGD

__all__ = ["SGD", "Adam", "AdamState", "UpdateRule"]
