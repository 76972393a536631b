"""miniImageNet in the forms in which it goes round: images and csv files, a zip of them, or three pickles."""

import csv
import io
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.core.files import read_bytes, reason
from quickstudy.tasks.images._archives import fingerprint
from quickstudy.tasks.images._data_folder import find_data, published_split
from quickstudy.tasks.images._mapped import LabelledImages, ToPrepare, mapped
from quickstudy.tasks.images._named_images import arrays_to_prepare, check_counts, files_to_prepare
from quickstudy.tasks.images._plain_pickle import by_label, read_pickle, whole_numbers

NAMES = ("miniimagenet", "mini-imagenet", "mini_imagenet")
ADVICE = (
    "point --data DIR (data=) or QUICKSTUDY_DATA to a folder that has miniimagenet/ with the images (84x84; all in one "
    "folder, or a folder for each class, or zips of such), with train.csv, val.csv and test.csv of Ravi and Larochelle "
    "beside them, or with the three pickles mini-imagenet-cache-{train,val,test}.pkl or "
    "miniImageNet_category_split_{train_phase_train,val,test}.pickle; ImageNet's terms allow no download from here"
)
PICKLES = (
    ("mini-imagenet-cache-train.pkl", "mini-imagenet-cache-val.pkl", "mini-imagenet-cache-test.pkl"),
    (
        *("miniImageNet_category_split_train_phase_train.pickle", "miniImageNet_category_split_val.pickle"),
        "miniImageNet_category_split_test.pickle",
    ),
)
EACH = 600  # images of a class
VERSION = 1
_FOLDER = re.compile(r"n\d{8}")


def mini_imagenet(data: str | Path | None, size: int) -> LabelledImages:
    """All that is there of the 100 classes, prepared once into the cache.

    Raises:
        DataError: nothing is there, or what is there is damaged or incomplete; a cache that cannot be written.
    """
    sources = find_data(data, NAMES, _sources, f"miniImageNet is not there; {ADVICE}")
    return _prepared(sources, fingerprint(*sources), size, cache_folder())


@lru_cache(maxsize=4)
def _prepared(sources: tuple[Path, ...], mark: str, size: int, cache: Path) -> LabelledImages:
    return mapped(cache / "miniimagenet" / f"v{VERSION}-{size}px-{mark}.bin", lambda: _build(sources, size))


def _sources(folder: Path) -> tuple[Path, ...] | None:
    """The pickles, the zips, or the folder itself, where there is any of them."""
    if folder.is_file():
        return (folder,) if folder.suffix == ".zip" else None
    for pickles in PICKLES:
        found = tuple(folder / name for name in pickles if (folder / name).is_file())
        if found:
            return found
    if any(each.is_dir() for each in folder.iterdir()):
        return (folder,)
    return tuple(sorted(folder.glob("*.zip"))) or None


def _build(sources: tuple[Path, ...], size: int) -> ToPrepare:
    known = {*chain(*published_split("mini-imagenet").values())}
    if sources[0].suffix in (".pkl", ".pickle"):
        plan = arrays_to_prepare(lambda: chain.from_iterable(map(_of_pickle, sources)), size)
    else:
        listed = _listed(sources)

        def class_of(name: str) -> str | None:
            *folders, file = name.split("/")
            own = folders[-1] if folders and _FOLDER.fullmatch(folders[-1]) else file[:9]
            found = listed.get(file) if listed else own
            return found if found in known else None

        plan = files_to_prepare(sources, class_of, size, ADVICE)
    check_counts(plan, dict.fromkeys(known, EACH), " and ".join(map(str, sources)), ADVICE)
    return plan


def _listed(sources: tuple[Path, ...]) -> dict[str, str]:
    """The class of each file that the csv files name, where there are any: in the folder, or beside the zips."""
    folder = sources[0] if sources[0].is_dir() else sources[0].parent
    found: dict[str, str] = {}
    for part in ("train", "val", "test"):
        path = folder / f"{part}.csv"
        if path.is_file():
            try:
                text = read_bytes(path, most=50_000_000).decode()
                rows = [row for row in csv.reader(io.StringIO(text)) if row]
                found |= {row[0]: row[1] for row in rows[1:]}
            except (OSError, ValueError, IndexError, csv.Error) as error:
                raise DataError(f"{path} is no list of filename,label ({reason(error)}); {ADVICE}.") from error
    return found


def _of_pickle(path: Path) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    found = read_pickle(path, ADVICE)
    try:
        if "image_data" in found:  # Ren et al. 2018
            images = found["image_data"]
            by_class = {name: whole_numbers(places) for name, places in found["class_dict"].items()}
        else:  # Gidaris and Komodakis 2018
            images = found["data"]
            names = {label: name for name, label in found.get("catname2label", {}).items()}
            by_class = {names.get(i, i): places for i, places in by_label(whole_numbers(found["labels"])).items()}
        if sum(map(len, by_class.values())) > len(images):
            raise ValueError(f"{len(by_class)} classes have more images than the {len(images)} that there are")
        for name, places in by_class.items():
            yield str(name), images[places]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise DataError(f"{path} holds no images and classes as expected ({reason(error)}); {ADVICE}.") from error
