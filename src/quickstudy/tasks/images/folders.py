"""Class folders of image files: what is found in them, and what is left aside, counted and named."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

ALWAYS = frozenset([
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm",
    ".pnm",
])  # fmt: skip
PERHAPS = frozenset([".avif", ".heic", ".heif", ".hif", ".jp2", ".j2k", ".tga", ".qoi"])
"""Read where this Pillow can (some need a plug-in, ``pillow-heif`` say)."""
BESIDE = frozenset([
    ".txt", ".md", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".ini", ".db", ".log", ".pdf", ".lnk",
])  # fmt: skip
"""What may lie beside images and is surely none: counted, but no reason to warn."""


@dataclass
class LeftOut:
    """What was not read, by what it is; ``str()`` names it all."""

    counts: dict[str, int] = field(default_factory=dict[str, int])
    """How many of each kind there are."""
    example: dict[str, str] = field(default_factory=dict[str, str])
    """The first of each kind."""
    may_matter: bool = False
    """Whether there could be images among it."""

    def add(self, kind: str, example: Path, count: int = 1, *, harmless: bool = False) -> None:
        """Count more of a kind."""
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count
            self.example.setdefault(kind, "/".join(example.parts[-2:]))
            self.may_matter |= not harmless

    def __str__(self) -> str:
        return ", ".join(f"{count} {kind} ({self.example[kind]})" for kind, count in sorted(self.counts.items()))


def readable() -> frozenset[str]:
    """The suffixes, in lower case, of the image files that can be read here."""
    return ALWAYS | (PERHAPS & {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN})


def subfolders(parent: Path, left: LeftOut) -> list[Path]:
    """The folders in a folder, sorted; not the hidden ones, and those named ``_...`` are left out."""
    found = sorted(c for c in parent.iterdir() if c.is_dir() and not _hidden(c)) if parent.is_dir() else []
    for child in found:
        if child.name.startswith("_"):
            left.add("folders whose names begin with _", child)
    return [child for child in found if not child.name.startswith("_")]


def images_in(folder: Path, left: LeftOut, *, deep: bool = False) -> list[Path]:
    """The image files in a folder, sorted; hidden ones at no level.

    Args:
        folder: where to look.
        left: what is left out is counted there.
        deep: look into folders inside it, too; else the images there are left out.
    """
    return sorted(_images(folder, left, deep, readable()))


def loose_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, sorted."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in readable() and not _hidden(p) and p.is_file())


def class_files(folders: list[Path], left: LeftOut, *, deep: bool = False) -> dict[str, list[Path]]:
    """The image files of each class folder, by its name."""
    return {folder.name: images_in(folder, left, deep=deep) for folder in folders}


def _images(folder: Path, left: LeftOut, deep: bool, suffixes: frozenset[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        suffix = path.suffix.lower()
        if _hidden(path):
            continue
        if path.is_dir():
            if deep and not path.is_symlink():  # links can go round in a circle
                yield from _images(path, left, deep, suffixes)
            else:
                inside = [] if path.is_symlink() else [*_images(path, LeftOut(), True, suffixes)]
                left.add("images in folders inside class folders", path, len(inside))
        elif suffix not in suffixes:
            left.add(f"{suffix} files" if suffix else "files without a suffix", path, harmless=suffix in BESIDE)
        elif path.is_file():
            yield path
        else:
            left.add("that are no plain files", path)


def _hidden(path: Path) -> bool:
    """What programs leave behind: ``.ipynb_checkpoints``, ``._a.png``, ..."""
    return path.name.startswith(".") or path.name == "__MACOSX"
