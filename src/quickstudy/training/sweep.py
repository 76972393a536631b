"""Many trainings, each by itself: done by whatever executes ``concurrent.futures``, those of killed workers again.

A training writes into a run folder as it goes, so whoever takes it up after a kill goes on from its last checkpoint, to
the same bits. This file knows nothing of trainings: it hands out work and says how it stands.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, wait
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

T = TypeVar("T")

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Standing:
    """How a piece of work stands.

    Args:
        state: of it; a remote executor's work counts as running when it was handed out.
        result: what came of it.
        error: why it failed.
    """

    state: State
    result: Any = None
    error: BaseException | None = None


def sweep(
    work: Mapping[str, T],
    do: Callable[[T], Any],
    make_executor: Callable[[], Executor],
    *,
    told: Callable[[Mapping[str, Standing]], None] | None = None,
    every: float = 2.0,
    tries: int = 3,
) -> dict[str, Standing]:
    """Do every piece of work once; a piece whose worker died is handed out again.

    Args:
        work: pieces by name; what they are, the workers must be able to receive.
        do: what is done with each: a function that workers can import.
        make_executor: makes where it is done; asked again after a worker's death has broken it.
        told: called every so often, and whenever something ends.
        every: seconds between calls.
        tries: how often a piece is handed out whose worker dies (a death breaks a local pool, and counts for all of its
            running pieces).

    Returns:
        How each piece ended. An error of one does not stop the others.
    """
    standing = {name: Standing("waiting") for name in work}
    deaths = dict.fromkeys(work, 0)
    while todo := [name for name, each in standing.items() if each.state == "waiting"]:
        executor = make_executor()
        try:
            _round({executor.submit(do, work[name]): name for name in todo}, standing, deaths, told, every, tries)
        except BaseException:  # an interruption: what runs is told by its own means, the rest is not begun
            executor.shutdown(wait=False, cancel_futures=True)
            raise
        executor.shutdown(wait=False, cancel_futures=True)
    return standing


def _round(
    futures: dict[Future[Any], str],
    standing: dict[str, Standing],
    deaths: dict[str, int],
    told: Callable[[Mapping[str, Standing]], None] | None,
    every: float,
    tries: int,
) -> None:
    """Until everything has ended, or the executor is broken: what had not ended then is waiting again."""
    left = {*futures}
    while left:
        ended, left = wait(left, timeout=every, return_when="FIRST_COMPLETED")
        for future in left:
            standing[futures[future]] = Standing("running" if future.running() else "waiting")
        for future in ended:
            name = futures[future]
            was = standing[name].state
            standing[name] = _ended(future)
            if isinstance(standing[name].error, BrokenExecutor):
                deaths[name] += was == "running"
                if deaths[name] < tries:
                    standing[name] = Standing("waiting")
        if told is not None:
            told(standing)


def _ended(future: Future[Any]) -> Standing:
    try:
        return Standing("done", future.result())
    except CancelledError as error:
        return Standing("failed", error=error)
    except Exception as error:
        return Standing("failed", error=error)
