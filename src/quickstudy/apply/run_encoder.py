"""The network of a learner that was trained with quickstudy, as an encoder."""

import copy
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from quickstudy.apply._look import Look
from quickstudy.core import taken
from quickstudy.core.errors import UsageError
from quickstudy.core.functional import TaskModel
from quickstudy.core.learner import MetaLearner
from quickstudy.encoders.encoder import Encoder
from quickstudy.tasks.images.pixels import as_float
from quickstudy.training.runs import Run

TASKS = 16
"""Of the run's training tasks, whose support sets say what BatchNorm normalises by."""


class RunEncoder(Encoder):
    """A learner trained with quickstudy that compares embeddings (protonet, say), by its run.

    Images are prepared as those of the run's tasks. Where the learner normalised by the images of a task (BatchNorm's
    modes ``transductive`` and ``support``), which one image alone does not have, the encoder normalises by those of
    some training tasks together.

    Args:
        run: a run folder.
        step: of the checkpoint (None: the best).

    Raises:
        UsageError: the run's learner embeds nothing, or its tasks are no images.
        RunError: no run, or a damaged one.
        DataError: the run's data are not at hand.
    """

    named_by = "run"

    def __init__(self, run: str | Path, *, step: int | None = None) -> None:
        self.run = run
        self.step = step
        opened = Run.open(Path(run).expanduser())
        learner, tasks = opened.learner(step), opened.tasks()
        model = getattr(learner, "model", None) if learner.embeds else None
        if not isinstance(model, nn.Module):
            raise UsageError(
                f"{run} holds a {type(learner).__name__}, whose network answers one task's question and gives no "
                f"features; take a run of a learner that compares embeddings, such as protonet, matching or r2d2."
            )
        if not hasattr(tasks, "read_image"):
            raise UsageError(f"{run} was trained on {tasks.describe()}, not on images.")
        self._look = look = Look.of(tasks)
        net = _Net(_normalising(model, learner, tasks.sample(TASKS, 0).support.x), look.channels)
        self._frozen(net, (look.size, look.size), prepared={"ink": look.ink, "channels": look.channels})

    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        return as_float(self._look.pixels(image)).expand(3, -1, -1)


class _Net(nn.Module):
    """Of three equal channels a network for grey images takes one."""

    def __init__(self, model: nn.Module, channels: int) -> None:
        super().__init__()
        self.model = model
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x[:, : self.channels]).flatten(1)


def _normalising(model: nn.Module, learner: MetaLearner, x: Float[Tensor, "tasks n ..."]) -> nn.Module:
    own = copy.deepcopy(model).eval()
    if learner.bn_mode in ("transductive", "support"):
        net = TaskModel(own, "support", adapts=False)
        with torch.no_grad():
            found = net.statistics(net.start(1), x.flatten(0, 1)[None])
        statistics = None if found is None else [(mean[0], var[0]) for mean, var in found]
        taken.set_statistics(own, statistics, net.known.norms, "support")
    return own
