"""quickstudy: learning to learn, made practical."""

from quickstudy import learners, nets, rules, tasks
from quickstudy.errors import DataError, DivergedError, QuickstudyError, RunError, UsageError
from quickstudy.evaluation import Result, evaluate
from quickstudy.learners import MAML, MetaLearner, Reptile
from quickstudy.meters import Progress
from quickstudy.runs import Run
from quickstudy.tasks import Examples, TaskBatch, TaskDistribution
from quickstudy.training import train
from quickstudy.version import __version__

__all__ = [
    "MAML",
    "DataError",
    "DivergedError",
    "Examples",
    "MetaLearner",
    "Progress",
    "QuickstudyError",
    "Reptile",
    "Result",
    "Run",
    "RunError",
    "TaskBatch",
    "TaskDistribution",
    "UsageError",
    "__version__",
    "evaluate",
    "learners",
    "nets",
    "rules",
    "tasks",
    "train",
]
