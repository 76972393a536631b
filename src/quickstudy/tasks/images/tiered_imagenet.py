"""tieredImageNet: 608 classes of ImageNet, 779,165 photographs, 84x84, split by higher-level categories.

351 / 97 / 160 classes of 20 / 6 / 8 categories: test classes have no sibling among those of training. 16 GB when they
are prepared, so they stay in a file that is mapped.

Reference: Ren et al.: Meta-Learning for Semi-Supervised Few-Shot Classification. ICLR 2018.
"""

from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.core.files import reason
from quickstudy.tasks.images._archives import fingerprint
from quickstudy.tasks.images._data_folder import find_data
from quickstudy.tasks.images._mapped import LabelledImages, ToPrepare, mapped
from quickstudy.tasks.images._named_images import arrays_to_prepare, files_to_prepare
from quickstudy.tasks.images._plain_pickle import by_label, read_pickle, whole_numbers
from quickstudy.tasks.images.pixels import open_image
from quickstudy.tasks.images.split_images import PARTS, SplitImages

NAMES = ("tieredimagenet", "tiered-imagenet", "tiered_imagenet")
ADVICE = (
    "point --data DIR (data=) or QUICKSTUDY_DATA to a folder that has tieredimagenet/ with train/, val/ and test/ of a "
    "folder for each class, or with the pickles {train,val,test}_images_png.pkl and {train,val,test}_labels.pkl of Ren "
    "et al.; ImageNet's terms allow no download from here"
)
CLASSES = {"train": 351, "val": 97, "test": 160}
VERSION = 1


class TieredImageNet(SplitImages):
    """N-way K-shot, photographs of 608 classes of ImageNet, split by category (to be had beforehand).

    Images are ``[3, 84, 84]``. ImageNet may not be handed on, so nothing is downloaded. Each split is prepared by
    itself (training 9.5 GB), for which the pickles need as much memory as their files have bytes, and some more.
    """

    name: ClassVar[str] = "tiered-imagenet"
    title: ClassVar[str] = "tieredImageNet"
    usual_size: ClassVar[int] = 84

    def _open(self) -> tuple[LabelledImages, tuple[str, ...]]:
        folder = find_data(self.data, NAMES, _folder, f"tieredImageNet is not there; {ADVICE}")
        found = _prepared(folder, self.split, fingerprint(folder), self._pixels_wide, cache_folder())
        return found, found.names

    @property
    def _advice(self) -> str:
        return ADVICE


def _folder(folder: Path) -> Path | None:
    there = any((folder / part).is_dir() or (folder / f"{part}_images_png.pkl").is_file() for part in CLASSES)
    return folder if there else None


@lru_cache(maxsize=4)
def _prepared(folder: Path, split: str, mark: str, size: int, cache: Path) -> LabelledImages:
    path = cache / "tieredimagenet" / f"v{VERSION}-{split}-{size}px-{mark}.bin"
    return mapped(path, lambda: _build(folder, PARTS[split], size))


def _build(folder: Path, parts: tuple[str, ...], size: int) -> ToPrepare:
    if (folder / f"{parts[0]}_images_png.pkl").is_file():
        plan = arrays_to_prepare(lambda: (pair for part in parts for pair in _of_pickles(folder, part)), size)
    else:
        plan = files_to_prepare(
            [folder / part for part in parts], lambda name: name.split("/")[-2] if "/" in name else None, size, ADVICE
        )
    expected = sum(CLASSES[part] for part in parts)
    if len(plan.names) != expected:
        raise DataError(
            f"{folder} holds {len(plan.names)} classes for {' and '.join(parts)}, expected {expected}; {ADVICE}."
        )
    return plan


def _of_pickles(folder: Path, part: str) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    files = read_pickle(folder / f"{part}_images_png.pkl", ADVICE)
    said = read_pickle(folder / f"{part}_labels.pkl", ADVICE)
    try:
        labels = whole_numbers(said["label_specific"])
        names = [str(name) for name in said["label_specific_str"]] if "label_specific_str" in said else None
        if len(labels) != len(files):
            raise ValueError(f"{len(files)} images have {len(labels)} labels")
        if len({*map(id, files)}) != len(files):
            raise ValueError("an image is there more than once")
        for label, places in by_label(labels).items():
            images = [_decoded(files[i], f"image {i} of {part}") for i in places]
            # Classes of other splits may have the same number; of one split they need not have different names.
            yield f"{part} {label}" + (f" {names[label]}" if names and label < len(names) else ""), np.stack(images)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"the pickles of {part} in {folder} do not fit ({reason(error)}); {ADVICE}.") from error


def _decoded(file: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    if not isinstance(file, np.ndarray):
        raise TypeError(f"{name} is no array")
    return np.asarray(open_image(BytesIO(file.tobytes()), "RGB", name))
