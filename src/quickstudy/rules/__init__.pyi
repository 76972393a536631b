# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

from quickstudy.core.rule import MovesOne as MovesOne
from quickstudy.core.rule import UpdateRule as UpdateRule
from quickstudy.core.rule import UsesLosses as UsesLosses
from quickstudy.rules.adam import Adam as Adam
from quickstudy.rules.adam import AdamState as AdamState
from quickstudy.rules.adamw import AdamW as AdamW
from quickstudy.rules.coordinate_lstm import CoordinateLSTM as CoordinateLSTM
from quickstudy.rules.curvature import Curvature as Curvature
from quickstudy.rules.feature_mlp import FeatureMLP as FeatureMLP
from quickstudy.rules.first_and_later import FirstAndLater as FirstAndLater
from quickstudy.rules.hyper_mlp import HyperMLP as HyperMLP
from quickstudy.rules.learned_adam import LearnedAdam as LearnedAdam
from quickstudy.rules.lstm_gates import LSTMGates as LSTMGates
from quickstudy.rules.per_parameter import PerParameter as PerParameter
from quickstudy.rules.per_step import PerStep as PerStep
from quickstudy.rules.proximal_sgd import ProximalSGD as ProximalSGD
from quickstudy.rules.sgd import SGD as SGD
from quickstudy.rules.two_rates import TwoRates as TwoRates
