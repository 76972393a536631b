"""What a generator of fakes makes of a task: support examples, and below them fakes."""

from collections.abc import Sequence
from typing import Any

import torch

from quickstudy.core.batch import TaskBatch
from quickstudy.core.picture import Picture
from quickstudy.learners.generative.metagan import MetaGAN
from quickstudy.report.pictures import draw
from quickstudy.report.svg import INK, NARROW, canvas, picture, tinted

COLUMNS = 8


@draw.register
def draw_fakes(learner: MetaGAN, batch: TaskBatch) -> Sequence[Picture]:
    """Two rows of images for each of up to three tasks; of examples that are no images there is no picture."""
    if len(learner.x_shape) != 3 or learner.x_shape[0] not in (1, 3):
        return []
    batch = batch[:3]
    with torch.no_grad():
        fakes = learner.make_fakes(batch.support)
    rows = [images[:COLUMNS] for task in zip(batch.support.x, fakes, strict=True) for images in task]
    columns = max(len(images) for images in rows)
    with canvas(NARROW, (18 + NARROW / columns) * len(rows)) as figure:
        panels: Any = figure.subplots(len(rows), columns, squeeze=False)
        for number, (images, row) in enumerate(zip(rows, panels, strict=True)):
            row[0].set_title("fakes" if number % 2 else "support", loc="left")
            for axes in row:
                axes.axis("off")
            for axes, image in zip(row, images, strict=False):
                if len(image) == 1:
                    tinted(axes, image[0], INK)
                else:
                    axes.imshow(image.permute(1, 2, 0).clamp(0, 1).cpu().numpy(), interpolation="none")
    caption = "Support examples of test tasks, and below them fakes that the generator made for the same task."
    return [picture(figure, name="fakes", caption=caption)]
