"""What a generator of solvers makes of a few points of a curve: the family of functions that it draws."""

from collections.abc import Sequence
from typing import Any

import torch

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.picture import Picture
from quickstudy.core.stateless import in_evaluation
from quickstudy.learners.generative.solver_gan import SolverGAN
from quickstudy.report.pictures import draw
from quickstudy.report.svg import INK, NARROW, SERIES, canvas, picture

POINTS = (1, 2, 5)


@draw.register
def draw_family(learner: SolverGAN, batch: TaskBatch) -> Sequence[Picture]:
    """One row of panels for each of up to three tasks: the draws given 1, 2 and 5 points, and the points to come.

    Of other tasks than curves there is no picture.
    """
    x, y = batch.support.x, batch.support.y
    if learner.loss == "cross_entropy" or x.shape[2:] != (1,) or y.shape[2:] != (1,):
        return []
    batch = batch[:3]
    seen = [n for n in POINTS if n <= x.shape[1]]
    low, high = float(batch.query.x.min()), float(batch.query.x.max())
    grid = torch.linspace(low, high, 200, dtype=x.dtype, device=x.device)
    learner = in_evaluation(learner)
    with torch.no_grad(), canvas(NARROW, 30 + 100 * len(batch)) as figure:
        panels: Any = figure.subplots(len(batch), len(seen), squeeze=False, sharex=True, sharey="row")
        for column, n in enumerate(seen):
            support = Examples(batch.support.x[:, :n], batch.support.y[:, :n])
            each = learner.adapt(support).each(grid.view(1, -1, 1).expand(len(batch), -1, -1))
            for axes, draws, points, values, asked, answers in zip(
                panels[:, column], each, support.x, support.y, batch.query.x, batch.query.y, strict=True
            ):
                lines = draws.squeeze(-1).T.cpu()
                axes.plot(grid.cpu(), lines, color=SERIES[0], linestyle="-", alpha=0.4, linewidth=0.9)
                crosses = {"linestyle": "none", "marker": "x", "markersize": 4, "color": SERIES[1]}
                axes.plot(asked.flatten().cpu(), answers.flatten().cpu(), **crosses)
                dots = {"linestyle": "none", "marker": "o", "markersize": 5, "color": INK}
                axes.plot(points.flatten().cpu(), values.flatten().cpu(), **dots)
            panels[0, column].set_title(f"{n} point{'s' if n > 1 else ''}")
        for axes in panels[-1]:
            axes.set_xlabel("x")
    steps = f" after {learner.inner_steps} gradient steps" if learner.inner_steps else ""
    caption = (
        f"The functions that {learner.draws} draws of noise give for the same support points (dots){steps}; crosses: "
        "query points, which were not seen. One row for each test task."
    )
    return [picture(figure, name="family", caption=caption)]
