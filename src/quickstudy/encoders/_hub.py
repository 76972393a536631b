"""Networks of other libraries: their weights are fetched where a person asks for it, and never unasked."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from quickstudy.core.errors import QuickstudyError, UsageError
from quickstudy.core.offline import is_offline

HUB = "hf-hub:"


@contextmanager
def made(name: str, advice: str) -> Generator[None]:
    """Make a network within: the caller's random numbers stay, and what fails is a ``UsageError`` with ``advice``."""
    try:
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            yield
    except QuickstudyError:
        raise
    except Exception as error:  # other libraries raise all kinds
        lines = str(error).strip().splitlines() or [""]
        raise UsageError(f"{name} cannot be loaded ({type(error).__name__}: {lines[0]:.300}); {advice}.") from error


def check_at_hand(name: str, download: bool, repo: str | None, files: Sequence[str], url: str | None = None) -> None:
    """Refuse a network whose weights would have to be fetched.

    Args:
        name: of the encoder.
        download: whether a person asked for it.
        repo: on the Hugging Face hub (None: it is not there).
        files: of which one holds the weights.
        url: where else they are.

    Raises:
        UsageError: they are not on this machine, and may not be downloaded.
    """
    if repo and any(_in_cache(repo, file) for file in files):
        return
    if url and not repo and (Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]).exists():
        return
    if download and not is_offline():
        if repo:
            _ask_for(name, repo)
        return
    raise UsageError(
        f"the weights of {name} are not on this machine, and nothing is fetched unasked. Where there is a network, get "
        f"them once from {f'huggingface.co/{repo}' if repo else url or 'their makers'}: "
        f"quickstudy.encoder({name!r}, download=True)."
    )


def _ask_for(name: str, repo: str) -> None:
    """One short question, where fetching without a network would try for minutes."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(repo.partition("@")[0], timeout=10)
    except Exception as error:
        raise UsageError(
            f"the weights of {name} cannot be fetched from huggingface.co/{repo} ({type(error).__name__}: "
            f"{str(error).partition(chr(10))[0]:.200}); check the name and the network."
        ) from error


def _in_cache(repo: str, file: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    repo, _, revision = repo.partition("@")
    return isinstance(try_to_load_from_cache(repo, file, revision=revision or None), str)
