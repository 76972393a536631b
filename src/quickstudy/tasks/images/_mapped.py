"""Prepared images that may be more than fit into memory: an array file in the cache, written once, mapped when used."""

import json
import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from jaxtyping import Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.core.errors import DataError
from quickstudy.core.files import parse_json, put, read_bytes
from quickstudy.core.sealed import check_json, sealed_json

LARGEST = 50_000_000  # bytes of what is said of the images


@dataclass(frozen=True)
class LabelledImages:
    """Images ``[n, channels, height, width]``, class by class: the first ``counts[0]`` are of ``names[0]``, ..."""

    images: UInt8[Tensor, "n c h w"]
    names: tuple[str, ...]
    counts: tuple[int, ...]

    @property
    def labels(self) -> Int[Tensor, " n"]:
        """The place of each image's class among the names."""
        return torch.arange(len(self.names)).repeat_interleave(torch.tensor(self.counts))


@dataclass(frozen=True)
class ToPrepare:
    """What is to be written: names and sizes of the classes, the shape of an image, and what fills in the images.

    ``fill`` is given an array ``[n, *shape]`` of uint8; it may be larger than memory.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]
    shape: tuple[int, int, int]
    fill: Callable[[NDArray[np.uint8]], None]


def mapped(path: Path, build: Callable[[], ToPrepare]) -> LabelledImages:
    """The images kept at ``path`` (and what is said of them beside it), built and written once if they are not there.

    As ``prepared`` does: whole or not at all, by one process, however many there are.

    Raises:
        DataError: the cache cannot be written (and whatever ``build`` raises).
    """
    found = _load(path)
    if found is not None:
        return found
    needed = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _load(path)
            if found is None:
                plan = build()
                needed = sum(plan.counts) * math.prod(plan.shape)
                _write(path, plan)
                found = _load(path)
    except OSError as error:
        raise DataError(
            f"the prepared images cannot be written to {path} ({error}); free some space ({needed // 10**6:,} MB are "
            f"needed) or set QUICKSTUDY_CACHE to a folder that can be written."
        ) from error
    if found is None:
        raise DataError(f"the prepared images at {path} cannot be read again; set QUICKSTUDY_CACHE to another folder.")
    return found


def _write(path: Path, plan: ToPrepare) -> None:
    beside, shape = path.with_suffix(".unfinished"), (sum(plan.counts), *plan.shape)
    try:
        with open(beside, "wb") as file:  # a full disk says so here, and not by a signal in the middle
            _reserve(file.fileno(), math.prod(shape))
        images = np.memmap(beside, np.uint8, "r+", shape=shape)
        plan.fill(images)
        images.flush()
        del images
        with open(beside, "rb") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            beside.unlink()
        raise
    said = sealed_json({"names": list(plan.names), "counts": list(plan.counts), "shape": list(plan.shape)})
    put(path.with_suffix(".json"), json.dumps(said).encode())


def _reserve(file: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, size)
    else:
        os.truncate(file, size)


def _load(path: Path) -> LabelledImages | None:
    """What is kept, if it is all there."""
    try:
        said = parse_json(read_bytes(path.with_suffix(".json"), most=LARGEST))
        check_json(said)
        shape = (sum(said["counts"]), *said["shape"])
        if path.stat().st_size != math.prod(shape):
            return None
        images = np.memmap(path, np.uint8, "c", shape=shape)  # as if writable: torch takes no other without a warning
        return LabelledImages(torch.from_numpy(np.asarray(images)), tuple(said["names"]), tuple(said["counts"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None
