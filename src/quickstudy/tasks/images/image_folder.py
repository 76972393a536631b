"""ImageFolder: episodes over a folder of one's own, with one subfolder of images per class.

Either ``root/CLASS/IMAGE`` (the classes are then split 64 / 16 / 20 % into train / val / test, always in the same way)
or ``root/train/CLASS/IMAGE`` and likewise ``val`` and ``test``. Images may be grey or colour and of any sizes: the
shorter side is resized to ``size`` pixels (Lanczos), then the centre square is cut out. They are read at once and held
as uint8.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from quickstudy.core.batch import TaskBatch
from quickstudy.core.checks import SPLITS, at_least, one_of, shape_text
from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.purity import pure
from quickstudy.core.seeding import fold
from quickstudy.tasks.images.episodes import Episodes, split_classes
from quickstudy.tasks.images.pixels import SUFFIXES, as_float, crop_pixels, open_image

PARTS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}


class ImageFolder:
    """N-way K-shot, images of your own: a folder with one subfolder of images per class.

    Images are ``[channels, size, size]``, float32 in [0, 1].

    Args:
        root: the folder. Files that do not end like an image (.png, .jpg, ...) and hidden folders are left aside.
        split: ``"train"``, ``"val"``, ``"trainval"`` or ``"test"``.
        way: classes per task.
        shot: support images per class.
        query: query images per class.
        size: height and width in pixels.
        channels: 3 (colour) or 1 (grey).
        rotate: turn every class of every task by one of 0, 90, 180, 270 degrees; None: no.

    Raises:
        UsageError: options that cannot be met by the classes and images there are.
        DataError: a folder that is missing, has no class folders or no images, or files that cannot be read.
    """

    kind: ClassVar[str] = "classification"

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
    ) -> None:
        one_of(SPLITS, split=split)
        at_least(1, way=way, shot=shot, query=query)
        at_least(8, size=size)
        one_of((1, 3), channels=channels)
        self.root = root
        self.split = split
        self.way = way
        self.shot = shot
        self.query = query
        self.size = size
        self.channels = channels
        self.rotate = rotate
        files = _split_files(Path(root).expanduser(), split)
        self._check(files)
        self.class_names = tuple(files)
        counts = torch.tensor([len(found) for found in files.values()])
        self._episodes = Episodes(
            self._read_all([path for found in files.values() for path in found]),
            torch.arange(len(files)).repeat_interleave(counts),
            way=way,
            shot=shot,
            query=query,
            rotate="episode" if rotate else "none",
        )

    def _check(self, files: dict[str, list[Path]]) -> None:
        if len(files) < self.way:
            raise UsageError(
                f"way={self.way} is larger than the {len(files)} classes of the {self.split} split of {self.root}; use "
                f"way <= {len(files)}, add class folders, or make train/, val/ and test/ folders of your own."
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
                f"{len(broken)} of {len(paths)} image files in {self.root} cannot be read; repair or remove them: "
                f"{'; '.join(broken[:5])}{more}."
            )
        return torch.from_numpy(images)

    def _pixels(self, path: Path | str) -> UInt8[np.ndarray, "channels size size"]:
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

    def read_image(self, path: Path | str) -> Float[Tensor, "channels size size"]:
        """An image file as this distribution's images are: resized, centre square, float32 in [0, 1].

        Raises:
            DataError: a file that is not a readable image.
        """
        return as_float(self._pixels(path))


def _split_files(root: Path, split: str) -> dict[str, list[Path]]:
    """The split's image files by class name."""
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; expected a folder with one subfolder of images per class.")
    if any(_folders(root / "train")) and ((root / "val").is_dir() or (root / "test").is_dir()):
        return _own_splits(root, split)
    files = _class_files(root)
    if len(files) < 5:
        raise UsageError(
            f"the {len(files)} class folders in {root} are too few to be split into train, val and test (64, 16 and "
            f"20 %), at least 5 are needed; add classes, or make train/, val/ and test/ folders of your own."
        )
    train, val, test = split_classes(range(len(files)))
    chosen = {"train": train, "val": val, "trainval": torch.cat([train, val]).sort().values, "test": test}[split]
    names = sorted(files)
    return {names[index]: files[names[index]] for index in chosen.tolist()}


def _own_splits(root: Path, split: str) -> dict[str, list[Path]]:
    seen: dict[str, str] = {}
    for part in ("train", "val", "test"):
        for folder in _folders(root / part):
            if folder.name in seen:
                raise DataError(
                    f"class {folder.name!r} is in both {root / seen[folder.name]} and {root / part}; in few-shot "
                    f"learning the splits hold different classes. Move each class folder into one of them, or put all "
                    f"class folders directly into {root}."
                )
            seen[folder.name] = part
    files: dict[str, list[Path]] = {}
    for part in PARTS[split]:
        if not (root / part).is_dir():
            raise DataError(f"{root} has a folder train/ but no {part}/, which split={split!r} needs; add it.")
        files |= _class_files(root / part)
    return files


def _class_files(folder: Path) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for child in _folders(folder):
        found = sorted(path for path in child.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
        if not found:
            raise DataError(f"{child} holds no images ({', '.join(sorted(SUFFIXES))}); remove the folder or fill it.")
        files[child.name] = found
    if not files:
        raise DataError(f"{folder} holds no class folders; expected one subfolder of images per class.")
    return files


def _folders(parent: Path) -> list[Path]:
    if not parent.is_dir():
        return []
    return sorted(child for child in parent.iterdir() if child.is_dir() and child.name[:1] not in "._")
