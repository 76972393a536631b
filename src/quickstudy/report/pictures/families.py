"""What a generator of solvers makes of a few points of a curve: the family of functions that it draws."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.picture import Picture, from_figure

if TYPE_CHECKING:
    from quickstudy.learners.generative.solver_gan import SolverGAN

POINTS = (1, 2, 5)


def draw_family(learner: "SolverGAN", batch: TaskBatch) -> Sequence[Picture]:
    """One row of panels for each of up to three tasks: the draws given 1, 2 and 5 points, and the points to come."""
    x, y = batch.support.x, batch.support.y
    if learner.loss == "cross_entropy" or x.shape[2:] != (1,) or y.shape[2:] != (1,):
        return []
    from matplotlib.figure import Figure

    batch = batch[:3]
    seen = [n for n in POINTS if n <= x.shape[1]]
    low, high = float(batch.query.x.min()), float(batch.query.x.max())
    grid = torch.linspace(low, high, 200, dtype=x.dtype, device=x.device)
    figure = Figure(figsize=(3.2 * len(seen), 2.4 * len(batch)), layout="constrained")
    panels: Any = figure.subplots(len(batch), len(seen), squeeze=False, sharex=True, sharey="row")
    mode = learner.training
    learner.eval()
    try:
        with torch.no_grad():
            for column, n in enumerate(seen):
                support = Examples(batch.support.x[:, :n], batch.support.y[:, :n])
                each = learner.adapt(support).each(grid.view(1, -1, 1).expand(len(batch), -1, -1))
                for axes, draws, points, values, asked, answers in zip(
                    panels[:, column], each, support.x, support.y, batch.query.x, batch.query.y, strict=True
                ):
                    axes.plot(grid.cpu(), draws.squeeze(-1).T.cpu(), color="#1f5fbf", alpha=0.35, linewidth=0.9)
                    axes.plot(asked.flatten().cpu(), answers.flatten().cpu(), "x", color="#888888", markersize=4)
                    axes.plot(points.flatten().cpu(), values.flatten().cpu(), "o", color="#222222", markersize=5)
                panels[0, column].set_title(f"{n} point{'s' if n > 1 else ''}", fontsize=9)
    finally:
        learner.train(mode)
    for axes in panels[-1]:
        axes.set_xlabel("x")
    steps = f" after {learner.inner_steps} gradient steps" if learner.inner_steps else ""
    caption = (
        f"The functions that {learner.draws} draws of noise give for the same support points (dots){steps}; crosses: "
        "query points, which were not seen. One row for each test task."
    )
    return [from_figure(figure, name="family", caption=caption)]
