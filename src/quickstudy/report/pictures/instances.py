"""How a MANN does over a stream: accuracy by instance, and pictures of that and of its memory."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.picture import Picture, from_figure
from quickstudy.learners.memory import streams
from quickstudy.learners.memory.mann import MANN
from quickstudy.nets.memory.cells import State
from quickstudy.nets.memory.lrua import LRUAState
from quickstudy.nets.memory.ntm import NTMState


def by_instance(learner: MANN, batch: TaskBatch) -> Float[Tensor, "tasks instances"]:
    """How often a class was told right when it was seen the 1st, 2nd, ... time in its task's stream, mean over classes.

    An instance that no class of a task has is nan.
    """
    with torch.no_grad():
        log_p, y = learner.read_stream(batch)
    right, seen = (log_p.argmax(-1) == y).double(), streams.presentations(y, learner.out_features)
    at = seen.unsqueeze(-1) == torch.arange(int(seen.max()) + 1, device=y.device)
    return (right.unsqueeze(-1) * at).sum(1) / at.sum(1)


def pictures(learner: MANN, batch: TaskBatch) -> list[Picture]:
    """Both pictures of a batch of tasks."""
    return [accuracies(learner, batch), memory_over_time(learner, batch)]


def accuracies(learner: MANN, batch: TaskBatch) -> Picture:
    """Accuracy by instance, mean over the tasks."""
    from matplotlib.figure import Figure

    means = by_instance(learner, batch).nanmean(0).cpu()
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(range(1, len(means) + 1), (100 * means).tolist(), marker="o")
    axes.set_xlabel("instance of a class in the stream")
    axes.set_ylabel("accuracy [%]")
    axes.set_ylim(0, 102)
    caption = f"Accuracy when a class is seen the 1st, 2nd, ... time, on {len(batch)} test tasks."
    return from_figure(figure, name="by-instance", caption=caption)


def memory_over_time(learner: MANN, batch: TaskBatch) -> Picture:
    """What the first task's memory was asked for, and how it was used, step by step."""
    from matplotlib.figure import Figure

    views = [_views(state) for state in states(learner, batch[:1])]
    names = list(views[0])
    figure = Figure(figsize=(9, 2.2 * len(names) + 0.4), layout="constrained")
    for i, name in enumerate(names):
        axes = figure.add_subplot(len(names), 1, i + 1)
        picture = torch.stack([view[name] for view in views], 1).cpu()
        image = axes.imshow(picture.tolist(), aspect="auto", interpolation="nearest", cmap="viridis")
        figure.colorbar(image, ax=axes)
        axes.set_ylabel("unit" if name == "hidden state" else "slot")
        axes.set_title(name, fontsize=10)
    figure.axes[-2].set_xlabel("step of the stream")
    caption = f"{', '.join(names).capitalize()} while the stream of one test task is read."
    return from_figure(figure, name="memory", caption=caption)


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
