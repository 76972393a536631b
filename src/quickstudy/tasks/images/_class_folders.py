"""Which classes an image folder holds, in which split each is, and what is left out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks.images.folders import LeftOut, class_files, loose_images, readable, subfolders
from quickstudy.tasks.images.splits import split_classes, split_names

PARTS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}
CALLED = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
"""What the folders of the splits may be called, in upper or lower case."""


@dataclass(frozen=True)
class ClassFolders:
    """What was found.

    Args:
        files: the image files of each class of the split that was asked for.
        splits: the names of the classes of ``train``, ``val`` and ``test``.
        left: what is not read.
    """

    files: dict[str, list[Path]]
    splits: dict[str, tuple[str, ...]]
    left: LeftOut


def find_classes(root: Path, split: str, *, by_name: bool, seed: int) -> ClassFolders:
    """Look into a folder for class folders, or for ``train``, ``val`` and ``test`` with class folders in them.

    Args:
        root: the folder.
        split: ``train``, ``val``, ``trainval`` or ``test``.
        by_name: whether classes without folders of splits are split by their names (else by their positions).
        seed: of the split by names.

    Raises:
        DataError: no such folder, class or image, or one class in two splits.
        UsageError: classes too few to be split.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder; expected a folder with one subfolder of images per class.")
    left = LeftOut()
    parts = _own_splits(root, left)
    if parts is None:
        files = class_files(subfolders(root, left), left)
        for image in loose_images(root):
            left.add("images beside the class folders", image)
        _check_files(root, files, left)
        splits = _split(root, sorted(files), by_name=by_name, seed=seed)
        names = sorted(name for part in PARTS[split] for name in splits[part])
        return ClassFolders({name: files[name] for name in names}, splits, left)
    missing = [part for part in PARTS[split] if part not in parts]
    if missing:
        raise DataError(f"{root} has a folder train/ but no {missing[0]}/, which split={split!r} needs; add it.")
    files = class_files([folder for part in PARTS[split] for folder in parts[part]], left)
    _check_files(root, files, left)
    return ClassFolders(files, {part: tuple(f.name for f in folders) for part, folders in parts.items()}, left)


def _own_splits(root: Path, left: LeftOut) -> dict[str, list[Path]] | None:
    """The class folders by split, where the folder has ``train``, ``val`` or ``test`` of its own (else None)."""
    there: dict[str, list[Path]] = {part: [] for part in CALLED}
    others: list[Path] = []
    for folder in subfolders(root, LeftOut()):
        part = next((part for part, names in CALLED.items() if folder.name.lower() in names), None)
        (others if part is None else there[part]).append(folder)
    if not any(subfolders(folder, LeftOut()) for folder in there["train"]):
        return None
    if not there["val"] and not there["test"]:
        train = there["train"][0]
        raise DataError(
            f"{train} holds class folders, but there is no folder val/ or test/ beside it; add one, or give {train} "
            f"itself: its classes are then split into train, val and test."
        )
    for part, folders in there.items():
        if len(folders) > 1:
            raise DataError(
                f"{root} has several folders for the {part} split, {' and '.join(f.name for f in folders)}; keep one "
                f"of them there."
            )
    subfolders(root, left)
    for folder in others:
        left.add("folders beside those of the splits", folder)
    found = {part: subfolders(folders[0], left) for part, folders in there.items() if folders}
    seen: dict[str, Path] = {}
    for folder in (folder for folders in found.values() for folder in folders):
        if folder.name in seen:
            raise DataError(
                f"class {folder.name!r} is in both {seen[folder.name].parent} and {folder.parent}; in few-shot "
                f"learning the splits hold different classes. Move each class folder into one of them, or put all "
                f"class folders directly into {root}."
            )
        seen[folder.name] = folder
    return found


def _check_files(root: Path, files: dict[str, list[Path]], left: LeftOut) -> None:
    if not files:
        raise DataError(f"{root} holds no class folders; expected one subfolder of images per class.")
    empty = [name for name, found in files.items() if not found]
    if empty:
        more = f" (and {len(empty) - 1} more like it)" if len(empty) > 1 else ""
        there = f"; what is left out in {root}: {left}" if left.counts else ""
        raise DataError(
            f"class folder {empty[0]!r} in {root} holds no images{more}: files that end with "
            f"{', '.join(sorted(readable()))}{there}. Put images into it, or let its name begin with _, which leaves "
            f"it out."
        )


def _split(root: Path, names: Sequence[str], *, by_name: bool, seed: int) -> dict[str, tuple[str, ...]]:
    if len(names) < 5:
        raise UsageError(
            f"the {len(names)} class folders in {root} are too few to be split into train, val and test (64, 16 and "
            f"20 %), at least 5 are needed; add classes, or make train/, val/ and test/ folders of your own."
        )
    if by_name:
        return {part: tuple(found) for part, found in split_names(names, seed).items()}
    places = zip(("train", "val", "test"), split_classes(range(len(names))), strict=True)
    return {part: tuple(names[int(i)] for i in found) for part, found in places}
