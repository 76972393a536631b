"""What the reports of reinforcement learners show: paths before and after adapting, and learning within a trial."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from quickstudy.core.picture import Picture, from_figure
from quickstudy.learners.agents.episodes import Episodes
from quickstudy.tasks.environments.base import Environments
from quickstudy.tasks.environments.navigation import NavigationBatch

TASKS = 3
PATHS = 5


def draw_paths(played: Sequence[Episodes], batch: Environments) -> list[Picture]:
    """A row for each task, a panel for each number of updates; nothing where the tasks are no goals in a plane."""
    if not isinstance(batch, NavigationBatch):
        return []
    from matplotlib.figure import Figure

    tasks = min(TASKS, len(batch))
    figure = Figure(figsize=(2.6 * len(played), 2.6 * tasks), layout="constrained")
    panels = figure.subplots(tasks, len(played), squeeze=False, sharex=True, sharey=True)
    for task in range(tasks):
        for updates, episodes in enumerate(played):
            axes = panels[task, updates]
            for path, alive in zip(episodes.observations[task, :PATHS], episodes.alive[task, :PATHS], strict=True):
                x, y = path[alive > 0].cpu().T
                axes.plot(x.tolist(), y.tolist(), linewidth=0.8)
            goal = batch.goals[task].tolist()
            axes.plot(*goal, marker="*", color="black", markersize=12)
            axes.set(xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
            axes.set_title(f"return {float(episodes.returns[task]):.1f}", fontsize=9)
            if task == 0:
                when = "before" if not updates else f"after {updates} update{'s' if updates > 1 else ''}"
                axes.set_title(f"{when}\nreturn {float(episodes.returns[task]):.1f}", fontsize=9)
    caption = (
        f"Paths of {PATHS} episodes from the origin in {tasks} test tasks (rows), before adapting and after each "
        f"update; the star is the goal. Returns are means over all episodes."
    )
    return [from_figure(figure, name="paths", caption=caption)]


def draw_learning(rewards: Float[Tensor, "tasks trials episodes"]) -> Picture:
    """The mean reward of each episode of a trial, a curve for each task."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    tasks, trials, episodes = rewards.shape
    for number, curve in enumerate(rewards.mean(1).cpu(), 1):
        axes.plot(range(1, episodes + 1), curve.tolist(), marker="o", markersize=3, label=f"task {number}")
    axes.set(xlabel="episode of the trial", ylabel="reward of the episode")
    axes.legend(frameon=False)
    caption = f"Learning within a trial: reward by episode in {tasks} test tasks, each the mean of {trials} trials."
    return from_figure(figure, name="learning", caption=caption)
