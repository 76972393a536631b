"""ImageFolder: episodes over a folder of one's own, with one subfolder of images per class.

Either ``root/CLASS/IMAGE`` (the classes are then split 64 / 16 / 20 % into train / val / test, each by a hash of its
name, see ``split_names``) or ``root/train/CLASS/IMAGE`` and likewise ``val`` and ``test``. Images may be grey or colour
and of any sizes: the shorter side is resized to ``size`` pixels (Lanczos), then the centre square is cut out. They are
read at once and held as uint8.
"""

import warnings
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of, shape_text
from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import data_in
from quickstudy.core.purity import pure
from quickstudy.core.seeding import fold
from quickstudy.core.shown import shown
from quickstudy.tasks.images._class_folders import find_classes
from quickstudy.tasks.images.episodes import Episodes
from quickstudy.tasks.images.pixels import as_float, crop_pixels, open_image
from quickstudy.tasks.images.splits import seed_that_gives


class ImageFolder:
    """N-way K-shot, images of your own: a folder with one subfolder of images per class.

    Images are ``[channels, size, size]``, float32 in [0, 1].

    Args:
        root: the folder. Hidden files and folders are skipped; what else is not read (files that do not end like an
            image, folders inside class folders, folders whose names begin with ``_``) is named in ``left_out``, and in
            a warning where there may be images among it.
        split: ``"train"``, ``"val"``, ``"trainval"`` or ``"test"``.
        way: classes per task.
        shot: support images per class.
        query: query images per class.
        size: height and width in pixels.
        channels: 3 (colour) or 1 (grey).
        rotate: turn every class of every task by one of 0, 90, 180, 270 degrees; None: no.
        split_seed: another one gives another split of the classes, where the folder has none of its own.
        split_by: ``"name"``; or ``"position"`` among the sorted names, as before, where a new class moves others.

    Attributes:
        class_names: of the split's classes.
        splits: of the classes of each split there is: ``{"train": (...), ...}``; a run writes them down.
        left_out: what was not read, counted and named.

    Raises:
        UsageError: options that cannot be met by the classes and images there are.
        DataError: a folder that is missing, has no class folders or no images, or files that cannot be read.
    """

    kind: ClassVar[str] = "classification"
    called: ClassVar[str] = "a folder of images"

    def __init__(
        self,
        root: Path | str,
        *,
        split: str = "train",
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        size: int = 84,
        channels: int = 3,
        rotate: bool | None = None,
        split_seed: int = 0,
        split_by: Literal["name", "position"] = "name",
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, way=way, shot=shot, query=query)
        at_least(8, size=size)
        one_of((1, 3), channels=channels)
        one_of(("name", "position"), split_by=split_by)
        self.root = root
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.size = size
        self.channels = channels
        self.rotate = rotate
        self.split_seed = split_seed
        self.split_by: Literal["name", "position"] = split_by
        with data_in(root):
            found = find_classes(Path(root).expanduser(), split, by_name=split_by == "name", seed=split_seed)
        self.class_names = tuple(found.files)
        self.splits = found.splits
        self.left_out = str(found.left)
        self._check(found.files)
        if found.left.may_matter:
            warnings.warn(f"left out in {root}: {found.left}.", UserWarning, stacklevel=2)
        files = found.files
        counts = torch.tensor([len(found) for found in files.values()])
        self._episodes = Episodes(
            self._read_all([path for found in files.values() for path in found]),
            torch.arange(len(files)).repeat_interleave(counts),
            way=way,
            shot=shot,
            query=query,
            rotate="episode" if rotate else "none",
            names=self.class_names,
        )

    @staticmethod
    def room(*, root: Path | str, split_seed: int = 0, split_by: str = "name") -> dict[str, int]:
        """How many classes (``way``) the smallest split has, and how many images (``examples``) the smallest class.

        Raises:
            DataError: as the class.
            UsageError: classes too few to be split.
        """
        with data_in(root):
            found = [
                find_classes(Path(root).expanduser(), split, by_name=split_by == "name", seed=split_seed)
                for split in ("train", "val", "test")
            ]
        examples = min(len(images) for split in found for images in split.files.values())
        return {"way": min(len(split.files) for split in found), "examples": examples}

    def _check(self, files: dict[str, list[Path]]) -> None:
        if len(files) < self.way:
            names = sorted(name for found in self.splits.values() for name in found)
            seed = seed_that_gives(names, self.way)
            other = f"split_seed={seed}, which gives each split at least {self.way}, " if seed else ""
            raise UsageError(
                f"way={self.way} is larger than the {len(files)} classes of the {self.split} split of {self.root}; use "
                f"way <= {len(files)}, {other}add class folders, or make train/, val/ and test/ folders of your own."
            )
        need = self.shot + self.query
        small = sorted((len(found), name) for name, found in files.items() if len(found) < need)
        if small:
            raise UsageError(
                f"shot + query = {self.shot} + {self.query} = {need} images are needed of every class, but "
                f"class {small[0][1]!r} in {self.root} has {small[0][0]} ({len(small)} of {len(files)} classes have "
                f"too few). Lower shot or query, or add images."
            )

    def _read_all(self, paths: list[Path]) -> UInt8[Tensor, "n channels size size"]:
        images = np.empty((len(paths), self.channels, self.size, self.size), np.uint8)
        broken: list[str] = []
        for index, path in enumerate(paths):
            try:
                images[index] = self._pixels(path)
            except DataError as error:
                broken.append(str(error) if not broken else str(path))
        if broken:
            more = "" if len(broken) <= 5 else f" and {len(broken) - 5} more"
            raise DataError(
                f"{len(broken)} of {len(paths)} image files in {self.root} cannot be read; repair them, or move them "
                f"elsewhere: {'; '.join(broken[:5])}{more}."
            )
        return torch.from_numpy(images)

    def _pixels(self, path: Path | str | Image.Image) -> UInt8[np.ndarray, "channels size size"]:
        return crop_pixels(open_image(path, "RGB" if self.channels == 3 else "L"), self.size)

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
        """How many classes the split has."""
        return self._episodes.n_classes

    __repr__ = shown

    def describe(self) -> str:
        """One line for people."""
        name = Path(self.root).expanduser().resolve().name
        return (
            f"ImageFolder {name} {self.split} ({self.n_classes} classes), {shape_text(self.way, self.shot, self.query)}"
        )

    @pure
    def sample(self, tasks: int, seed: int) -> TaskBatch:
        """Draw ``tasks`` tasks; a pure function of its arguments (see ``Episodes.sample``).

        Returns:
            support ``x [tasks, way * shot, channels, size, size]`` float32, ``y [tasks, way * shot]`` int64, and the
            same for the query with ``way * query``.
        """
        return self._episodes.sample(tasks, fold(seed, "tasks", "image_folder", self.split))

    def read_image(self, path: Path | str | Image.Image) -> Float[Tensor, "channels size size"]:
        """An image file as this distribution's images are: resized, centre square, float32 in [0, 1].

        Raises:
            DataError: a file that is not a readable image.
        """
        return as_float(self._pixels(path))
