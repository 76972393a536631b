"""Fixtures for all tests: a cache of the session's own, and the real Omniglot where it is at hand."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import typechecks

PROJECT = Path(__file__).resolve().parents[1]

# pytest-xdist fills the cores with processes; threads on top of them only get in each other's way.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(typechecks)  # its hook, for the doctests in src, too


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Nothing that a test prepares or downloads ends in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        # The processes of pytest-xdist share one, so that Omniglot is prepared once.
        shared = "PYTEST_XDIST_WORKER" in os.environ
        cache = tmp_path_factory.getbasetemp().parent / "cache" if shared else tmp_path_factory.mktemp("cache")
        patch.setenv("QUICKSTUDY_CACHE", str(cache))
        yield cache


@pytest.fixture(scope="session")
def omniglot_data() -> Path:
    """The folder to give as ``data=``; where there is none, the test is skipped (see QUICKSTUDY_REQUIRE_DATA)."""
    for folder in (os.environ.get("QUICKSTUDY_DATA"), PROJECT.parent / "shared" / "data"):
        if folder and (Path(folder) / "omniglot").is_dir():
            return Path(folder).resolve()
    reason = "no Omniglot: set QUICKSTUDY_DATA to a folder with omniglot/ in it"
    if os.environ.get("QUICKSTUDY_REQUIRE_DATA"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def double_by_default() -> Iterator[None]:
    """What a test makes is float64, and begins at the same random numbers."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
