"""How a MANN does over a stream: accuracy by instance, and what its memory does meanwhile."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.picture import Picture
from quickstudy.learners.memory.instances import by_instance
from quickstudy.learners.memory.mann import MANN
from quickstudy.nets.memory.cells import State
from quickstudy.nets.memory.lrua import LRUAState
from quickstudy.nets.memory.ntm import NTMState
from quickstudy.report.pictures import draw
from quickstudy.report.svg import NARROW, SERIES, canvas, picture, tinted


@draw.register
def draw_stream(learner: MANN, batch: TaskBatch) -> Sequence[Picture]:
    """Accuracy by instance, and what the memory of the first task did while it was read."""
    return [accuracies(learner, batch), memory_over_time(learner, batch)]


def accuracies(learner: MANN, batch: TaskBatch) -> Picture:
    """Accuracy by instance, mean over the tasks."""
    from matplotlib.ticker import MaxNLocator

    means = by_instance(learner, batch).nanmean(0).cpu()
    with canvas(NARROW, 180) as figure:
        axes = figure.add_subplot()
        axes.plot(range(1, len(means) + 1), (100 * means).tolist(), marker="o", markersize=4)
        axes.set(xlabel="instance of a class in the stream", ylabel="accuracy [%]", ylim=(0, 102))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    caption = f"Accuracy when a class is seen the 1st, 2nd, ... time, on {len(batch)} test tasks."
    return picture(figure, name="by-instance", caption=caption)


def memory_over_time(learner: MANN, batch: TaskBatch) -> Picture:
    """What the first task's memory was asked for, and how it was used, step by step."""
    views = [_views(state) for state in states(learner, batch[:1])]
    names = list(views[0])
    with canvas(NARROW, 160 * len(names) + 20) as figure:
        panels = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
        for axes, name in zip(panels, names, strict=True):
            shown = torch.stack([view[name] for view in views], 1).cpu()
            most = max(float(shown.abs().max()), 1e-12)
            tinted(axes, shown / most, SERIES[0], aspect="auto")
            signed = bool((shown < 0).any())
            if signed:
                tinted(axes, -shown / most, SERIES[1], aspect="auto")
            title = f"{name}, " + (f"{-most:.2g} (orange) to {most:.2g}" if signed else f"0 to {most:.2g}")
            axes.set(ylabel="unit" if name == "hidden state" else "slot", title=title)
        panels[-1].set_xlabel("step of the stream")
    caption = f"{', '.join(names).capitalize()} while the stream of one test task is read."
    return picture(figure, name="memory", caption=caption)


def states(learner: MANN, batch: TaskBatch) -> list[State]:
    """The memory's state after each step of the streams."""
    cell, found = learner.cell, []
    with torch.no_grad():
        steps, _, _ = learner.stream_steps(batch)
        state = cell.start(len(steps))
        for step in steps.unbind(1):
            _, state = cell(step, state)
            found.append(state)
    return found


def _views(state: State) -> Mapping[str, Float[Tensor, " slots"]]:
    if isinstance(state, LRUAState):
        return {"read weights": state.read_weights[0].sum(0), "usage": state.usage[0]}
    if isinstance(state, NTMState):
        return {"weights of all heads": state.weights[0].sum(0), "size of what is stored": state.memory[0].norm(dim=-1)}
    return {"hidden state": state[0][0]}
