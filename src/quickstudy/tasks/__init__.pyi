# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

from quickstudy.apply.synthesized import Synthesized as Synthesized
from quickstudy.core.batch import Batch as Batch
from quickstudy.core.batch import Examples as Examples
from quickstudy.core.batch import TaskBatch as TaskBatch
from quickstudy.core.batch import TaskDistribution as TaskDistribution
from quickstudy.core.pad import pad as pad
from quickstudy.core.pad import present as present
from quickstudy.tasks.environments.bandits import Bandits as Bandits
from quickstudy.tasks.environments.base import EnvBatch as EnvBatch
from quickstudy.tasks.environments.base import Environments as Environments
from quickstudy.tasks.environments.gym_tasks import GymTasks as GymTasks
from quickstudy.tasks.environments.half_cheetah import HalfCheetah as HalfCheetah
from quickstudy.tasks.environments.mdps import TabularMDPs as TabularMDPs
from quickstudy.tasks.environments.navigation import Navigation as Navigation
from quickstudy.tasks.functions.associative_recall import AssociativeRecall as AssociativeRecall
from quickstudy.tasks.functions.copy import Copy as Copy
from quickstudy.tasks.functions.gaussian_processes import GaussianProcesses as GaussianProcesses
from quickstudy.tasks.functions.repeat_copy import RepeatCopy as RepeatCopy
from quickstudy.tasks.functions.sinusoids import Sinusoids as Sinusoids
from quickstudy.tasks.functions.tabular_prior import TabularPrior as TabularPrior
from quickstudy.tasks.games.iterated import GameBatch as GameBatch
from quickstudy.tasks.games.iterated import IteratedGames as IteratedGames
from quickstudy.tasks.games.parallel import ParallelGames as ParallelGames
from quickstudy.tasks.images.episodes import Episodes as Episodes
from quickstudy.tasks.images.from_dataset import episodes_from as episodes_from
from quickstudy.tasks.images.glyphs import Glyphs as Glyphs
from quickstudy.tasks.images.image_folder import ImageFolder as ImageFolder
from quickstudy.tasks.images.omniglot import Omniglot as Omniglot
from quickstudy.tasks.images.splits import split_classes as split_classes
from quickstudy.tasks.problems.batch import ProblemBatch as ProblemBatch
from quickstudy.tasks.problems.problems import Problems as Problems
