"""What an architecture search finds: the cell, and how much each operation weighs."""

from collections.abc import Sequence
from typing import Any

import torch

from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.picture import Picture
from quickstudy.learners.gradient.meta_nas import MetaNAS
from quickstudy.nets.backbones.genotype import Genotype, all_edges
from quickstudy.report.pictures import draw
from quickstudy.report.svg import CARD, INK, LETTERS, NARROW, RULE, SERIES, TEXT, canvas, picture, tinted

_COLORS: dict[str, str] = dict(zip(("conv3", "max3", "sep3", "sep5", "avg3", "skip"), SERIES, strict=True))
_STEP = 76
"""Points from one node of a drawn cell to the next."""
_RISE = 0.21
"""How high the middle of an arc is, by its span."""


@draw.register
def draw_search(learner: MetaNAS, batch: TaskBatch) -> Sequence[Picture]:
    """The found cell, and the operations' weights before adapting and after it for each task."""
    cell = learner.genotype
    caption = f"The cell that was found: {cell}. It is trained anew by: quickstudy train LEARNER --net cell --genotype "
    return [draw_cell(cell, name="cell", caption=f"{caption}{cell}"), _weights(learner, batch.support)]


def draw_cell(cell: Genotype, *, name: str, caption: str) -> Picture:
    """A cell as a graph: nodes from left to right, each edge with its operation, the output at the right."""
    n = len(cell.nodes)
    above, below = _RISE * n + 0.2, _RISE * n + 0.1
    with canvas(_STEP * (n + 1.8), _STEP * (above + below)) as figure:
        figure.set_layout_engine("none")
        axes: Any = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-0.4, n + 1.4), ylim=(-below, above))
        axes.axis("off")
        for node, edges in enumerate(cell.nodes, start=1):
            if node < n:
                _arrow(axes, node, n + 1, "", RULE)
            for operation, source in edges:
                _arrow(axes, source, node, operation, _COLORS[operation])
        _arrow(axes, n, n + 1, "", RULE)
        for at, label in enumerate(["input", *(f"h{node}" for node in range(1, n + 1)), "mean"]):
            axes.text(at, 0, label, ha="center", va="center", color=INK, zorder=3,
                      bbox={"boxstyle": "round,pad=0.3", "facecolor": CARD, "edgecolor": INK})  # fmt: skip
    return picture(figure, name=name, caption=caption)


def _arrow(axes: Any, source: int, target: int, label: str, color: str) -> None:
    """Straight between neighbours; else an arc, above for operations and below for what only goes to the output."""
    span = target - source
    bend = 0.0 if span == 1 else 2 * _RISE * (-1 if label else 1)
    axes.annotate(
        "", xy=(target, 0), xytext=(source, 0),
        arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.6, "shrinkA": 14, "shrinkB": 14,
                    "connectionstyle": f"arc3,rad={bend}"},
    )  # fmt: skip
    ground = {"boxstyle": "square,pad=0.1", "facecolor": CARD, "edgecolor": "none"}
    if label:
        height = 0.13 if span == 1 else _RISE * span
        axes.text((source + target) / 2, height, label, color=color, ha="center", va="center", bbox=ground)


def _weights(learner: MetaNAS, support: Examples) -> Picture:
    """One panel before adapting, one for each of up to three tasks after it; kept operations have a frame."""
    from matplotlib.patches import Rectangle

    support = support[:3]
    with torch.no_grad():
        *_, last = learner.mixed.params(support, steps=learner.inner_steps, order=1)
        panels = [learner.weights(), *last["theta"].softmax(-1)]
    cells = [learner.genotype, *learner.genotypes(support)]
    titles = ["before adapting", *(f"task {t + 1}" for t in range(len(support)))]
    edges = all_edges(learner.nodes)
    rows = (len(panels) + 1) // 2
    with canvas(NARROW, 76 + rows * (24 + 17 * len(edges))) as figure:
        grid: Any = figure.subplots(rows, 2, squeeze=False, sharex=True, sharey=True).flatten()
        for axes, weights, cell, title in zip(grid, panels, cells, titles, strict=False):
            tinted(axes, weights, SERIES[0], aspect="auto")
            axes.set_title(title)
            for node, kept in enumerate(cell.nodes, start=1):
                for operation, source in kept:
                    at = (learner.operations.index(operation) - 0.5, edges.index((node, source)) - 0.5)
                    axes.add_patch(Rectangle(at, 1, 1, fill=False, edgecolor=SERIES[1], linewidth=2, clip_on=False))
        for axes in grid[len(panels) :]:
            axes.axis("off")
        for axes in grid[-2:]:
            axes.set_xticks(range(len(learner.operations)), learner.operations, rotation=90)
        figure.supxlabel("full colour: a weight of 1", color=TEXT, fontsize=LETTERS)
        names = [f"{'input' if source == 0 else f'h{source}'} to h{node}" for node, source in edges]
        grid[0].set_yticks(range(len(edges)), names)
    same = sum(cell == cells[0] for cell in cells[1:])
    caption = (
        f"How much each operation weighs on each edge before adapting, and for test tasks after {learner.inner_steps} "
        f"steps; framed: what is kept. {same} of {len(support)} tasks keep the cell from before adapting."
    )
    return picture(figure, name="weights", caption=caption)
