"""The cache folder: arrays prepared once, files downloaded once; safe against concurrent processes and kills."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pooch
from filelock import FileLock
from jaxtyping import UInt8
from torch import Tensor

from quickstudy.core.errors import DataError
from quickstudy.core.files import put
from quickstudy.core.offline import is_offline
from quickstudy.core.sealed import open_tensors, sealed_tensors

Prepared = tuple[UInt8[Tensor, "n c h w"], list[str]]


def prepared(path: Path, build: Callable[[], Prepared]) -> Prepared:
    """The images and names kept in ``path``; built and written by exactly one process if they are not there.

    The file appears whole or not at all: it is written beside its place, flushed to the disk and then renamed. A lock
    that ends with its process keeps others waiting meanwhile. A damaged file is built anew.

    Raises:
        DataError: the cache cannot be written (and whatever ``build`` raises).
    """
    found = _load(path)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            found = _load(path)
            if found is None:
                images, names = build()
                content = sealed_tensors({"images": images}, {"names": json.dumps(names)})
                put(path, content, beside=path.with_suffix(".unfinished"))  # one name, as one writes at a time
                found = images, names
            return found
    except OSError as error:
        raise DataError(
            f"the prepared images cannot be written to {path} ({error}); free some space (about 30 MB are needed) or "
            f"set QUICKSTUDY_CACHE to a folder that can be written."
        ) from error


def download(url: str, path: Path, known_hash: str | None, advice: str) -> Path:
    """Fetch ``url`` into ``path`` unless it is there, checking its hash; with a progress bar on a terminal only.

    Args:
        url: of the file.
        path: where it is kept.
        known_hash: ``"md5:..."`` or ``"sha256:..."``; None: whoever calls checks the content.
        advice: what to do when this fails, for the error's end.

    Raises:
        DataError: no network, a server's error, a file whose hash is not the expected one, a cache not writable.
    """
    if path.exists():
        return path
    if is_offline():
        raise DataError(f"{path} is not at hand, and nothing is downloaded here; {advice}.")
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("CRITICAL")  # the library is silent
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(path.name + ".lock")):
            if not path.exists():
                bar = sys.stderr.isatty()
                pooch.retrieve(url, known_hash, fname=path.name, path=path.parent, progressbar=bar)
    except ValueError as error:
        raise DataError(
            f"the download of {url} did not arrive as published ({error}); nothing was kept, try again or {advice}."
        ) from error
    except OSError as error:  # the network's errors are OSErrors too
        raise DataError(f"{url} could not be downloaded to {path} ({error}); check the network or {advice}.") from error
    finally:
        logger.setLevel(level)
    return path


def _load(path: Path) -> Prepared | None:
    """What is kept, if it is as it was written; of older versions, which wrote no checksum, nothing is known."""
    try:
        tensors, texts = open_tensors(path, or_older=False)
        return tensors["images"], json.loads(texts["names"])
    except (OSError, KeyError, TypeError, ValueError):
        return None
