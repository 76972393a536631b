"""Update rules: pure, differentiable functions from (parameters, gradients, state) to (parameters, state)."""

from quickstudy.core.rule import MovesOne, UpdateRule, UsesLosses
from quickstudy.rules.adam import Adam, AdamState
from quickstudy.rules.adamw import AdamW
from quickstudy.rules.coordinate_lstm import CoordinateLSTM
from quickstudy.rules.curvature import Curvature
from quickstudy.rules.feature_mlp import FeatureMLP
from quickstudy.rules.first_and_later import FirstAndLater
from quickstudy.rules.hyper_mlp import HyperMLP
from quickstudy.rules.learned_adam import LearnedAdam
from quickstudy.rules.lstm_gates import LSTMGates
from quickstudy.rules.per_parameter import PerParameter
from quickstudy.rules.per_step import PerStep
from quickstudy.rules.proximal_sgd import ProximalSGD
from quickstudy.rules.sgd import SGD
from quickstudy.rules.two_rates import TwoRates

__all__ = [
    "SGD",
    "Adam",
    "AdamState",
    "AdamW",
    "CoordinateLSTM",
    "Curvature",
    "FeatureMLP",
    "FirstAndLater",
    "HyperMLP",
    "LSTMGates",
    "LearnedAdam",
    "MovesOne",
    "PerParameter",
    "PerStep",
    "ProximalSGD",
    "TwoRates",
    "UpdateRule",
    "UsesLosses",
]
