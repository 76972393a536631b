"""What is to be learned: distributions of tasks.

A task distribution has ``sample(tasks, seed) -> batch``, a pure function of its arguments; it stores its constructor's
arguments as attributes of the same names, so that a run can write them down and build it again; and it says what a
model needs to know: ``x_shape`` (of one example), ``outputs`` and ``kind`` (``"classification"`` or ``"regression"``).
``describe()`` is its one line for people.

Any labelled data: ``episodes_from``, ``Episodes``, ``ImageFolder``. A data set: ``Omniglot``. Drawn on the fly:
``Glyphs``, ``Sinusoids`` and ``GaussianProcesses``.
"""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="tasks",
    more={
        "quickstudy.core.batch": ["Batch", "Examples", "TaskBatch", "TaskDistribution"],
        "quickstudy.core.pad": ["pad", "present"],
        "quickstudy.tasks.environments.base": ["EnvBatch", "Environments"],
        "quickstudy.tasks.environments.gym_tasks": ["GymTasks"],
        "quickstudy.tasks.games.iterated": ["GameBatch"],
        "quickstudy.tasks.games.parallel": ["ParallelGames"],
        "quickstudy.tasks.images.episodes": ["Episodes"],
        "quickstudy.tasks.images.from_dataset": ["episodes_from"],
        "quickstudy.tasks.images.splits": ["split_classes"],
        "quickstudy.tasks.problems.batch": ["ProblemBatch"],
    },
)
