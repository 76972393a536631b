"""Fixtures for all tests: a cache of the session's own, and the real Omniglot where it is at hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing that a test prepares or downloads ends in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("QUICKSTUDY_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def omniglot_data() -> Path:
    """The folder to give as ``data=``; tests that ask for it are skipped where there is none."""
    for folder in (os.environ.get("QUICKSTUDY_DATA"), PROJECT.parent / "shared" / "data"):
        if folder and (Path(folder) / "omniglot").is_dir():
            return Path(folder).resolve()
    pytest.skip("no Omniglot: set QUICKSTUDY_DATA to a folder with omniglot/ in it")
