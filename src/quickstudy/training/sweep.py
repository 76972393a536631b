"""Many trainings, each by itself: done by whatever executes ``concurrent.futures``, those of killed workers again.

A training writes into a run folder as it goes, so whoever takes it up after a kill goes on from its last checkpoint, to
the same bits. This file knows nothing of trainings: it hands out work and says how it stands.
"""

from collections.abc import Callable, Iterable, Mapping
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
    tries: int = 2,
) -> dict[str, Standing]:
    """Do every piece of work once; a piece whose worker died is handed out again.

    Args:
        work: pieces by name; what they are, the workers must be able to receive.
        do: what is done with each: a function that workers can import.
        make_executor: makes where it is done; asked again after a worker's death has broken it.
        told: called every so often, and whenever something ends.
        every: seconds between calls.
        tries: how often a piece is handed out beside others when workers die. A death breaks a local pool, for all of
            its pieces; so one that was there each time is at last done alone, and fails if its worker dies then, too.

    Returns:
        How each piece ended. An error of one does not stop the others.
    """
    standing = {name: Standing("waiting") for name in work}
    deaths = dict.fromkeys(work, 0)
    while todo := [name for name, each in standing.items() if each.state == "waiting"]:
        beside = [name for name in todo if deaths[name] < tries]
        executor, futures = make_executor(), dict[Future[Any], str]()
        try:
            futures |= {executor.submit(do, work[name]): name for name in beside or todo[:1]}
            died = _round(futures, standing, told, every)
        except BaseException:  # an interruption: what runs is told by its own means, the rest is not begun
            _shut_down(executor, futures)
            raise
        _shut_down(executor, futures)
        seen = [name for name, each in died.items() if each == "running"]
        for name in died:
            deaths[name] += name in seen or not seen
            if not beside:
                standing[name] = Standing(
                    "failed",
                    error=BrokenExecutor("its worker died, and did nothing else meanwhile; is there enough memory?"),
                )
    if told is not None:
        told(standing)
    return standing


def _round(
    futures: dict[Future[Any], str],
    standing: dict[str, Standing],
    told: Callable[[Mapping[str, Standing]], None] | None,
    every: float,
) -> dict[str, State]:
    """Until everything has ended, or the executor is broken; gives what was so broken off, and how it stood then."""
    left = {*futures}
    died: dict[str, State] = {}
    while left:
        ended, left = wait(left, timeout=every, return_when="FIRST_COMPLETED")
        for future in left:
            standing[futures[future]] = Standing("running" if future.running() else "waiting")
        for future in ended:
            name = futures[future]
            was, standing[name] = standing[name].state, _ended(future)
            if isinstance(standing[name].error, BrokenExecutor):
                died[name] = was
                standing[name] = Standing("waiting")
        if told is not None:
            told(standing)
    return died


def _shut_down(executor: Executor, futures: Iterable[Future[Any]]) -> None:
    for future in futures:  # and not by ``shutdown(cancel_futures=True)``, which Dask's executor does not know
        future.cancel()
    executor.shutdown(wait=False)


def _ended(future: Future[Any]) -> Standing:
    try:
        return Standing("done", future.result())
    except CancelledError as error:
        return Standing("failed", error=error)
    except Exception as error:
        return Standing("failed", error=error)
