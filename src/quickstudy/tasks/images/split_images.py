"""What data sets of images share whose classes are split into training, validation and test.

A new one is a class with a name, a title, the size of its images and ``_open``.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of, shape_text
from quickstudy.core.errors import DataError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import fold
from quickstudy.core.shown import shown
from quickstudy.tasks.images._mapped import LabelledImages
from quickstudy.tasks.images.episodes import Episodes
from quickstudy.tasks.images.pixels import as_float, crop_pixels, open_image

PARTS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}


class SplitImages(ABC):
    """N-way K-shot over a data set of images.

    Images are ``[channels, size, size]``, float32 in [0, 1]. They are prepared once into one array file in the cache,
    which is mapped into memory: it may be larger than that.

    Args:
        split: ``"train"``, ``"val"``, ``"trainval"`` or ``"test"``.
        way: classes per task.
        shot: support images per class.
        query: query images per class.
        size: height and width in pixels (None: as published).
        crop: in training, every image is shifted by up to so many pixels.
        flip: in training, every other image is mirrored.
        jitter: in training, every image's brightness, contrast and saturation times 1 - jitter to 1 + jitter.
        data: folder with the data set in it (or being it). None: the folder that ``QUICKSTUDY_DATA`` names, then the
            cache.

    Raises:
        UsageError: options that cannot be met.
        DataError: data that are missing, damaged or incomplete, or that cannot be prepared.
    """

    kind: ClassVar[str] = "classification"
    name: ClassVar[str]
    """As it is registered."""
    title: ClassVar[str]
    """What people call it."""
    usual_size: ClassVar[int]
    """Pixels, as published."""
    channels: ClassVar[int] = 3
    """Of an image."""

    def __init__(
        self,
        *,
        split: str = "train",
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        size: int | None = None,
        crop: int = 0,
        flip: bool = False,
        jitter: float = 0.0,
        data: str | Path | None = None,
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, way=way, shot=shot, query=query)
        if size is not None:
            at_least(8, size=size)
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.size = size
        self.crop = crop
        self.flip = flip
        self.jitter = jitter
        self.data = data
        found, classes = self._open()
        missing = sorted({*classes} - {*found.names})
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(classes)} classes of the {split} split of {self.title} are not in the "
                f"data, {missing[0]} for one; {self._advice}."
            )
        training = split in ("train", "trainval")
        self._episodes = Episodes(
            found.images,
            found.labels,
            way=way,
            shot=shot,
            query=query,
            crop=crop if training else 0,
            flip=flip and training,
            jitter=jitter if training else 0.0,
            classes=[found.names.index(name) for name in classes],
            names=found.names,
        )

    @abstractmethod
    def _open(self) -> tuple[LabelledImages, Collection[str]]:
        """The images, of this split's classes at least, and the names of these classes."""

    @property
    @abstractmethod
    def _advice(self) -> str:
        """How to get the data, for the end of an error."""

    @property
    def _pixels_wide(self) -> int:
        return self.usual_size if self.size is None else self.size

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of one example: ``(channels, size, size)``."""
        return self._episodes.x_shape

    @property
    def outputs(self) -> int:
        """Outputs a model needs: the way."""
        return self.way

    @property
    def n_classes(self) -> int:
        """How many classes there are to draw from."""
        return self._episodes.n_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the classes that are drawn from are called."""
        return self._episodes.class_names

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        return f"{self.title} {self.split} ({self.n_classes} classes), {shape_text(self.way, self.shot, self.query)}"

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments (see ``Episodes.sample``).

        Returns:
            support ``x [tasks, way * shot, channels, size, size]`` float32, ``y [tasks, way * shot]`` int64, and the
            same for the query with ``way * query``.
        """
        return self._episodes.sample(tasks, fold(seed, "tasks", self.name, self.split))

    def read_image(self, path: Path | str | Image.Image) -> Float[Tensor, "channels size size"]:
        """An image file as this distribution's images are: resized, centre square, float32 in [0, 1].

        Raises:
            DataError: a file that is not a readable image.
        """
        return as_float(self._file_pixels(path))

    def _file_pixels(self, path: Path | str | Image.Image) -> UInt8[np.ndarray, "channels size size"]:
        return crop_pixels(open_image(path, "RGB" if self.channels == 3 else "L"), self._pixels_wide)


def of_split(split: str, parts: dict[str, list[str]]) -> list[str]:
    """The names of a split's classes, sorted."""
    return sorted(name for part in PARTS[split] for name in parts[part])


def resized(images: UInt8[Tensor, "n c h w"], size: int) -> UInt8[Tensor, "n c size size"]:
    """Each image to ``size`` x ``size`` pixels (Lanczos), if it is not so already."""
    if images.shape[-1] == size and images.shape[-2] == size:
        return images
    grey = images.shape[1] == 1
    found = np.empty((len(images), images.shape[1], size, size), np.uint8)
    for i, one in enumerate(images.numpy()):
        found[i] = crop_pixels(Image.fromarray(one[0] if grey else one.transpose(1, 2, 0)), size)
    return torch.from_numpy(found)
