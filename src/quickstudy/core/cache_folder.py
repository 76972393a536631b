"""Where what is prepared, downloaded or computed once is kept."""

import os
from pathlib import Path

import pooch


def cache_folder() -> Path:
    """Where prepared and downloaded files live: ``QUICKSTUDY_CACHE``, else the system's cache folder."""
    given = os.environ.get("QUICKSTUDY_CACHE")
    return Path(given).expanduser() if given else Path(pooch.os_cache("quickstudy"))
