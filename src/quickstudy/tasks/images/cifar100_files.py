"""CIFAR-100's official binary files: where they are found, what must be in them, and how they are prepared.

A row is a byte of the coarse label, a byte of the fine label and 3072 bytes of pixels: red, green and blue planes.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.tasks.images._archives import fingerprint, opened
from quickstudy.tasks.images._cache import download
from quickstudy.tasks.images._data_folder import find_data
from quickstudy.tasks.images._mapped import LabelledImages, ToPrepare, mapped
from quickstudy.tasks.images.split_images import resized

URL = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"
MD5 = "03b5dce01913d631647c71ecec9e9cb8"
ARCHIVE = "cifar-100-binary.tar.gz"
ADVICE = (
    f"point --data DIR (data=) or QUICKSTUDY_DATA to a folder that has cifar100/ with {ARCHIVE} or the folder "
    f"cifar-100-binary/ extracted from it"
)
ROW = 2 + 3 * 32 * 32
COUNTS = {"train.bin": 500, "test.bin": 100}  # images of each class
CLASSES = 100
VERSION = 1  # of what is prepared


def cifar100(data: str | Path | None, size: int) -> LabelledImages:
    """All 600 images of each of the 100 classes, prepared once into the cache.

    Raises:
        DataError: files that are missing, damaged or incomplete, or that cannot be downloaded; a cache that cannot be
            written.
    """
    source = _find(data)
    return _prepared(source, fingerprint(source), size, cache_folder())


@lru_cache(maxsize=4)
def _prepared(source: Path, mark: str, size: int, cache: Path) -> LabelledImages:
    return mapped(cache / "cifar100" / f"v{VERSION}-{size}px-{mark}.bin", lambda: _build(source, size))


def _find(data: str | Path | None) -> Path:
    try:
        return find_data(data, ("cifar100",), _source, ADVICE)
    except DataError:
        if data is not None:
            raise
    url = os.environ.get("QUICKSTUDY_CIFAR100_URL", URL)
    return download(url, cache_folder() / "cifar100" / ARCHIVE, f"md5:{MD5}", ADVICE)


def _source(folder: Path) -> Path | None:
    extracted = [folder, folder / "cifar-100-binary"]
    found = [each for each in extracted if (each / "train.bin").is_file()]
    found += [each for each in (folder / ARCHIVE, folder) if each.is_file()]
    return found[0] if found else None


def _build(source: Path, size: int) -> ToPrepare:
    wanted = {*COUNTS, "fine_label_names.txt"}
    with opened(source, f"get {ARCHIVE} again, or {ADVICE}") as (names, read):
        inside = {name: name.rpartition("/")[2] for name in names if name.rpartition("/")[2] in wanted}
        content = {inside[name]: found for name, found in read([*inside])}
    missing = sorted(wanted - {*content})
    if missing:
        raise DataError(f"{source} has no {missing[0]}; {ADVICE}.")
    classes = content["fine_label_names.txt"].decode("utf-8", "replace").split()
    if len({*classes}) != CLASSES:
        raise DataError(f"{source} names {len({*classes})} classes, expected {CLASSES}; {ADVICE}.")
    rows = np.concatenate([_rows(source, file, content[file]) for file in COUNTS])
    # By class, then by content: the same whatever the order of the rows, which is not that of the official files where
    # these were packed anew.
    order = sorted(range(len(rows)), key=lambda i: rows[i, 1:].tobytes())
    images = torch.from_numpy(rows[order, 2:].reshape(-1, 3, 32, 32))

    def fill(array: NDArray[np.uint8]) -> None:
        array[:] = resized(images, size).numpy()

    return ToPrepare(tuple(classes), (sum(COUNTS.values()),) * CLASSES, (3, size, size), fill)


def _rows(source: Path, file: str, content: bytes) -> NDArray[np.uint8]:
    whole = len(content) == CLASSES * COUNTS[file] * ROW
    rows = np.frombuffer(content, np.uint8).reshape(-1, ROW) if whole else np.empty((0, ROW), np.uint8)
    if not whole or (np.bincount(rows[:, 1], minlength=CLASSES) != COUNTS[file]).any():
        raise DataError(
            f"{file} in {source} is not CIFAR-100's: {len(content):,} bytes; expected {COUNTS[file]} rows of {ROW} "
            f"bytes of each of {CLASSES} classes. {ADVICE}."
        )
    return rows
