"""A trained learner of images as the page has it: how it sees drawings and photos, and what it makes of a few."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from quickstudy.apply import pretrained
from quickstudy.apply.one_task import OneTask
from quickstudy.core.batch import Examples, TaskBatch
from quickstudy.core.batchnorm import together
from quickstudy.core.errors import QuickstudyError, RunError, UsageError
from quickstudy.core.files import read_json
from quickstudy.core.learner import MetaLearner
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.tasks.images.drawings import Stroke, rasterized
from quickstudy.tasks.images.tracing import traced
from quickstudy.training.runs import Run
from quickstudy.web.doubt import Doubt, chosen

SHIPPED = "characters"
DOUBT = Path(__file__).with_name("doubt.json")
"""Of the learner that ships, written by ``benchmarks/none_of_these.py``."""
WAYS, QUERY, TASKS = (2, 4, 8), 2, 6
"""What a run's doubt is chosen on; of fewer classes where there are not so many."""
LARGER = 112  # pixels a side at which small images are traced


class Learned:
    """What a learner has learned of a few examples.

    Args:
        pupil: the learner.
        x: the examples ``[n, ...]``, as it sees them.
        labels: of the examples.
    """

    def __init__(self, pupil: "Pupil", x: Float[Tensor, "n ..."], labels: Sequence[int]) -> None:
        self.pupil = pupil
        self.classes = max(labels) + 1
        self.task = OneTask(pupil.learner, x, torch.tensor(labels), where="this page")
        self.task.adapt()

    def shares(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n more"]:
        """Of each class, and last of none of them; they sum to one."""
        return self.shares_of(self.task(x).double())

    def shares_of(self, logits: Float[Tensor, "n outputs"]) -> Float[Tensor, "n more"]:
        """The shares that logits say."""
        logits = logits[:, : self.classes]
        if self.pupil.doubt is None:
            return torch.cat([logits.softmax(1), torch.zeros_like(logits[:, :1])], 1)
        return self.pupil.doubt.shares(logits)


@dataclass(frozen=True)
class Pupil:
    """A learner that is taught.

    Args:
        learner: in evaluation mode; what it answers does not depend on what else is asked.
        shape: of an image as it sees it.
        doubt: when none of the classes is meant (None: it cannot tell).
        line: what it has learned on, for people.
        tasks: whose ``read_image`` prepares photos (None: it knows drawings alone).
        ink: whether it is one of drawings.
    """

    learner: MetaLearner
    shape: tuple[int, ...]
    doubt: Doubt | None
    line: str
    tasks: Any = None
    ink: bool = True

    def drawn(self, drawings: Sequence[Sequence[Stroke]], *, pad: float) -> Float[Tensor, "n 1 size size"]:
        """Drawings by strokes on a pad of this side, as the learner sees them."""
        return torch.stack([rasterized(strokes, self.shape[-1], pad=pad) for strokes in drawings])

    def photos(self, images: Sequence[Image.Image]) -> Float[Tensor, "n channels size size"]:
        """Photos as the learner sees them."""
        return torch.stack([self.tasks.read_image(image) for image in images])

    def learned(self, x: Float[Tensor, "n ..."], labels: Sequence[int]) -> Learned:
        """What it makes of a few examples.

        Raises:
            UsageError: more classes than its head has outputs.
        """
        return Learned(self, x, labels)


def shipped(*, doubted: bool = True) -> Pupil:
    """The character learner that comes with the package.

    Args:
        doubted: with the doubt that was chosen for these very weights, which there must be.

    Raises:
        UsageError: it is not there.
    """
    if SHIPPED not in pretrained.names():
        raise UsageError("this quickstudy comes without a learner of characters; teach one of your own: --run RUN.")
    learner = pretrained.load(SHIPPED)
    doubt = None
    if doubted:
        told = read_json(DOUBT)
        if told["sha256"] != pretrained.about(SHIPPED)["sha256"]:
            raise RunError(f"{DOUBT.name} is of other weights: run benchmarks/none_of_these.py --write.")
        doubt = Doubt(told["ways"], told["thresholds"], told["scales"])
    net: Any = next(module for module in learner.modules() if hasattr(module, "x_shape"))
    return Pupil(learner, net.x_shape, doubt, "964 other characters")


def of_run(path: str | Path, checkpoint: int | None = None) -> Pupil:
    """The learner of a run, with a doubt that is chosen on its validation classes, where there are enough of them.

    Raises:
        RunError: no run there.
        UsageError: a run on anything but images, or of a learner whose answers depend on what else is asked.
        DataError: its data are not at hand.
    """
    run = Run.open(path)
    tasks = run.tasks(split="val")
    if not hasattr(tasks, "read_image"):
        raise UsageError(f"{path} was trained on {tasks.describe()}, not on images; the page teaches those alone.")
    learner = _one_by_one(run, checkpoint)
    ink = bool(getattr(tasks, "ink", False))
    doubt = None
    for count in range(len(WAYS), 0, -1):
        ways = WAYS[:count]
        try:
            few = run.tasks(split="val", way=2 * ways[-1], shot=1, query=QUERY).sample(TASKS, 0)
            doubt = chosen(learner, as_seen(few) if ink else few, ways)
            break
        except QuickstudyError:  # fewer classes, images or outputs than that
            continue
    return Pupil(learner, tasks.x_shape, doubt, _trained_on(run), tasks, ink)


def _one_by_one(run: Run, checkpoint: int | None) -> MetaLearner:
    learner = run.learner(checkpoint)
    if not isinstance(learner, SupportQueryLearner) or learner.loss == "mse":
        raise UsageError(f"{run.path} trained {type(learner).__name__}, which does not classify images.")
    if not together(learner.bn_mode):
        return learner
    weights = learner.state_dict()
    learner = run.built("learner", weights=weights, bn="support")
    learner.load_state_dict(weights)
    return learner.eval()


def as_seen(batch: TaskBatch) -> TaskBatch:
    """Tasks of drawings, each drawn again as those of the page are."""
    return TaskBatch(_again(batch.support), _again(batch.query))


def _again(examples: Examples) -> Examples:
    flat = examples.x.flatten(0, 1)
    drawn = [rasterized(traced(_grey(x)), x.shape[-1]) for x in flat]
    return Examples(torch.stack(drawn).view_as(examples.x), examples.y)


def _grey(ink: Float[Tensor, "1 size size"]) -> Image.Image:
    image = Image.fromarray(((1 - ink[0]) * 255).byte().numpy())
    return image.resize((LARGER, LARGER), Image.Resampling.BICUBIC) if image.width < LARGER else image


def _trained_on(run: Run) -> str:
    tasks = run.tasks(split="train")
    count = getattr(tasks, "n_classes", None)
    what = "characters" if getattr(tasks, "ink", False) else "classes of images"
    return f"{count:,} other {what}" if count else f"endless other {what}"
