"""SplitFolder: any folder of class folders, with a file that says which class is in which split.

Unlike ``folder``, which reads all images into memory each time, it prepares them once into a file that is mapped, so
that they may be more than fit into memory.
"""

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.checks import one_of
from quickstudy.core.errors import DataError, UsageError
from quickstudy.core.files import data_in, parse_json, read_bytes, reason
from quickstudy.core.sealed import checksum
from quickstudy.tasks.images._archives import fingerprint
from quickstudy.tasks.images._mapped import LabelledImages, mapped
from quickstudy.tasks.images._named_images import files_to_prepare
from quickstudy.tasks.images.split_images import PARTS, SplitImages, of_split

VERSION = 1
EXPECTED = (
    "a JSON file {'train': [classes], 'val': [...], 'test': [...]}, or a folder with train.txt, val.txt and test.txt, "
    "a class a line, or with csv files of filename,label"
)


class SplitFolder(SplitImages):
    """N-way K-shot, a folder of class folders with a file of splits, as large as you like.

    Args:
        root: the folder, or a zip or tar of it; an image's class is the folder it is in.
        splits: a JSON file ``{"train": [...], "val": [...], "test": [...]}`` of names of classes; or a folder with
            ``train.txt``, ``val.txt`` and ``test.txt`` (a class a line) or ``train.csv``, ... (``filename,label``).
        colors: ``rgb`` or ``grey``.
    """

    name: ClassVar[str] = "split-folder"
    title: ClassVar[str] = "SplitFolder"
    called: ClassVar[str] = "a folder of images"
    usual_size: ClassVar[int] = 84

    def __init__(
        self,
        root: Path | str,
        splits: Path | str,
        *,
        split: str = "train",
        way: int = 5,
        shot: int = 1,
        query: int = 15,
        size: int | None = None,
        colors: Literal["rgb", "grey"] = "rgb",
        crop: int = 0,
        flip: bool = False,
        jitter: float = 0.0,
    ) -> None:
        one_of(("rgb", "grey"), colors=colors)
        self.root = root
        self.splits = splits
        self.colors: Literal["rgb", "grey"] = colors
        self.channels = 3 if colors == "rgb" else 1  # pyright: ignore[reportAttributeAccessIssue]
        super().__init__(split=split, way=way, shot=shot, query=query, size=size, crop=crop, flip=flip, jitter=jitter)

    def _open(self) -> tuple[LabelledImages, Collection[str]]:
        root = Path(self.root).expanduser()
        with data_in(root):
            if not root.exists():
                raise DataError(f"{root} is not there; expected a folder of class folders, or a zip or tar of one.")
        parts = read_splits(Path(self.splits).expanduser())
        names = frozenset(name for part in parts.values() for name in part)
        return _prepared(root, names, fingerprint(root), self._pixels_wide, self.colors, cache_folder()), of_split(
            self.split, parts
        )

    @property
    def _advice(self) -> str:
        return f"let {self.splits} name the folders in {self.root}"


def read_splits(path: Path) -> dict[str, list[str]]:
    """The classes of ``train``, ``val`` and ``test``; no class is in two of them.

    Raises:
        DataError: no such file, or none that says this.
    """
    try:
        parts = _of_folder(path) if path.is_dir() else _of_json(parse_json(read_bytes(path, most=50_000_000)))
    except (OSError, ValueError) as error:
        raise DataError(f"the splits in {path} cannot be read: {reason(error)}. Expected {EXPECTED}.") from error
    seen: dict[str, str] = {}
    for part, names in parts.items():
        for name in names:
            if seen.setdefault(name, part) != part:
                raise DataError(f"class {name!r} is in both {seen[name]} and {part} of {path}; each is in one split.")
    return parts


def _of_json(found: Any) -> dict[str, list[str]]:
    if not isinstance(found, dict) or not found.keys() >= {"train", "val", "test"}:
        raise ValueError("it does not say train, val and test")
    parts = {part: found[part] for part in ("train", "val", "test")}
    if not all(isinstance(names, list) and all(isinstance(name, str) for name in names) for names in parts.values()):
        raise ValueError("a split is no list of names")
    return {part: list(dict.fromkeys(names)) for part, names in parts.items()}


def _of_folder(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in PARTS["train"] + PARTS["val"] + PARTS["test"]:
        plain, table = folder / f"{part}.txt", folder / f"{part}.csv"
        if plain.is_file():
            names = [line.strip() for line in plain.read_text(encoding="utf-8").splitlines()]
        else:
            rows = table.read_text(encoding="utf-8").splitlines()
            names = [row.rpartition(",")[2].strip() for row in rows[1:]]
        found[part] = list(dict.fromkeys(name for name in names if name))
    return found


@lru_cache(maxsize=4)
def _prepared(root: Path, names: frozenset[str], mark: str, size: int, colors: str, cache: Path) -> LabelledImages:
    def class_of(name: str) -> str | None:
        own = name.split("/")[-2] if "/" in name else ""
        return own if own in names else None

    def build() -> Any:
        plan = files_to_prepare([root], class_of, size, "pack it again", "RGB" if colors == "rgb" else "L")
        if not plan.names:
            raise UsageError(f"{root} has no images of the classes that are named, {min(names)} for one.")
        return plan

    chosen = checksum("\n".join(sorted(names)).encode())[:12]
    return mapped(cache / "split-folder" / f"v{VERSION}-{size}px-{colors}-{mark}-{chosen}.bin", build)
