"""What the page begins with: the examples of a folder, if there is one."""

import base64
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import data_in
from quickstudy.tasks.images.folders import LeftOut, class_files, subfolders
from quickstudy.tasks.images.pixels import open_image
from quickstudy.tasks.images.tracing import ink_of
from quickstudy.web.lesson import CLASSES, EXAMPLES, NAME, PAD

Kind = Literal["drawings", "photos"]
SIDE = 384
"""Pixels of the longer side of a photo in the page; encoders look at fewer."""
COLOURFUL = 24
"""Of 255: how far apart a pixel's red, green and blue are, if it has a colour."""


def read_folder(folder: Path, kind: Kind | None = None) -> tuple[Kind, list[dict[str, Any]]]:
    """The classes of a folder of class folders, as the page has them.

    Args:
        folder: with ``CLASS/IMAGE`` in it; hidden files and others are skipped.
        kind: what the images are (None: drawings, if most of them have no colour, and ink on an even ground).

    Raises:
        DataError: no folder, no images in it, or one that cannot be read.
        UsageError: more classes or images than the page takes.
    """
    with data_in(folder):
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder.")
        found = {name: files for name, files in class_files(subfolders(folder, LeftOut()), LeftOut()).items() if files}
    if not found:
        raise DataError(f"{folder} holds no class folders with images in them: {folder}/CLASS/IMAGE.")
    most = max(map(len, found.values()))
    if len(found) > CLASSES or most > EXAMPLES:
        raise UsageError(
            f"{folder} has {len(found)} classes of up to {most} images; the page takes {CLASSES} of {EXAMPLES}."
        )
    images = {name: {path: open_image(path, "RGB") for path in files} for name, files in found.items()}
    if kind is None:
        every = [_is_drawing(image) for group in images.values() for image in group.values()]
        kind = "drawings" if sum(every) > len(every) / 2 else "photos"
    if kind == "photos":
        examples = {name: [encoded(image) for image in group.values()] for name, group in images.items()}
    else:
        examples = {name: [_strokes(image, path) for path, image in group.items()] for name, group in images.items()}
    return kind, [{"name": name[:NAME], "examples": group} for name, group in examples.items()]


def _is_drawing(image: Image.Image) -> bool:
    pixels = np.asarray(image.resize((64, 64), Image.Resampling.BOX)).astype(int)
    grey = (pixels.max(2) - pixels.min(2) < COLOURFUL).mean() > 0.98
    even = np.median(np.abs(pixels - np.median(pixels, (0, 1)))) < 8
    return bool(grey and even)


def _strokes(image: Image.Image, path: Path) -> list[list[int]]:
    """A drawing as the page has it (see ``lesson.strokes``)."""
    return [np.rint(way * PAD).astype(int).ravel().tolist() for way in ink_of(image, path)]


def encoded(image: Image.Image) -> str:
    """A photo as the page has it: a small JPEG file, in base64."""
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    out = BytesIO()
    image.save(out, "JPEG", quality=90)
    return base64.b64encode(out.getvalue()).decode()
