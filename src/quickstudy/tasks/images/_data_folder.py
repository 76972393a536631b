"""Where a data set is looked for: in the folder that was named, in ``QUICKSTUDY_DATA``, in the cache."""

import json
import os
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.core.files import data_in

T = TypeVar("T")


def find_data(data: str | Path | None, names: tuple[str, ...], look: Callable[[Path], T | None], advice: str) -> T:
    """What ``look`` finds in the first of the places that has it.

    Args:
        data: a folder with the data set's folder in it, or being it; a file is looked at, too. None: the folder that
            ``QUICKSTUDY_DATA`` names (which may have other data sets only), then the cache.
        names: what the data set's folder is called.
        look: gives None where it is not.
        advice: how to get it.

    Raises:
        DataError: it is nowhere.
    """
    places = [Path(p).expanduser() for p in ([data] if data is not None else [os.environ.get("QUICKSTUDY_DATA")]) if p]
    places += [] if data is not None else [cache_folder()]
    for place in places:
        with data_in(place):
            for folder in (*(place / name for name in names), *([place] if data is not None else [])):
                found = look(folder) if folder.exists() else None
                if found is not None:
                    return found
    raise DataError(f"not in {' or in '.join(map(str, places))}: {advice}.")


def published_split(name: str) -> dict[str, list[str]]:
    """The classes of ``train``, ``val`` and ``test``, from the list that comes with quickstudy."""
    text = files("quickstudy.tasks.images").joinpath(f"lists/{name}.json").read_text(encoding="utf-8")
    return json.loads(text)
