"""What a generator of classes draws: classes beside real ones, and the way from one class to another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.picture import Picture
from quickstudy.core.seeding import generator
from quickstudy.learners.generative.task_gan import TaskGAN
from quickstudy.report.pictures import draw
from quickstudy.report.svg import INK, NARROW, canvas, picture, tinted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS, COLUMNS = 10, 8
LINE = 0.6  # how dark the lines between drawings are


@draw.register
def draw_classes(learner: TaskGAN, batch: TaskBatch) -> Sequence[Picture]:
    """Drawings of generated classes beside real ones, and the way from one class to another."""
    return [class_sheet(learner, batch), class_walk(learner)]


def class_sheet(learner: TaskGAN, batch: TaskBatch) -> Picture:
    """Made classes and the classes of a few test tasks, a row each."""
    real = learner.sets(batch).flatten(0, 1).flatten(1, 2)[:ROWS, :COLUMNS]
    u = codes(learner, ROWS, learner.class_code, "sheet, classes").to(real)
    z = codes(learner, ROWS * COLUMNS, learner.drawing_code, "sheet, drawings").to(real)
    with torch.no_grad():
        made = learner.images(u, z.view(ROWS, COLUMNS, -1))
    with canvas(NARROW, 188) as figure:
        panels = figure.subplots(1, 2, width_ratios=[made.shape[1], real.shape[1]])
        for axes, rows, title in zip(panels, (made, real), ("made", "real, not seen"), strict=True):
            _show(axes, rows, title)
    caption = "Drawings of made classes (left) and of classes of test tasks (right): a row is a class."
    return picture(figure, name="classes", caption=caption)


def class_walk(learner: TaskGAN) -> Picture:
    """From one class's code to another's on an arc, the drawing's code held."""
    device = next(learner.parameters())
    start, end = codes(learner, 2 * 6, learner.class_code, "walk").to(device).view(2, 6, 1, -1)
    angle = torch.linspace(0, torch.pi / 2, COLUMNS).to(device).view(1, -1, 1)
    u = start * angle.cos() + end * angle.sin()
    z = codes(learner, 6, learner.drawing_code, "walk, drawings").to(device).view(6, 1, 1, -1)
    with torch.no_grad():
        made = learner.images(u, z.expand(-1, COLUMNS, -1, -1)).squeeze(2)
    with canvas(NARROW, 220) as figure:
        _show(figure.add_subplot(), made, "from one class to another")
    caption = "Between two class codes (left and right end of a row), one drawing of each class on the way."
    return picture(figure, name="between-classes", caption=caption)


def codes(learner: TaskGAN, count: int, size: int, what: str) -> Tensor:
    """The same few for every picture."""
    return torch.randn(count, size, generator=generator(0, type(learner).__name__, what))


def sheet(rows: Float[Tensor, "n k c h w"]) -> Float[Tensor, "height width c"]:
    """Drawings side by side, a row for each class, with lines between them."""
    framed = torch.nn.functional.pad(rows.clamp(0, 1), (0, 1, 0, 1), value=LINE)
    n, k, c, h, w = framed.shape
    return framed.permute(0, 3, 1, 4, 2).reshape(n * h, k * w, c)


def _show(axes: "Axes", rows: Tensor, title: str) -> None:
    image = sheet(rows).cpu().float()
    if image.shape[2] == 1:
        tinted(axes, image[..., 0], INK)
    else:
        axes.imshow(image.numpy(), interpolation="none")
    axes.set_title(title)
    axes.set_axis_off()
