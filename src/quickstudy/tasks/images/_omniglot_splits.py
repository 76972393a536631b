"""Which of Omniglot's characters belong to which split, for the three protocols that people compare on."""

import hashlib
import os
from pathlib import Path

import numpy as np

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks.images._cache import download
from quickstudy.tasks.images.omniglot_files import ADVICE, Characters

MAML_SIZES = (1100, 100, 423)  # train, val, test
MAML_SEED = 0
BASE_SEED = 0
LAKE_VALIDATION = (
    "Balinese",
    "Early_Aramaic",
    "Gujarati",
    "Japanese_(katakana)",
    "Ojibwe_(Canadian_Aboriginal_Syllabics)",
)
VINYALS_URL = "https://raw.githubusercontent.com/jakesnell/prototypical-networks/master/data/omniglot/splits/vinyals/"
VINYALS_SHA256 = {  # of the file's distinct lines, sorted and joined by newlines
    "train": "2c896cd81ce6e265cb77cf6b6639f5413bb98cf6396cfb69e79bf3ae783f2e26",
    "val": "aa90019d0f1878f34cd74856b44f307944e08b7408d636baebccd94ba852d517",
    "trainval": "62d34cdcc485031005c531bd2a8f0dd8fcd177974311773eab1b29614501583c",
    "test": "871120bc00230686b507e366092d9f804988354e61d5405c4008e002223f2bcc",
}


def split_characters(characters: Characters, *, protocol: str, split: str, root: Path) -> list[int]:
    """Indices into ``characters.names`` of the split's characters, ascending.

    ``maml``: the names of all characters (``Alphabet/characterNN``) sorted, then put into the order of NumPy's legacy
    ``RandomState(0).permutation`` (whose stream never changes); the first 1100 are train, the next 100 val, the last
    423 test. ``vinyals``: the published files. ``lake``: background (less five alphabets for val) and evaluation.

    Raises:
        DataError: split files that are missing, not as published, or that name characters there are not.
    """
    names = characters.names
    if protocol == "maml":
        chosen = _maml(names, split)
    elif protocol == "vinyals":
        chosen = _vinyals(names, split, root)
    elif split == "test":
        chosen = set(names[characters.background :])
    else:
        held_out = {name for name in names[: characters.background] if name.split("/")[0] in LAKE_VALIDATION}
        background = set(names[: characters.background])
        chosen = {"train": background - held_out, "val": held_out, "trainval": background}[split]
    return [index for index, name in enumerate(names) if name in chosen]


def first_of(classes: list[int], count: int) -> list[int]:
    """The first ``count`` characters in a random order that never changes, ascending; more of them hold the fewer.

    Raises:
        UsageError: there are not so many.
    """
    if count > len(classes):
        raise UsageError(f"base_classes={count} is more than the {len(classes)} characters of the training split.")
    order = np.random.RandomState(BASE_SEED).permutation(len(classes))
    return sorted(classes[i] for i in order[:count].tolist())


def _maml(names: tuple[str, ...], split: str) -> set[str]:
    shuffled = np.asarray(sorted(names))[np.random.RandomState(MAML_SEED).permutation(len(names))].tolist()
    train, val, _ = MAML_SIZES
    start, end = {"train": (0, train), "val": (train, train + val), "trainval": (0, train + val)}.get(
        split, (train + val, len(names))
    )
    return set(shuffled[start:end])


def _vinyals(names: tuple[str, ...], split: str, root: Path) -> set[str]:
    beside = (root / "splits" / f"vinyals_{split}.txt", root / "splits" / "vinyals" / f"{split}.txt")
    path = next((path for path in beside if path.is_file()), None)
    if path is None:
        url = os.environ.get("QUICKSTUDY_OMNIGLOT_SPLITS_URL", VINYALS_URL).rstrip("/") + f"/{split}.txt"
        target = cache_folder() / "omniglot" / "splits" / f"vinyals_{split}.txt"
        path = download(url, target, None, f"put the published file at {beside[0]}, or use protocol maml or lake")
    try:
        lines = sorted({line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()})
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the split file {path} cannot be read ({error}); get it again from {VINYALS_URL}.") from error
    if hashlib.sha256("\n".join(lines).encode()).hexdigest() != VINYALS_SHA256[split]:
        if path not in beside:
            path.unlink(missing_ok=True)  # a download that is not what was asked for is not kept
        raise DataError(
            f"the split file {path} ({len(lines)} lines) is not the published one; replace it by "
            f"{VINYALS_URL}{split}.txt, or use protocol maml or lake."
        )
    chosen = {line.rsplit("/", 1)[0] for line in lines}  # without the rotation: all four are listed of each
    missing = sorted(chosen - set(names))
    if missing:
        raise DataError(f"the split file {path} names {missing[0]}, which is not in the data in {root}; {ADVICE}.")
    return chosen
