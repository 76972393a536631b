"""A trained learner applied to a person's own few images."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy.apply._fitting_images import check_fit
from quickstudy.apply.one_task import OneTask
from quickstudy.apply.pictures import class_folders, in_folder
from quickstudy.core.errors import DataError, UsageError
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


@dataclass(frozen=True)
class Adapted:
    """What came of adapting to a person's images.

    Args:
        predictions: one for each query image.
        support: the images of each class that it was adapted to.
        queries: the query images, in the order of the predictions.
    """

    predictions: list[Prediction]
    support: dict[str, list[Path]]
    queries: list[Path]


def classify_folder(
    learner: MetaLearner,
    tasks: Any,
    support: str | Path | Sequence[str | Path],
    query: str | Path | Sequence[str | Path],
    *,
    steps: int | None = None,
    invert: bool = False,
) -> list[Prediction]:
    """``adapt_to_images``, of which the predictions are all that is wanted."""
    return adapt_to_images(learner, tasks, support, query, steps=steps, invert=invert).predictions


def adapt_to_images(
    learner: MetaLearner,
    tasks: Any,
    support: str | Path | Sequence[str | Path],
    query: str | Path | Sequence[str | Path],
    *,
    steps: int | None = None,
    invert: bool = False,
) -> Adapted:
    """Adapt to the images of a few classes and classify others.

    Hidden files and folders are skipped; what else is left out is named in a ``UserWarning``. So are drawings whose
    ground is dark where the learner knows dark ink on light paper, colours where it knows none (or the other way
    round), and queries that are too few for a BatchNorm that goes by all of them.

    Args:
        learner: a trained image classifier.
        tasks: what it was trained on; its ``read_image`` prepares the images in the same way.
        support: a folder of class folders, which may have different numbers of images; or several images, each a
            class of its own that is called as its file.
        query: a folder of images, an image, or several of these.
        steps: inner steps (None: the learner's own).
        invert: make light what is dark, in all images: for light strokes on a dark ground.

    Raises:
        DataError: a folder without images, or a broken image.
        UsageError: tasks that are no images, fewer than two classes, or more than the learner's head has.
    """
    if not hasattr(tasks, "read_image"):
        raise UsageError(f"this run was trained on {tasks.describe()}, not on images; it cannot classify image files.")
    places = [[Path(p) for p in ([place] if isinstance(place, str | Path) else place)] for place in (support, query)]
    where = [", ".join(map(str, of_kind)) for of_kind in places]
    with data_in(" or ".join(where)):
        left = LeftOut()
        classes = _classes(places[0], left)
        queries = [path for place in places[1] for path in in_folder(place, left)]
    if left.may_matter:
        warnings.warn(f"left out in {where[0]} and {where[1]}: {left}.", UserWarning, stacklevel=2)
    labelled = [(path, label) for label, name in enumerate(classes) for path in classes[name]]
    x, asked = (
        torch.stack([1 - tasks.read_image(path) if invert else tasks.read_image(path) for path in part])
        for part in ([path for path, _ in labelled], queries)
    )
    if getattr(tasks, "ink", False):
        _check_ground(torch.cat([x, asked]), [*(path for path, _ in labelled), *queries], invert)
    y = torch.tensor([label for _, label in labelled])
    task = OneTask(in_evaluation(learner), x, y, steps=steps, where=where[0])
    logits = task(asked)[:, : len(classes)]
    check_fit(learner, x, len(classes), [path for path, _ in labelled], queries)
    names = _names(queries, places[1])
    predictions = [
        Prediction(
            path=name,
            label=[*classes][int(p.argmax())],
            probabilities={name: float(value) for name, value in zip(classes, p, strict=True)},
        )
        for name, p in zip(names, logits.softmax(-1), strict=True)
    ]
    return Adapted(predictions, classes, queries)


def _classes(places: Sequence[Path], left: LeftOut) -> dict[str, list[Path]]:
    """The images of each class, by its name: of a folder of folders, or each of several is a class."""
    if len(places) == 1:
        return class_folders(places[0], left)
    missing = [place for place in places if not place.is_file()]
    if missing:
        raise DataError(f"{missing[0]} is no image file; the support is one folder, or files, each a class.")
    names = [place.stem for place in places]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(f"two images are both called {twice[0]}, as their class would be; put them into a folder.")
    return {place.stem: [place] for place in places}


def _names(queries: Sequence[Path], places: Sequence[Path]) -> list[str]:
    """What the images are called: below the one folder that was named, or as they were named."""
    if len(places) > 1:
        return [str(path) for path in queries]
    place = places[0]
    return [path.name if path == place else str(path.relative_to(place)) for path in queries]


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
