"""Omniglot's files: where they are found, what must be in them, and how they become one prepared array."""

import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.core.files import data_in
from quickstudy.tasks.images._cache import Prepared, download, prepared
from quickstudy.tasks.images.pixels import ink_pixels, open_image

URL = "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/"
ADVICE = (
    "point --data DIR (data=) or QUICKSTUDY_DATA to a folder that has omniglot/ with images_background.zip and "
    "images_evaluation.zip, or use glyphs, which need no data"
)
DRAWINGS = 20  # of every character
LARGEST = 1_000_000  # bytes of a drawing; they have a few hundred
_DAMAGED = (  # what the standard library raises for archives that are damaged, encrypted, or made to be
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError),
    *(LookupError, OverflowError, MemoryError),
)
VERSION = 1  # of what is prepared; a new one makes old prepared files be ignored


@dataclass(frozen=True)
class Part:
    """One of the two official archives: its published MD5 and what it must hold."""

    name: str
    md5: str
    alphabets: int
    characters: int


PARTS = (
    Part("images_background", "68d2efa1b9178cc56df9314c21c6e718", 30, 964),
    Part("images_evaluation", "6b91aef0f799c5bb55b94e3f2daec811", 20, 659),
)


@dataclass(frozen=True)
class Characters:
    """All characters, background first, each part sorted by name.

    images: ``[characters * 20, 1, size, size]`` uint8, ink = 255; names: ``Alphabet/characterNN``, background tells
    how many of them, from the first, are of the background part.
    """

    images: UInt8[Tensor, "n 1 size size"]
    names: tuple[str, ...]
    background: int


def load_characters(root: Path, size: int) -> Characters:
    """The characters found in ``root``, prepared once into the cache and shared within the process.

    Raises:
        DataError: archives or folders that are missing, damaged or incomplete; a cache that cannot be written.
    """
    try:
        marks = tuple(_fingerprint(_source(root, part)) for part in PARTS)
    except (OSError, ValueError) as error:
        raise DataError(f"Omniglot's files in {root} cannot be read ({error}); {ADVICE}.") from error
    return _load(marks, root, size, cache_folder())


@lru_cache(maxsize=4)
def _load(marks: tuple[str, ...], root: Path, size: int, cache: Path) -> Characters:
    key = hashlib.sha256("/".join(marks).encode()).hexdigest()[:16]
    images, names = prepared(cache / "omniglot" / f"v{VERSION}-{size}px-{key}.safetensors", lambda: _build(root, size))
    return Characters(images, tuple(names), PARTS[0].characters)


def find_root(data: str | Path | None) -> Path:
    """The folder with Omniglot's two parts: ``data``, else ``QUICKSTUDY_DATA``, else the cache, filled by download.

    Raises:
        DataError: a folder named by the user without Omniglot in it, or a download that fails.
    """
    given = data if data is not None else os.environ.get("QUICKSTUDY_DATA") or None
    if given is not None:
        with data_in(given):
            folder = Path(given).expanduser()
            root = folder / "omniglot" if (folder / "omniglot").is_dir() else folder
            for part in PARTS:
                _source(root, part)
        return root
    root = cache_folder() / "omniglot"
    for part in PARTS:
        if not (root / part.name).is_dir():
            url = os.environ.get("QUICKSTUDY_OMNIGLOT_URL", URL).rstrip("/") + f"/{part.name}.zip"
            download(url, root / f"{part.name}.zip", f"md5:{part.md5}", ADVICE)
    return root


def _source(root: Path, part: Part) -> Path:
    """The part's extracted folder or its zip."""
    for path in (root / part.name, root / f"{part.name}.zip"):
        if path.exists():
            return path
    raise DataError(f"no {part.name}.zip and no folder {part.name}/ in {root}; {ADVICE}.")


def _fingerprint(path: Path) -> str:
    """What changes when a part changes: a zip's content; a folder's name and its character folders' times."""
    if not path.is_dir():
        if not path.is_file():
            raise OSError(f"{path} is no regular file")
        return _content(path, path.stat().st_size, path.stat().st_mtime_ns)
    marks = [str(path.resolve())]
    for alphabet in sorted(os.scandir(path), key=lambda entry: entry.name):
        if alphabet.is_dir():
            found = sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(alphabet.path))
            marks.append(f"{alphabet.name}:{found}")
    return hashlib.sha256("\n".join(marks).encode()).hexdigest()


@lru_cache(maxsize=16)
def _content(path: Path, size: int, changed: int) -> str:
    """Hash of a file's content; its size and time are there so that a changed file is hashed again."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _build(root: Path, size: int) -> Prepared:
    images: list[UInt8[np.ndarray, "size size"]] = []
    names: list[str] = []
    for part in PARTS:
        source = _source(root, part)
        try:
            with _open(source) as (found, read):
                _check_counts(source, part, found)
                for name in sorted(found):
                    names.append(name)
                    for drawing in sorted(found[name]):
                        content = BytesIO(read(drawing))
                        images.append(ink_pixels(open_image(content, "L", f"{drawing} in {source}"), size))
        except _DAMAGED as error:
            raise DataError(
                f"{source} is damaged or not completely copied ({error}); expected Omniglot's {part.name} as "
                f"published. Get it again (delete it first if it lies in the cache), or {ADVICE}."
            ) from error
    return torch.from_numpy(np.stack(images)).unsqueeze(1), names


@contextmanager
def _open(source: Path) -> Generator[tuple[dict[str, list[str]], Callable[[str], bytes]]]:
    """What a part holds, drawings by ``Alphabet/characterNN``, and how one is read."""
    found: dict[str, list[str]] = {}
    if source.is_dir():
        for path in source.glob("*/*/*.png"):
            found.setdefault("/".join(path.parts[-3:-1]), []).append(str(path))
        yield found, lambda drawing: Path(drawing).read_bytes()
        return
    with zipfile.ZipFile(source) as archive:
        for member in archive.namelist():
            parts = member.split("/")
            if member.endswith(".png") and len(parts) == 4 and parts[0] == source.stem:
                found.setdefault(f"{parts[1]}/{parts[2]}", []).append(member)
        yield found, lambda drawing: _read(archive, drawing)


def _read(archive: zipfile.ZipFile, drawing: str) -> bytes:
    """One drawing, of which no more is unpacked than drawings need: what an archive says may be anybody's."""
    size = archive.getinfo(drawing).file_size
    if size > LARGEST:
        raise zipfile.BadZipFile(f"{drawing} has {size:,} bytes, more than a drawing needs")
    return archive.read(drawing)


def _check_counts(source: Path, part: Part, found: dict[str, list[str]]) -> None:
    alphabets = len({name.split("/")[0] for name in found})
    odd = sorted(name for name, drawings in found.items() if len(drawings) != DRAWINGS)
    if (alphabets, len(found)) != (part.alphabets, part.characters) or odd:
        wrong = f", and {odd[0]} has {len(found[odd[0]])} drawings" if odd else ""
        raise DataError(
            f"{source} holds {alphabets} alphabets and {len(found)} characters{wrong}; expected {part.alphabets} "
            f"alphabets and {part.characters} characters of {DRAWINGS} drawings each. Extract or copy it again, or "
            f"{ADVICE}."
        )
