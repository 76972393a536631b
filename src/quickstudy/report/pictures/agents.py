"""What reinforcement learners do: paths before and after adapting, and learning within a trial."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from quickstudy.core.picture import Picture
from quickstudy.learners.agents.maml_rl import MAMLRL
from quickstudy.learners.agents.rl2 import RL2
from quickstudy.report.pictures import draw
from quickstudy.report.svg import INK, NARROW, SERIES, canvas, picture
from quickstudy.tasks.environments.base import Environments
from quickstudy.tasks.environments.navigation import NavigationBatch

TASKS = 3
PATHS = 5
TRIALS = 200  # of each task: a picture of what the learner does, not of luck


@draw.register
def draw_paths(learner: MAMLRL, batch: Environments) -> Sequence[Picture]:
    """Paths before and after the updates: a row for each task, a panel for each number of updates.

    Nothing where the tasks are no goals in a plane.
    """
    if not isinstance(batch, NavigationBatch):
        return []
    played = [episodes for _, episodes in learner.path(batch, max(1, learner.inner_steps))]
    tasks = min(TASKS, len(batch))
    with canvas(12 + (NARROW - 12) / 2 * len(played), 24 + 148 * tasks) as figure:
        panels = figure.subplots(tasks, len(played), squeeze=False, sharex=True, sharey=True)
        for task in range(tasks):
            for updates, episodes in enumerate(played):
                axes = panels[task, updates]
                shown = zip(episodes.observations[task, :PATHS], episodes.mask[task, :PATHS], SERIES, strict=False)
                for path, mask, color in shown:
                    x, y = path[mask > 0].cpu().T
                    axes.plot(x.tolist(), y.tolist(), color=color, linestyle="-", linewidth=1.0)
                axes.plot(*batch.goals[task].tolist(), marker="*", color=INK, markersize=11, linestyle="none")
                axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
                axes.grid(True, axis="both")
                when = ("before" if not updates else f"after {updates} update{'s' * (updates > 1)}") + "\n"
                axes.set_title(f"{'' if task else when}return {float(episodes.returns[task]):.1f}")
    caption = (
        f"Paths of {PATHS} episodes from the origin in {tasks} test tasks (rows), before adapting and after each "
        f"update; the star is the goal. Returns are means over all episodes."
    )
    return [picture(figure, name="paths", caption=caption)]


@draw.register
def draw_trials(learner: RL2, batch: Environments) -> Sequence[Picture]:
    """The reward of a trial's episodes, one after the other: whether they get better."""
    rewards = learner.play(batch, TRIALS).by_episode(learner.episodes)
    return [draw_learning(rewards.view(len(batch), TRIALS, -1))]


def draw_learning(rewards: Float[Tensor, "tasks trials episodes"]) -> Picture:
    """The mean reward of each episode of a trial, a curve for each task."""
    from matplotlib.ticker import MaxNLocator

    tasks, trials, episodes = rewards.shape
    with canvas(NARROW, 200) as figure:
        axes = figure.add_subplot()
        for number, curve in enumerate(rewards.mean(1).cpu(), 1):
            axes.plot(range(1, episodes + 1), curve.tolist(), marker="o", markersize=3, label=f"task {number}")
        axes.set(xlabel="episode of the trial", ylabel="reward of the episode")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(loc="outside upper left", ncols=3)
    caption = f"Learning within a trial: reward by episode in {tasks} test tasks, each the mean of {trials} trials."
    return picture(figure, name="learning", caption=caption)
