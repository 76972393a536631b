"""Work on the pieces of a batch of tasks, side by side on the cores of a CPU.

Pieces that fit the cache, on worker threads with one intra-op thread each, beat one large operation on every core:
the tasks of a batch are independent, and torch releases the interpreter's lock inside its operations.

With ``QUICKSTUDY_LEAVE_ALONE=1`` in the environment no thread is started and no setting of the process is touched.
"""

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from functools import cache
from queue import SimpleQueue
from typing import Any, Literal, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import nn

from quickstudy.core import draws
from quickstudy.core.batch import Batch
from quickstudy.core.precision import computing_in, low_dtype
from quickstudy.core.stateless import with_tensors

B = TypeVar("B", bound=Batch)
M = TypeVar("M", bound=nn.Module)
R = TypeVar("R")
T = TypeVar("T")

_Draws = Literal["nothing", "own", "default"]
"""What a piece's draws come from: there are none; a state of its own; the default generator, a piece after another."""
_draws: WeakKeyDictionary[nn.Module, dict[bool, _Draws]] = WeakKeyDictionary()
_here = threading.local()


def pieces(batch: B, size: int | None) -> list[B]:
    """The batch in pieces of at most ``size`` tasks, in order (None: in one piece)."""
    if size is None or size >= len(batch):
        return [batch]
    return [batch[i : i + size] for i in range(0, len(batch), size)]


def run_pieces(
    work: Callable[[M, B], R],
    module: M,
    items: Sequence[B],
    workers: int | None = None,
    *,
    noise: draws.Noise | None = None,
) -> list[R]:
    """``[work(module, item) for item in items]``, on ``workers`` threads (None: as many as torch may use here).

    The results do not depend on the number of workers: each of several pieces is computed with one intra-op thread,
    the list is in order, and what is random follows from ``noise`` (None: from torch's default generator, which moves
    on if anything was drawn) and a piece's place in the batch. Threads work under the caller's autocast and grad mode.
    """
    given = draws.noise_of_caller() if noise is None else noise
    first = [given.first + sum(len(item) for item in items[:i]) for i in range(len(items))]
    noises = [draws.Noise(given.seed, at) for at in first]
    known = _draws.setdefault(module, {})
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    source = known.get(module.training, "own" if module.training else "nothing")
    if device.type != "cpu":
        source = "default"
    while True:
        before = draws.states()
        results, drew, failed = _attempt(work, module, items, noises, source, workers, device)
        if source == "default":
            break
        if not failed and not draws.drawn_since(before):
            break
        source = "own" if source == "nothing" and not failed else "default"
    known[module.training] = "nothing" if source == "own" and not drew else source
    if drew and noise is None:
        draws.advance()
    return results


def _attempt(
    work: Callable[[M, B], R],
    module: M,
    items: Sequence[B],
    noises: Sequence[draws.Noise],
    source: _Draws,
    workers: int | None,
    device: torch.device,
) -> tuple[list[R], bool, bool]:
    """The results; whether any piece drew, as far as it can be told; whether they have to be found in another way."""
    within = draws.in_seeded_block()
    parts = [draws.Piece(noise, own=source == "own", within=within) for noise in noises]
    if source == "default":
        results: list[R] = []
        drew = False
        for part, item in zip(parts, items, strict=True):
            with draws.seeded(part.seed, device):
                before = draws.states(device)
                results.append(part.run(lambda one=item: work(module, one)))
                drew |= part.drew or draws.drawn_since(before, device)
        return results, drew, False
    jobs = list(zip(parts, items, strict=True))
    try:
        results = _side_by_side(work, module, jobs, workers)
    except draws.DrawnInCheckpointError:
        return [], True, True
    return results, any(part.drew for part in parts), False


def _side_by_side(
    work: Callable[[M, B], R], module: M, jobs: Sequence[tuple[draws.Piece, B]], workers: int | None
) -> list[R]:
    count = min(len(jobs), workers or torch.get_num_threads())
    if len(jobs) == 1 or getattr(_here, "works", False) or leave_alone():
        return [part.run(lambda one=item: work(module, one)) for part, item in jobs]
    _keep_freed_memory()
    free: SimpleQueue[M] = SimpleQueue()
    for _ in range(count):
        # Module objects of each thread's own, for learners of others that change theirs while they run.
        free.put(module if count == 1 else with_tensors(module, {}))
    enter = _modes_of_caller()

    def one(job: tuple[draws.Piece, B]) -> R:
        part, item = job
        own = free.get()
        try:
            with enter():
                return part.run(lambda: work(own, item))
        finally:
            free.put(own)

    return list(_on_pool(one, jobs, count, ahead=len(jobs)))


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int | None = None) -> Generator[R]:
    """``work(item)`` of each item, in order, on ``workers`` threads (None: as many as torch may use here).

    Each item is computed with one intra-op thread, under the modes of whoever asks for the first result. No more than
    three items a thread are taken before their results are asked for, so that what flows through has no end to fear.
    """
    count = workers or torch.get_num_threads()
    if count == 1 or getattr(_here, "works", False) or leave_alone():
        yield from map(work, items)
        return
    _keep_freed_memory()
    enter = _modes_of_caller()

    def one(item: T) -> R:
        with enter():
            return work(item)

    yield from _on_pool(one, items, count, ahead=3 * count)


def _on_pool(work: Callable[[T], R], items: Iterable[T], workers: int, *, ahead: int) -> Generator[R]:
    """``work(item)`` of each item, in order; ``ahead`` of them may be begun before the first is asked for."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(_pool(workers, os.getpid()).submit(work, item))
            if len(waiting) > ahead:
                yield waiting[0].result()
                waiting.popleft()
        while waiting:
            yield waiting[0].result()
            waiting.popleft()
    finally:  # after an error, too, nothing goes on behind the caller's back
        for future in waiting:
            future.cancel()
        wait(waiting)


def _modes_of_caller() -> Callable[[], Any]:
    """A context that gives another thread this one's autocast and precision, grad mode and default device."""
    low = low_dtype()
    autocast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")
    grad, inference, device = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_device()

    @contextmanager
    def enter() -> Generator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(inference))
            stack.enter_context(torch.set_grad_enabled(grad))
            enabled, dtype = autocast  # its cache of weights is one for all threads: what is in it would depend on them
            stack.enter_context(torch.autocast("cpu", dtype=dtype, enabled=enabled, cache_enabled=False))
            stack.enter_context(computing_in(low))
            if device.type != "cpu":
                stack.enter_context(device)
            yield

    return enter


_starting = threading.Lock()


@cache
def _pool(workers: int, pid: int) -> ThreadPoolExecutor:
    """One pool per size and process (threads do not survive a fork), its threads started and told to work alone."""
    del pid
    with _starting:
        before = torch.get_num_threads()
        ready = threading.Barrier(workers)

        def start(_: int) -> None:
            torch.get_num_threads()  # which takes over the process's number, once
            torch.set_num_threads(1)
            _here.works = True
            ready.wait()

        pool = ThreadPoolExecutor(workers, "quickstudy")
        list(pool.map(start, range(workers)))
        torch.set_num_threads(before)  # the number is a thread's own, but new threads begin with the last that was set
        return pool


@contextmanager
def keeping_threads(count: int) -> Generator[None]:
    """Work with this number of torch's threads, on which the last bits of large operations depend."""
    before = torch.get_num_threads()
    if count != before and not leave_alone():
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def leave_alone() -> bool:
    """Whether the process is to be left as it is (see above)."""
    return os.environ.get("QUICKSTUDY_LEAVE_ALONE", "") not in ("", "0")


@cache
def _keep_freed_memory() -> None:
    """Let glibc's allocator keep up to 512 MiB that tensors gave back, and not map each larger one anew.

    Every task allocates what the last one freed; returning it to the system in between cost a sixth to a quarter of
    the time (page faults). Other C libraries have no such call, and nothing is lost without it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3
        mallopt(trim_threshold, 1 << 29)
        mallopt(mmap_threshold, 1 << 25)
