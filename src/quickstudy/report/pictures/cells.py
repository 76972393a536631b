"""What an architecture search's report shows: the cell that was found, and how much each operation weighs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from quickstudy.core.batch import Examples
from quickstudy.core.picture import Picture, from_figure
from quickstudy.nets.backbones.genotype import Genotype, all_edges

if TYPE_CHECKING:
    from quickstudy.learners.gradient.meta_nas import MetaNAS

_COLOURS = {
    "skip": "#888888", "conv3": "#1f5fbf", "sep3": "#2a9d8f", "sep5": "#14746f", "max3": "#c05c1e", "avg3": "#d9a441",
}  # fmt: skip


def draw_search(learner: "MetaNAS", support: Examples) -> Sequence[Picture]:
    """The found cell, and the operations' weights before adapting and after it for each task."""
    cell = learner.genotype
    caption = f"The cell that was found: {cell}. It is trained anew by: quickstudy train LEARNER --net cell --genotype "
    return [draw_cell(cell, name="cell", caption=f"{caption}{cell}"), _weights(learner, support)]


def draw_cell(cell: Genotype, *, name: str, caption: str) -> Picture:
    """A cell as a graph: nodes from left to right, each edge with its operation, the output at the right."""
    from matplotlib.figure import Figure

    n = len(cell.nodes)
    figure = Figure(figsize=(2.2 * (n + 2), 3.4), layout="constrained")
    axes: Any = figure.add_subplot()
    axes.set(xlim=(-0.5, n + 1.6), ylim=(-1.15, 1.15))
    axes.axis("off")
    for node, edges in enumerate(cell.nodes, start=1):
        for operation, source in edges:
            _arrow(axes, source, node, operation, _COLOURS[operation])
        if node < n:
            _arrow(axes, node, n + 1, "", "#bbbbbb")
    _arrow(axes, n, n + 1, "", "#bbbbbb")
    labels = ["input", *(f"$h_{node}$" for node in range(1, n + 1)), "mean"]
    for at, label in enumerate(labels):
        axes.text(at, 0, label, ha="center", va="center", fontsize=11, zorder=3,
                  bbox={"boxstyle": "round,pad=0.45", "facecolor": "white", "edgecolor": "#222222"})  # fmt: skip
    return from_figure(figure, name=name, caption=caption)


def _arrow(axes: Any, source: int, target: int, label: str, colour: str) -> None:
    """Straight between neighbours; else an arc, above for operations and below for what only goes to the output."""
    span = target - source
    height = 0.0 if span == 1 else (0.32 * span if label else -0.32 * span)
    axes.annotate(
        "", xy=(target, 0), xytext=(source, 0),
        arrowprops={"arrowstyle": "-|>", "color": colour, "linewidth": 1.8, "shrinkA": 24, "shrinkB": 24,
                    "connectionstyle": f"arc3,rad={0.0 if span == 1 else (-0.42 if label else 0.42)}"},
    )  # fmt: skip
    axes.text((source + target) / 2, height + 0.09, label, color=colour, ha="center", va="bottom", fontsize=10)


def _weights(learner: "MetaNAS", support: Examples) -> Picture:
    """One panel before adapting, one for each of up to three tasks after it; kept operations have a frame."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    support = support[:3]
    with torch.no_grad():
        *_, last = learner.mixed.params(support, steps=learner.inner_steps, order=1)
        panels = [learner.weights(), *last["theta"].softmax(-1)]
    cells = [learner.genotype, *learner.genotypes(support)]
    titles = ["before adapting", *(f"task {t + 1}" for t in range(len(support)))]
    edges = all_edges(learner.nodes)
    figure = Figure(figsize=(2.0 + 2.3 * len(panels), 1.4 + 0.4 * len(edges)), layout="constrained")
    all_axes: Any = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    shown: Any = None
    for axes, weights, cell, title in zip(all_axes, panels, cells, titles, strict=True):
        shown = axes.imshow(weights.float().cpu().numpy(), cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(title, fontsize=9)
        axes.set_xticks(range(len(learner.operations)), learner.operations, rotation=60, fontsize=8)
        for node, kept in enumerate(cell.nodes, start=1):
            for operation, source in kept:
                at = (learner.operations.index(operation) - 0.5, edges.index((node, source)) - 0.5)
                axes.add_patch(Rectangle(at, 1, 1, fill=False, edgecolor="#c03020", linewidth=2))
    names = [f"{'input' if source == 0 else f'h{source}'} to h{node}" for node, source in edges]
    all_axes[0].set_yticks(range(len(edges)), names, fontsize=8)
    figure.colorbar(shown, ax=list(all_axes), label="weight")
    same = sum(cell == cells[0] for cell in cells[1:])
    caption = (
        f"How much each operation weighs on each edge before adapting, and for test tasks after {learner.inner_steps} "
        f"steps; framed: what is kept. {same} of {len(support)} tasks keep the cell from before adapting."
    )
    return from_figure(figure, name="weights", caption=caption)
