"""What a generator of fakes makes of a task: support examples, and below them fakes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from quickstudy.core.batch import TaskBatch
from quickstudy.core.picture import Picture, from_figure

if TYPE_CHECKING:
    from quickstudy.learners.generative.metagan import MetaGAN

COLUMNS = 8


def draw_fakes(learner: "MetaGAN", batch: TaskBatch) -> Sequence[Picture]:
    """Two rows of images for each of up to three tasks; of examples that are no images there is no picture."""
    if len(learner.x_shape) != 3 or learner.x_shape[0] not in (1, 3):
        return []
    from matplotlib.figure import Figure

    batch = batch[:3]
    with torch.no_grad():
        fakes = learner.make_fakes(batch.support)
    rows = [images[:COLUMNS] for task in zip(batch.support.x, fakes, strict=True) for images in task]
    figure = Figure(figsize=(0.9 * COLUMNS, 0.95 * len(rows)), layout="constrained")
    panels: Any = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for number, (images, row) in enumerate(zip(rows, panels, strict=True)):
        row[0].set_title("fakes" if number % 2 else "support", fontsize=8, loc="left")
        for axes in row:
            axes.axis("off")
        for axes, image in zip(row, images, strict=False):
            axes.imshow(image.permute(1, 2, 0).cpu().numpy(), cmap="gray_r", vmin=0, vmax=1)
    caption = "Support examples of test tasks, and below them fakes that the generator made for the same task."
    return [from_figure(figure, name="fakes", caption=caption)]
