"""What a neural Turing machine does over a sequence: where its heads read and write."""

from collections.abc import Sequence

import torch
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.picture import Picture
from quickstudy.learners.memory.ntm import NTMLearner
from quickstudy.nets.memory.ntm import NTM, NTMState
from quickstudy.report.pictures import draw
from quickstudy.report.svg import NARROW, SERIES, TEXT, canvas, picture, tinted


@draw.register
def draw_heads(learner: NTMLearner, batch: TaskBatch) -> Sequence[Picture]:
    """The first sequence, what was answered, and where the heads read and wrote meanwhile; of an LSTM nothing."""
    if not isinstance(learner.net, NTM):
        return []
    batch = batch[:1]
    heads, answer = _read(learner, learner.net, batch)
    read_steps, steps = batch.support.x.shape[1], heads.shape[1]
    truth, said = (torch.cat([y.new_zeros(read_steps, y.shape[-1]), y[0]]).T.cpu() for y in (batch.query.y, answer))
    names = [
        *(f"read head {i + 1}" for i in range(learner.reads)),
        *(f"write head {i + 1}" for i in range(learner.writes)),
    ]
    rows = [("input", torch.cat([batch.support.x, batch.query.x], 1)[0].T.cpu()), ("target", truth), ("answer", said)]
    half = learner.slots // 2  # the memory is a ring: slot 0, where the heads start, comes to the middle
    rolled = torch.roll(heads, half, -1)
    used = rolled.amax((0, 1)).gt(0.01).nonzero().flatten()
    first, last = max(int(used[0]) - 2, 0), min(int(used[-1]) + 3, learner.slots)
    rows += [(name, head[:, first:last].T) for name, head in zip(names, rolled, strict=True)]
    with canvas(max(NARROW, 60 + 8 * steps), 3 * 60 + 110 * len(names) + 20) as figure:
        panels = figure.subplots(len(rows), 1, sharex=True, height_ratios=[1] * 3 + [2] * len(names), squeeze=False)
        for axes, (name, values) in zip(panels[:, 0], rows, strict=True):
            low, high = (first - half, last - half) if "head" in name else (0, len(values))
            tinted(axes, values, SERIES[0], aspect="auto", extent=(-0.5, steps - 0.5, high - 0.5, low - 0.5))
            axes.axvline(read_steps - 0.5, color=TEXT, linewidth=0.8)
            axes.set_title(name, loc="left")
            axes.set_ylabel("slot" if "head" in name else "bit")
            if "head" not in name:
                axes.set_yticks([])
        panels[-1, 0].set_xlabel("step (line: reading ends, answering begins)")
    caption = (
        f"A test sequence of {read_steps} steps that are read and {steps - read_steps} that are answered, and where "
        f"the heads pointed at each step: full colour is a weight of 1, each column sums to 1. Heads start at slot "
        f"0; the memory is a ring of {learner.slots} slots, of which those in use are shown."
    )
    return [picture(figure, name="heads", caption=caption)]


def _read(learner: NTMLearner, net: NTM, batch: TaskBatch) -> tuple[Tensor, Tensor]:
    """The heads' weights ``[heads, steps, slots]`` over the sequence, and the probabilities of the answer."""
    weights: list[Tensor] = []
    with torch.no_grad():
        state: NTMState = net.start(1)
        for x in torch.cat([batch.support.x, batch.query.x], 1).unbind(1):
            _, state = net(x, state)
            weights.append(state.weights[0])
        answer = learner.adapt(batch.support)(batch.query.x).sigmoid()
    return torch.stack(weights, 1).cpu(), answer
