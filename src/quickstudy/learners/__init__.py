"""Meta-learners: one file per algorithm."""

from quickstudy.learners.base import AdaptsInSteps, LossLearner, MetaGradient, MetaLearner, Metrics, Scalars, Solver
from quickstudy.learners.maml import MAML
from quickstudy.learners.reptile import Reptile

__all__ = [
    "MAML",
    "AdaptsInSteps",
    "LossLearner",
    "MetaGradient",
    "MetaLearner",
    "Metrics",
    "Reptile",
    "Scalars",
    "Solver",
]
