"""A person's pictures as they come: a folder, files, Pillow images, arrays; with labels, or in class folders."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import data_in
from quickstudy.encoders.reading import Source
from quickstudy.tasks.images.folders import LeftOut, class_files, images_in, loose_images, readable, subfolders


def class_folders(folder: Path, left: LeftOut) -> dict[str, list[Path]]:
    """The images in each class folder inside a folder, by the class's name.

    Raises:
        DataError: no folder.
        UsageError: fewer than two classes that have images.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder.")
    found = class_files(subfolders(folder, left), left, deep=True)
    for name in sorted(name for name, files in found.items() if not files):
        left.add("class folders without images", folder / name)
    for image in loose_images(folder):
        left.add("images beside the class folders", image)
    found = {name: files for name, files in found.items() if files}
    if len(found) < 2:
        out = f"; left out: {left}" if left.counts else ""
        raise UsageError(f"{folder} must hold at least two class folders with images in them, found {len(found)}{out}.")
    return found


def in_folder(folder: Path, left: LeftOut) -> list[Path]:
    """All images in a folder and the folders inside it, or the one file.

    Raises:
        DataError: there is nothing, or no images.
    """
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise DataError(f"{folder} is neither a folder nor a file.")
    found = images_in(folder, left, deep=True)
    if not found:
        out = f"; left out: {left}" if left.counts else ""
        raise DataError(f"{folder} holds no images ({', '.join(sorted(readable()))}){out}.")
    return found


def labelled(given: Any, y: Any) -> tuple[list[Source], list[Any]]:
    """Pictures and their labels; those of a folder, where y is None, are sorted into class folders.

    Raises:
        DataError: no folder, or a folder without images.
        UsageError: no labels, or not as many as pictures; fewer than two class folders.
    """
    if isinstance(given, str | Path) and y is None:
        left = LeftOut()
        with data_in(str(given)):
            found = class_folders(Path(given), left)
        _tell(left, given)
        return [f for files in found.values() for f in files], [name for name, files in found.items() for _ in files]
    if y is None:
        raise UsageError("the pictures need labels: fit(pictures, labels), or fit(FOLDER) of class folders.")
    sources, labels = pictures(given), [*y]
    if len(sources) != len(labels):
        raise UsageError(f"there are {len(sources)} pictures and {len(labels)} labels.")
    return sources, labels


def are_pictures(given: Any) -> bool:
    """Whether these are files or Pillow images, or a folder: arrays may be anything."""
    if isinstance(given, str | Path):
        return True
    several = isinstance(given, list | tuple) or (isinstance(given, np.ndarray) and given.ndim == 1)
    return several and len(given) > 0 and isinstance(given[0], str | Path | Image.Image)


def pictures(given: Any) -> list[Source]:
    """The pictures: of a folder all that are in it, of a sequence each.

    Raises:
        DataError: no folder, or a folder without images.
        UsageError: what are no pictures.
    """
    if isinstance(given, str | Path):
        left = LeftOut()
        with data_in(str(given)):
            found = in_folder(Path(given), left)
        _tell(left, given)
        return [*found]
    if isinstance(given, Image.Image) or not isinstance(given, Iterable):
        raise UsageError(f"several pictures are asked for, in a list or a folder; got one {type(given).__name__}.")
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.dtype.kind not in "OUS":
        raise UsageError(
            "pictures are arrays [n, height, width, 3] or [n, height, width], got [n, features]; for features that "
            "you have there is EmbeddingClassifier."
        )
    sources = [Path(one) if isinstance(one, str) else one for one in given]
    for one in sources:
        if not isinstance(one, Path | Image.Image | np.ndarray):
            raise UsageError(f"a picture is a file, a Pillow image or an array [height, width, 3], got {one!r:.60}.")
    return sources


def _tell(left: LeftOut, folder: str | Path) -> None:
    if left.may_matter:
        warnings.warn(f"left out in {folder}: {left}.", UserWarning, stacklevel=4)
