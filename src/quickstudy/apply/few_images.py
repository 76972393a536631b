"""A trained learner applied to a person's own few images."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy.apply.one_task import OneTask
from quickstudy.apply.pictures import class_folders, in_folder
from quickstudy.core.errors import UsageError
from quickstudy.core.files import data_in
from quickstudy.core.learner import MetaLearner
from quickstudy.core.stateless import in_evaluation
from quickstudy.tasks.images.folders import LeftOut


@dataclass(frozen=True)
class Prediction:
    """What one query image is taken for; the probabilities are in the order of the class names."""

    path: str
    label: str
    probabilities: dict[str, float]


def classify_folder(
    learner: MetaLearner, tasks: Any, support: Path, query: Path, *, steps: int | None = None, invert: bool = False
) -> list[Prediction]:
    """Adapt to the class folders in ``support`` and classify every image below ``query``.

    Hidden files and folders are skipped; what else is left out is named in a ``UserWarning``. So are drawings whose
    ground is dark where the learner knows dark ink on light paper.

    Args:
        learner: a trained image classifier.
        tasks: what it was trained on; its ``read_image`` prepares the images in the same way.
        support: a folder of class folders; the classes may have different numbers of images.
        query: a folder of images, or one image.
        steps: inner steps (None: the learner's own).
        invert: make light what is dark, in all images: for light strokes on a dark ground.

    Raises:
        DataError: a folder without images, or a broken image.
        UsageError: tasks that are no images, fewer than two classes, or more than the learner's head has.
    """
    if not hasattr(tasks, "read_image"):
        raise UsageError(f"this run was trained on {tasks.describe()}, not on images; it cannot classify image files.")
    with data_in(f"{support} or {query}"):
        classes, labelled, paths = _found(support, query)
    x, asked = (
        torch.stack([1 - tasks.read_image(path) if invert else tasks.read_image(path) for path in part])
        for part in ([path for path, _ in labelled], paths)
    )
    if getattr(tasks, "ink", False):
        _check_ground(torch.cat([x, asked]), [*(path for path, _ in labelled), *paths], invert)
    y = torch.tensor([label for _, label in labelled])
    task = OneTask(in_evaluation(learner), x, y, steps=steps, where=str(support))
    logits = task(asked)[:, : len(classes)]
    return [
        Prediction(
            path=path.name if path == query else str(path.relative_to(query)),
            label=classes[int(p.argmax())],
            probabilities={name: float(value) for name, value in zip(classes, p, strict=True)},
        )
        for path, p in zip(paths, logits.softmax(-1), strict=True)
    ]


def _found(support: Path, query: Path) -> tuple[list[str], list[tuple[Path, int]], list[Path]]:
    """The classes' names, their images with the class's number, and the images to classify."""
    left = LeftOut()
    found = class_folders(support, left)
    paths = in_folder(query, left)
    if left.may_matter:
        warnings.warn(f"left out in {support} and {query}: {left}.", UserWarning, stacklevel=3)
    return [*found], [(path, label) for label, files in enumerate(found.values()) for path in files], paths


def _check_ground(images: Tensor, paths: Sequence[Path], invert: bool) -> None:
    """Warn of drawings whose edge is full of ink: light strokes on a dark ground, read as if they were dark on light.

    Args:
        images: ``[n, 1, h, w]`` in [0, 1], ink = 1.
        paths: of the images.
        invert: whether they were inverted.
    """
    edge = torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], -1)
    odd = torch.nonzero(edge.flatten(1).mean(1) > 0.5).flatten().tolist()
    if not odd:
        return
    if len(odd) < len(paths):
        some = ", ".join(str(paths[i]) for i in odd[:5])
        what = f"{len(odd)} of {len(paths)} images have the opposite ground of the others ({some})"
        advice = "invert these files, so that all are alike"
    else:
        what = f"the images look like {'dark strokes on a light' if invert else 'light strokes on a dark'} ground"
        advice = "leave out invert (--invert)" if invert else "pass invert=True (--invert)"
    warnings.warn(
        f"{what}, and this run was trained on dark ink on light paper: the predictions will be poor; {advice}.",
        UserWarning,
        stacklevel=3,
    )
