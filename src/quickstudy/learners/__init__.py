"""Meta-learners: one file per algorithm."""

from quickstudy.learners.anil import ANIL
from quickstudy.learners.anp import ANP
from quickstudy.learners.base import AdaptsInSteps, LossLearner, MetaGradient, MetaLearner, Metrics, Scalars, Solver
from quickstudy.learners.boil import BOIL
from quickstudy.learners.cavia import CAVIA
from quickstudy.learners.cnp import CNP
from quickstudy.learners.fomaml import FOMAML
from quickstudy.learners.hypernet import Hypernet
from quickstudy.learners.imaml import IMAML
from quickstudy.learners.incontext import InContext
from quickstudy.learners.inner import GradientLearner, InnerLoop
from quickstudy.learners.instances import by_instance
from quickstudy.learners.lola import SelfPlay
from quickstudy.learners.lstm_meta import LSTMMetaLearner
from quickstudy.learners.maml import MAML
from quickstudy.learners.maml_rl import MAMLRL
from quickstudy.learners.mamlpp import MAMLPlusPlus
from quickstudy.learners.mann import MANN
from quickstudy.learners.matching import MatchingNet
from quickstudy.learners.meta_agent import MetaAgent
from quickstudy.learners.meta_curvature import MetaCurvature
from quickstudy.learners.meta_nas import MetaNAS
from quickstudy.learners.meta_sgd import MetaSGD
from quickstudy.learners.metagan import MetaGAN
from quickstudy.learners.metric import MetricLearner
from quickstudy.learners.ntm import SequenceLearner
from quickstudy.learners.optimizer import OptimizerLearner
from quickstudy.learners.optimizers import AdamOptimizer, HyperOptimizer, LSTMOptimizer, MLPOptimizer
from quickstudy.learners.protomaml import ProtoMAML
from quickstudy.learners.protonet import ProtoNet
from quickstudy.learners.r2d2 import R2D2
from quickstudy.learners.relation import RelationNet
from quickstudy.learners.reptile import Reptile
from quickstudy.learners.rl2 import RL2
from quickstudy.learners.snail import SNAIL
from quickstudy.learners.solver_gan import SolverGAN
from quickstudy.learners.task_gan import TaskGAN

__all__ = [
    "ANIL",
    "ANP",
    "BOIL",
    "CAVIA",
    "CNP",
    "FOMAML",
    "IMAML",
    "MAML",
    "MAMLRL",
    "MANN",
    "R2D2",
    "RL2",
    "SNAIL",
    "AdamOptimizer",
    "AdaptsInSteps",
    "GradientLearner",
    "HyperOptimizer",
    "Hypernet",
    "InContext",
    "InnerLoop",
    "LSTMMetaLearner",
    "LSTMOptimizer",
    "LossLearner",
    "MAMLPlusPlus",
    "MLPOptimizer",
    "MatchingNet",
    "MetaAgent",
    "MetaCurvature",
    "MetaGAN",
    "MetaGradient",
    "MetaLearner",
    "MetaNAS",
    "MetaSGD",
    "MetricLearner",
    "Metrics",
    "OptimizerLearner",
    "ProtoMAML",
    "ProtoNet",
    "RelationNet",
    "Reptile",
    "Scalars",
    "SelfPlay",
    "SequenceLearner",
    "Solver",
    "SolverGAN",
    "TaskGAN",
    "by_instance",
]
