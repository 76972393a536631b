"""A trained learner applied to a person's own few images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from quickstudy.apply.one_task import OneTask
from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.core.stateless import in_evaluation
from quickstudy.tasks.images.pixels import SUFFIXES


@dataclass(frozen=True)
class Prediction:
    """What one query image is taken for; the probabilities are in the order of the class names."""

    path: str
    label: str
    probabilities: dict[str, float]


def classify_folder(
    learner: MetaLearner, tasks: Any, support: Path, query: Path, *, steps: int | None = None
) -> list[Prediction]:
    """Adapt to the class folders in ``support`` and classify every image below ``query``.

    Args:
        learner: a trained image classifier.
        tasks: what it was trained on; its ``read_image`` prepares the images in the same way.
        support: a folder of class folders; the classes may have different numbers of images.
        query: a folder of images.
        steps: inner steps (None: the learner's own).

    Raises:
        DataError: a folder without images, or a broken image.
        UsageError: tasks that are no images, fewer than two classes, or more than the learner's head has.
    """
    if not hasattr(tasks, "read_image"):
        raise UsageError(f"this run was trained on {tasks.describe()}, not on images; it cannot classify image files.")
    for folder in (support, query):
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder.")
    classes = sorted(d for d in support.iterdir() if d.is_dir() and any(_images(d)))
    if len(classes) < 2:
        raise UsageError(f"{support} must hold at least two class folders with images in them, found {len(classes)}.")
    paths = list(_images(query))
    if not paths:
        raise DataError(f"{query} holds no images ({', '.join(sorted(SUFFIXES))}).")
    labelled = [(path, label) for label, folder in enumerate(classes) for path in _images(folder)]
    x = torch.stack([tasks.read_image(path) for path, _ in labelled])
    y = torch.tensor([label for _, label in labelled])
    task = OneTask(in_evaluation(learner), x, y, steps=steps, where=str(support))
    logits = task(torch.stack([tasks.read_image(path) for path in paths]))[:, : len(classes)]
    return [
        Prediction(
            path=str(path.relative_to(query)),
            label=classes[int(p.argmax())].name,
            probabilities={folder.name: float(value) for folder, value in zip(classes, p, strict=True)},
        )
        for path, p in zip(paths, logits.softmax(-1), strict=True)
    ]


def _images(folder: Path) -> Iterator[Path]:
    found = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file())
    return (path for path in found if not path.name.startswith("."))
