"""Image files by class, from a folder or an archive, as what is to be prepared: each resized and cut to a square."""

from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.core.errors import DataError
from quickstudy.tasks.images._archives import opened
from quickstudy.tasks.images._mapped import ToPrepare
from quickstudy.tasks.images.folders import readable
from quickstudy.tasks.images.pixels import crop_pixels, open_image
from quickstudy.tasks.images.split_images import resized

Arrays = Mapping[str, Iterable[NDArray[np.uint8]]]


def files_to_prepare(
    sources: Iterable[Path], class_of: Callable[[str], str | None], size: int, advice: str, mode: str = "RGB"
) -> ToPrepare:
    """Image files of one folder or archive or several.

    Args:
        sources: folders or archives.
        class_of: the class of a file, by its name inside its source (None: it is none of the data set's).
        size: height and width in pixels.
        advice: how to get the data, for the end of an error.
        mode: the Pillow mode.

    Raises:
        DataError: an archive that is damaged, or (when filled in) a file that is no image.
    """
    places: dict[tuple[Path, str], int] = {}
    by_class: dict[str, list[tuple[Path, str]]] = {}
    endings = readable()
    for source in sources:
        with opened(source, advice) as (names, _):
            for name in names:
                if Path(name).suffix.lower() in endings and (found := class_of(name)) is not None:
                    by_class.setdefault(found, []).append((source, name))
    classes = sorted(by_class)
    for name in classes:
        for each in sorted(by_class[name], key=lambda pair: (pair[1].rpartition("/")[2], pair[1])):
            places[each] = len(places)

    def fill(array: NDArray[np.uint8]) -> None:
        for source in dict.fromkeys(source for source, _ in places):
            with opened(source, advice) as (_, read):
                for name, content in read([name for where, name in places if where == source]):
                    image = open_image(BytesIO(content), mode, f"{name} in {source}")
                    array[places[source, name]] = crop_pixels(image, size)

    counts = tuple(len(by_class[name]) for name in classes)
    return ToPrepare(tuple(classes), counts, (3 if mode == "RGB" else 1, size, size), fill)


def arrays_to_prepare(read: Callable[[], Iterable[tuple[str, NDArray[np.uint8]]]], size: int) -> ToPrepare:
    """Arrays ``[n, height, width, channels]`` by class. ``read`` is called twice: one class at a time is in memory.

    Raises:
        DataError: arrays of another shape or type.
    """
    counts: dict[str, int] = {}
    for name, images in read():
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3):
            raise DataError(f"images of {name} must be uint8 [n, height, width, 3], got {images.dtype} {images.shape}.")
        if name in counts:
            raise DataError(f"class {name} is there twice; each is expected once.")
        counts[name] = len(images)
    classes = sorted(counts)

    def fill(array: NDArray[np.uint8]) -> None:
        starts = dict(zip(classes, np.cumsum([0, *(counts[name] for name in classes)])[:-1].tolist(), strict=True))
        for name, images in read():
            planes = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
            array[starts[name] : starts[name] + len(images)] = resized(planes, size).numpy()

    return ToPrepare(tuple(classes), tuple(counts[name] for name in classes), (3, size, size), fill)


def check_counts(plan: ToPrepare, expected: Mapping[str, int], where: object, advice: str) -> None:
    """Raise ``DataError`` where a class has another number of images than it should."""
    wrong = [(n, count) for n, count in zip(plan.names, plan.counts, strict=True) if expected.get(n, count) != count]
    if wrong:
        name, count = wrong[0]
        raise DataError(
            f"class {name} in {where} has {count} images, expected {expected[name]} ({len(wrong)} classes are not as "
            f"published); {advice}."
        )
