"""Fashion-MNIST: ten kinds of clothes, 7,000 grey pictures of each, 28x28; for tests of what was trained elsewhere.

Ten classes are few to learn learning from, and there is no published few-shot split. Ours has 4 / 3 / 3 classes, in the
order of the labels; or with ``classes="all"`` every split has all ten, training and validation those of the official
training images and the test the official test images.

Reference: Xiao, Rasul, Vollgraf: Fashion-MNIST. 2017 (MIT licence).
"""

import gzip
import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.checks import one_of
from quickstudy.core.errors import DataError
from quickstudy.core.files import reason
from quickstudy.tasks.images._archives import fingerprint
from quickstudy.tasks.images._cache import download
from quickstudy.tasks.images._data_folder import find_data
from quickstudy.tasks.images._mapped import LabelledImages, ToPrepare, mapped
from quickstudy.tasks.images.split_images import SplitImages, of_split, resized

URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"
FILES = {  # and the published MD5s
    "train": {
        "images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
    },
    "t10k": {
        "images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}
EACH = {"train": 6000, "t10k": 1000}
DEBIAN = Path("/usr/share/datasets")  # of its package dataset-fashion-mnist
ADVICE = (
    "point --data DIR (data=) or QUICKSTUDY_DATA to a folder that has fashion-mnist/ with the four official files "
    "(train-images-idx3-ubyte.gz, ...), or install Debian's package dataset-fashion-mnist"
)
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
DISJOINT = {"train": [*CLOTHES[:4]], "val": [*CLOTHES[4:7]], "test": [*CLOTHES[7:]]}
VERSION = 1


class FashionMNIST(SplitImages):
    """N-way K-shot, ten kinds of clothes in grey, 28x28 (downloaded unless at hand).

    Images are ``[1, 28, 28]``, clothes light on black.

    Args:
        classes: ``disjoint``: 4 / 3 / 3 of the ten, so way is at most 3 in validation and test; ``all``: all ten in
            every split, of other images in the test than in training.
        way: classes per task.
    """

    name: ClassVar[str] = "fashion-mnist"
    title: ClassVar[str] = "Fashion-MNIST"
    usual_size: ClassVar[int] = 28
    channels: ClassVar[int] = 1

    def __init__(
        self,
        *,
        split: str = "train",
        classes: Literal["disjoint", "all"] = "disjoint",
        way: int = 3,
        shot: int = 1,
        query: int = 15,
        size: int | None = None,
        crop: int = 0,
        flip: bool = False,
        jitter: float = 0.0,
        data: str | Path | None = None,
    ) -> None:
        one_of(("disjoint", "all"), classes=classes)
        self.classes: Literal["disjoint", "all"] = classes
        super().__init__(
            split=split, way=way, shot=shot, query=query, size=size, crop=crop, flip=flip, jitter=jitter, data=data
        )

    def _open(self) -> tuple[LabelledImages, list[str]]:
        every = self.classes == "all"
        parts = (("t10k",) if self.split == "test" else ("train",)) if every else ("train", "t10k")
        folder = _find(self.data)
        found = _prepared(folder, parts, fingerprint(folder), self._pixels_wide, cache_folder())
        return found, [*CLOTHES] if every else of_split(self.split, DISJOINT)

    @property
    def _advice(self) -> str:
        return ADVICE


def _find(data: str | Path | None) -> Path:
    try:
        return find_data(data, ("fashion-mnist",), _folder, ADVICE)
    except DataError:
        if data is not None:
            raise
    if _folder(DEBIAN / "fashion-mnist"):
        return DEBIAN / "fashion-mnist"
    folder, url = cache_folder() / "fashion-mnist", os.environ.get("QUICKSTUDY_FASHION_MNIST_URL", URL).rstrip("/")
    for part, files in FILES.items():
        for file, md5 in files.items():
            download(f"{url}/{part}-{file}", folder / f"{part}-{file}", f"md5:{md5}", ADVICE)
    return folder


def _folder(folder: Path) -> Path | None:
    there = all(_file(folder, f"{part}-{file}").is_file() for part, files in FILES.items() for file in files)
    return folder if there else None


def _file(folder: Path, name: str) -> Path:
    """A file, or what was unpacked of it."""
    plain = folder / name.removesuffix(".gz")
    return plain if plain.is_file() else folder / name


@lru_cache(maxsize=4)
def _prepared(folder: Path, parts: tuple[str, ...], mark: str, size: int, cache: Path) -> LabelledImages:
    path = cache / "fashion-mnist" / f"v{VERSION}-{'-'.join(parts)}-{size}px-{mark}.bin"
    return mapped(path, lambda: _build(folder, parts, size))


def _build(folder: Path, parts: tuple[str, ...], size: int) -> ToPrepare:
    images = np.concatenate([_read(folder, part, "images-idx3-ubyte.gz", 16, (28, 28)) for part in parts])
    labels = np.concatenate([_read(folder, part, "labels-idx1-ubyte.gz", 8, ()) for part in parts])
    each = sum(EACH[part] for part in parts)
    if (np.bincount(labels, minlength=10) != each).any():
        raise DataError(f"the labels in {folder} are not {each} of each of ten classes; {ADVICE}.")
    ordered = torch.from_numpy(images[np.argsort(labels, kind="stable")]).unsqueeze(1)

    def fill(array: NDArray[np.uint8]) -> None:
        array[:] = resized(ordered, size).numpy()

    return ToPrepare(CLOTHES, (each,) * 10, (1, size, size), fill)


def _read(folder: Path, part: str, name: str, header: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    path, count = _file(folder, f"{part}-{name}"), 10 * EACH[part]
    size = header + count * int(np.prod(shape, dtype=int))
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {reason(error)}; {ADVICE}.") from error
    if len(content) != size:
        raise DataError(f"{path} is not Fashion-MNIST's: expected {size:,} bytes unpacked; {ADVICE}.")
    return np.frombuffer(content, np.uint8, offset=header).reshape(count, *shape)
