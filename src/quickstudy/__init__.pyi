# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

import functools
from quickstudy.apply.embedding_classifier import EmbeddingClassifier as EmbeddingClassifier
from quickstudy.apply.few_shot_classifier import FewShotClassifier as FewShotClassifier
from quickstudy.apply.image_classifier import ImageClassifier as ImageClassifier
from quickstudy.apply.learned_optimizer import LearnedOptimizer as LearnedOptimizer
from quickstudy.apply import pretrained as pretrained
from quickstudy.apply.tables.checking import check_table as check_table
from quickstudy.apply.tables.csv_file import read_table as read_table
from quickstudy.apply.tables.encoder import TableEncoder as TableEncoder
from quickstudy.apply.tabular import TabularClassifier as TabularClassifier
from quickstudy.core.batch import Examples as Examples
from quickstudy.core.batch import SharesDraws as SharesDraws
from quickstudy.core.batch import TaskBatch as TaskBatch
from quickstudy.core.batch import TaskDistribution as TaskDistribution
from quickstudy.core.errors import DataError as DataError
from quickstudy.core.errors import DivergedError as DivergedError
from quickstudy.core.errors import QuickstudyError as QuickstudyError
from quickstudy.core.errors import RunError as RunError
from quickstudy.core.errors import UsageError as UsageError
from quickstudy.core.learner import MetaLearner as MetaLearner
from quickstudy import encoders as encoders
from quickstudy.encoders.encoder import encoder as encoder
from quickstudy import learners as learners
from quickstudy.learners.agents.lola import LOLA as LOLA
from quickstudy.learners.agents.maml_rl import MAMLRL as MAMLRL
from quickstudy.learners.agents.meta_agent import MetaAgent as MetaAgent
from quickstudy.learners.agents.rl2 import RL2 as RL2
from quickstudy.learners.generative.hypernet import Hypernet as Hypernet
from quickstudy.learners.generative.metagan import MetaGAN as MetaGAN
from quickstudy.learners.generative.solver_gan import SolverGAN as SolverGAN
from quickstudy.learners.generative.task_gan import TaskGAN as TaskGAN
from quickstudy.learners.gradient.anil import ANIL as ANIL
from quickstudy.learners.gradient.boil import BOIL as BOIL
from quickstudy.learners.gradient.cavia import CAVIA as CAVIA
from quickstudy.learners.gradient.fomaml import FOMAML as FOMAML
from quickstudy.learners.gradient.imaml import IMAML as IMAML
from quickstudy.learners.gradient.lstm_meta import LSTMMetaLearner as LSTMMetaLearner
from quickstudy.learners.gradient.maml import MAML as MAML
from quickstudy.learners.gradient.mamlpp import MAMLPlusPlus as MAMLPlusPlus
from quickstudy.learners.gradient.meta_curvature import MetaCurvature as MetaCurvature
from quickstudy.learners.gradient.meta_nas import MetaNAS as MetaNAS
from quickstudy.learners.gradient.meta_sgd import MetaSGD as MetaSGD
from quickstudy.learners.gradient.protomaml import ProtoMAML as ProtoMAML
from quickstudy.learners.gradient.reptile import Reptile as Reptile
from quickstudy.learners.in_context.anp import ANP as ANP
from quickstudy.learners.in_context.cnp import CNP as CNP
from quickstudy.learners.in_context.incontext import InContext as InContext
from quickstudy.learners.in_context.snail import SNAIL as SNAIL
from quickstudy.learners.memory.mann import MANN as MANN
from quickstudy.learners.memory.ntm import NTMLearner as NTMLearner
from quickstudy.learners.metric.matching import MatchingNet as MatchingNet
from quickstudy.learners.metric.protonet import ProtoNet as ProtoNet
from quickstudy.learners.metric.r2d2 import R2D2 as R2D2
from quickstudy.learners.metric.relation import RelationNet as RelationNet
from quickstudy.learners.optimizers.optimizer import OptimizerLearner as _OptimizerLearner
from quickstudy.learners.optimizers.optimizer import OptimizerLearner as OptimizerLearner
from quickstudy import nets as nets
from quickstudy.recipes.presets import preset as preset
from quickstudy import registry as registry
from quickstudy.report.citation import citation as citation
from quickstudy import rules as rules
from quickstudy import tasks as tasks
from quickstudy.training.evaluation import evaluate as evaluate
from quickstudy.training.loop import train as train
from quickstudy.training.meters import Progress as Progress
from quickstudy.training.results import Result as Result
from quickstudy.training.runs import Run as Run
from quickstudy.version import __version__ as __version__

AdamOptimizer: functools.partial[_OptimizerLearner]
HyperOptimizer: functools.partial[_OptimizerLearner]
LSTMOptimizer: functools.partial[_OptimizerLearner]
MLPOptimizer: functools.partial[_OptimizerLearner]
