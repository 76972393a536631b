"""Meta-learners: one file per algorithm."""

from quickstudy.learners.base import AdaptsInSteps, LossLearner, MetaLearner, Metrics, Solver
from quickstudy.learners.maml import MAML
from quickstudy.learners.reptile import Reptile

__all__ = ["MAML", "AdaptsInSteps", "LossLearner", "MetaLearner", "Metrics", "Reptile", "Solver"]
