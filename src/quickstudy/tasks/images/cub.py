"""CUB-200-2011: photographs of 200 species of birds, about 59 of each; fine differences, few images.

The split is that of Chen et al. 2019, by the number of the species (1 to 200): odd numbers are for training (100), of
the even ones every other is for validation (50), the rest for test (50). Images are 84x84, the shorter side resized and
the centre cut out.

References: Wah, Branson, Welinder, Perona, Belongie: The Caltech-UCSD Birds-200-2011 Dataset. 2011 (the images; for
research, their copyrights are the photographers'); Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot
Classification. ICLR 2019 (the split).
"""

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.tasks.images._archives import fingerprint
from quickstudy.tasks.images._cache import download
from quickstudy.tasks.images._data_folder import find_data
from quickstudy.tasks.images._mapped import LabelledImages, ToPrepare, mapped
from quickstudy.tasks.images._named_images import files_to_prepare
from quickstudy.tasks.images.split_images import SplitImages, of_split

URL = "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz"
MD5 = "97eceeb196236b17998738112f37df78"
ARCHIVE = "CUB_200_2011.tgz"
ADVICE = (
    f"point --data DIR (data=) or QUICKSTUDY_DATA to a folder that has cub/ with {ARCHIVE} or the folder CUB_200_2011/ "
    f"extracted from it"
)
CLASSES, IMAGES = 200, 11788
VERSION = 1
_NAME = re.compile(r"(\d{3})\.\w+")


class CUB(SplitImages):
    """N-way K-shot, photographs of 200 species of birds, 84x84 (downloaded unless at hand).

    Images are ``[3, 84, 84]``. A species has 41 to 60 of them. Where the data are nowhere they are downloaded (1.2 GB)
    into the cache; there they are prepared once (250 MB).
    """

    name: ClassVar[str] = "cub"
    title: ClassVar[str] = "CUB"
    usual_size: ClassVar[int] = 84

    def _open(self) -> tuple[LabelledImages, list[str]]:
        source = _find(self.data)
        found = _prepared(source, fingerprint(source), self._pixels_wide, cache_folder())
        parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for name in found.names:
            number = int(name[:3])
            parts["train" if number % 2 else "val" if number % 4 == 2 else "test"].append(name)
        return found, of_split(self.split, parts)

    @property
    def _advice(self) -> str:
        return ADVICE


def _find(data: str | Path | None) -> Path:
    try:
        return find_data(data, ("cub", "CUB"), _source, ADVICE)
    except DataError:
        if data is not None:
            raise
    return download(os.environ.get("QUICKSTUDY_CUB_URL", URL), cache_folder() / "cub" / ARCHIVE, f"md5:{MD5}", ADVICE)


def _source(folder: Path) -> Path | None:
    found = [each for each in (folder, folder / "CUB_200_2011") if (each / "images").is_dir()]
    found += [each for each in (folder / ARCHIVE, folder) if each.is_file()]
    return found[0] if found else None


@lru_cache(maxsize=4)
def _prepared(source: Path, mark: str, size: int, cache: Path) -> LabelledImages:
    return mapped(cache / "cub" / f"v{VERSION}-{size}px-{mark}.bin", lambda: _build(source, size))


def _build(source: Path, size: int) -> ToPrepare:
    def class_of(name: str) -> str | None:
        parts = (f"images/{name}" if source.name == "images" else name).split("/")
        return parts[-2] if len(parts) > 1 and "images" in parts[:-2] and _NAME.fullmatch(parts[-2]) else None

    plan = files_to_prepare([source], class_of, size, f"get {ARCHIVE} again, or {ADVICE}")
    if (len(plan.names), sum(plan.counts)) != (CLASSES, IMAGES):
        raise DataError(
            f"{source} holds {sum(plan.counts):,} images of {len(plan.names)} species, expected {IMAGES:,} of "
            f"{CLASSES}; {ADVICE}."
        )
    return plan
