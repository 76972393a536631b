"""What is to be learned: distributions of tasks.

A task distribution has ``sample(tasks, seed) -> batch``, a pure function of its arguments; it stores its constructor's
arguments as attributes of the same names, so that a run can write them down and build it again; and it says what a
model needs to know: ``x_shape`` (of one example), ``outputs`` and ``kind`` (``"classification"`` or ``"regression"``).
``describe()`` is its one line for people.

Any labelled data: ``episodes_from``, ``Episodes``, ``ImageFolder``. A data set: ``Omniglot``. Drawn on the fly:
``Glyphs``, ``Sinusoids`` and ``GaussianProcesses``.
"""

from quickstudy.tasks.algorithmic import AssociativeRecall, Copy, RepeatCopy
from quickstudy.tasks.bandits import Bandits
from quickstudy.tasks.batch import Batch, Examples, TaskBatch, TaskDistribution
from quickstudy.tasks.environments import EnvBatch, Environments
from quickstudy.tasks.episodes import Episodes, split_classes
from quickstudy.tasks.from_dataset import episodes_from
from quickstudy.tasks.games import GameBatch, IteratedGames
from quickstudy.tasks.gaussian_processes import GaussianProcesses
from quickstudy.tasks.glyphs import Glyphs
from quickstudy.tasks.gym_tasks import GymTasks
from quickstudy.tasks.half_cheetah import HalfCheetah
from quickstudy.tasks.image_folder import ImageFolder
from quickstudy.tasks.mdps import TabularMDPs
from quickstudy.tasks.navigation import Navigation
from quickstudy.tasks.omniglot import Omniglot
from quickstudy.tasks.pad import pad, present
from quickstudy.tasks.parallel_games import ParallelGames
from quickstudy.tasks.problems import ProblemBatch, Problems
from quickstudy.tasks.sinusoids import Sinusoids
from quickstudy.tasks.synthesized import Synthesized
from quickstudy.tasks.tabular_prior import TabularPrior

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
