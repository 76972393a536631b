"""quickstudy: learning to learn, made practical."""

import importlib
from typing import TYPE_CHECKING, Any

from quickstudy import learners, nets, rules, tasks
from quickstudy.apply import pretrained
from quickstudy.apply.learned_optimizer import LearnedOptimizer
from quickstudy.core.errors import DataError, DivergedError, QuickstudyError, RunError, UsageError
from quickstudy.learners import (
    ANIL,
    ANP,
    BOIL,
    CAVIA,
    CNP,
    FOMAML,
    IMAML,
    MAML,
    MAMLRL,
    MANN,
    R2D2,
    RL2,
    SNAIL,
    AdamOptimizer,
    Hypernet,
    HyperOptimizer,
    InContext,
    LSTMMetaLearner,
    LSTMOptimizer,
    MAMLPlusPlus,
    MatchingNet,
    MetaAgent,
    MetaCurvature,
    MetaGAN,
    MetaLearner,
    MetaNAS,
    MetaSGD,
    MLPOptimizer,
    ProtoMAML,
    ProtoNet,
    RelationNet,
    Reptile,
    SelfPlay,
    SequenceLearner,
    SolverGAN,
    TaskGAN,
)
from quickstudy.recipes.presets import preset
from quickstudy.tasks import Examples, TaskBatch, TaskDistribution
from quickstudy.training.evaluation import Result, evaluate
from quickstudy.training.loop import train
from quickstudy.training.meters import Progress
from quickstudy.training.runs import Run
from quickstudy.version import __version__

if TYPE_CHECKING:
    from quickstudy.apply.few_shot_classifier import FewShotClassifier as FewShotClassifier
    from quickstudy.apply.tabular import TabularClassifier as TabularClassifier

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
    "DataError",
    "DivergedError",
    "Examples",
    "HyperOptimizer",
    "Hypernet",
    "InContext",
    "LSTMMetaLearner",
    "LSTMOptimizer",
    "LearnedOptimizer",
    "MAMLPlusPlus",
    "MLPOptimizer",
    "MatchingNet",
    "MetaAgent",
    "MetaCurvature",
    "MetaGAN",
    "MetaLearner",
    "MetaNAS",
    "MetaSGD",
    "Progress",
    "ProtoMAML",
    "ProtoNet",
    "QuickstudyError",
    "RelationNet",
    "Reptile",
    "Result",
    "Run",
    "RunError",
    "SelfPlay",
    "SequenceLearner",
    "SolverGAN",
    "TaskBatch",
    "TaskDistribution",
    "TaskGAN",
    "UsageError",
    "__version__",
    "evaluate",
    "learners",
    "nets",
    "preset",
    "pretrained",
    "rules",
    "tasks",
    "train",
]


def __getattr__(name: str) -> Any:
    """What needs scikit-learn, on demand: nothing else does."""
    modules = {"FewShotClassifier": "few_shot_classifier", "TabularClassifier": "tabular"}
    if name not in modules:
        raise AttributeError(f"module 'quickstudy' has no attribute {name!r}")
    try:
        return getattr(importlib.import_module(f"quickstudy.apply.{modules[name]}"), name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"{name} needs scikit-learn ({error}); install it with: pip install 'quickstudy[sklearn]'"
        ) from error
