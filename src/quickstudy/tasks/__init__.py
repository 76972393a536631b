"""What is to be learned: distributions of tasks.

A task distribution has ``sample(tasks, seed) -> batch``, a pure function of its arguments; it stores its constructor's
arguments as attributes of the same names, so that a run can write them down and build it again; and it says what a
model needs to know: ``x_shape`` (of one example), ``outputs`` and ``kind`` (``"classification"`` or ``"regression"``).
``describe()`` is its one line for people.

Any labelled data: ``episodes_from``, ``Episodes``, ``ImageFolder``. A data set: ``Omniglot``. Drawn on the fly:
``Glyphs``, ``Sinusoids`` and ``GaussianProcesses``.
"""

from quickstudy.core.batch import Batch, Examples, TaskBatch, TaskDistribution
from quickstudy.core.pad import pad, present
from quickstudy.tasks.environments.bandits import Bandits
from quickstudy.tasks.environments.base import EnvBatch, Environments
from quickstudy.tasks.environments.gym_tasks import GymTasks
from quickstudy.tasks.environments.half_cheetah import HalfCheetah
from quickstudy.tasks.environments.mdps import TabularMDPs
from quickstudy.tasks.environments.navigation import Navigation
from quickstudy.tasks.functions.associative_recall import AssociativeRecall
from quickstudy.tasks.functions.copy import Copy
from quickstudy.tasks.functions.gaussian_processes import GaussianProcesses
from quickstudy.tasks.functions.repeat_copy import RepeatCopy
from quickstudy.tasks.functions.sinusoids import Sinusoids
from quickstudy.tasks.functions.tabular_prior import TabularPrior
from quickstudy.tasks.games.iterated import GameBatch, IteratedGames
from quickstudy.tasks.games.parallel import ParallelGames
from quickstudy.tasks.images.episodes import Episodes, split_classes
from quickstudy.tasks.images.from_dataset import episodes_from
from quickstudy.tasks.images.glyphs import Glyphs
from quickstudy.tasks.images.image_folder import ImageFolder
from quickstudy.tasks.images.omniglot import Omniglot
from quickstudy.tasks.images.synthesized import Synthesized
from quickstudy.tasks.problems.batch import ProblemBatch
from quickstudy.tasks.problems.problems import Problems

__all__ = [
    "AssociativeRecall",
    "Bandits",
    "Batch",
    "Copy",
    "EnvBatch",
    "Environments",
    "Episodes",
    "Examples",
    "GameBatch",
    "GaussianProcesses",
    "Glyphs",
    "GymTasks",
    "HalfCheetah",
    "ImageFolder",
    "IteratedGames",
    "Navigation",
    "Omniglot",
    "ParallelGames",
    "ProblemBatch",
    "Problems",
    "RepeatCopy",
    "Sinusoids",
    "Synthesized",
    "TabularMDPs",
    "TabularPrior",
    "TaskBatch",
    "TaskDistribution",
    "episodes_from",
    "pad",
    "present",
    "split_classes",
]
