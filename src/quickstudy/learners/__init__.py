"""Meta-learners: one file per algorithm."""

from quickstudy.core.learner import MetaGradient, MetaLearner, Metrics, Scalars, Solver
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.learners.agents.lola import SelfPlay
from quickstudy.learners.agents.maml_rl import MAMLRL
from quickstudy.learners.agents.meta_agent import MetaAgent
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.learners.generative.hypernet import Hypernet
from quickstudy.learners.generative.metagan import MetaGAN
from quickstudy.learners.generative.solver_gan import SolverGAN
from quickstudy.learners.generative.task_gan import TaskGAN
from quickstudy.learners.gradient.anil import ANIL
from quickstudy.learners.gradient.boil import BOIL
from quickstudy.learners.gradient.cavia import CAVIA
from quickstudy.learners.gradient.fomaml import FOMAML
from quickstudy.learners.gradient.imaml import IMAML
from quickstudy.learners.gradient.inner import GradientLearner, InnerLoop
from quickstudy.learners.gradient.lstm_meta import LSTMMetaLearner
from quickstudy.learners.gradient.maml import MAML
from quickstudy.learners.gradient.mamlpp import MAMLPlusPlus
from quickstudy.learners.gradient.meta_curvature import MetaCurvature
from quickstudy.learners.gradient.meta_nas import MetaNAS
from quickstudy.learners.gradient.meta_sgd import MetaSGD
from quickstudy.learners.gradient.protomaml import ProtoMAML
from quickstudy.learners.gradient.reptile import Reptile
from quickstudy.learners.in_context.anp import ANP
from quickstudy.learners.in_context.cnp import CNP
from quickstudy.learners.in_context.incontext import InContext
from quickstudy.learners.in_context.snail import SNAIL
from quickstudy.learners.memory.instances import by_instance
from quickstudy.learners.memory.mann import MANN
from quickstudy.learners.memory.ntm import SequenceLearner
from quickstudy.learners.metric.base import MetricLearner
from quickstudy.learners.metric.matching import MatchingNet
from quickstudy.learners.metric.protonet import ProtoNet
from quickstudy.learners.metric.r2d2 import R2D2
from quickstudy.learners.metric.relation import RelationNet
from quickstudy.learners.optimizers.optimizer import OptimizerLearner
from quickstudy.learners.optimizers.optimizers import AdamOptimizer, HyperOptimizer, LSTMOptimizer, MLPOptimizer

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
    "GradientLearner",
    "HyperOptimizer",
    "Hypernet",
    "InContext",
    "InnerLoop",
    "LSTMMetaLearner",
    "LSTMOptimizer",
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
    "SupportQueryLearner",
    "TaskGAN",
    "by_instance",
]
