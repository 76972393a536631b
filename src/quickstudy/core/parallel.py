"""Work on the pieces of a batch of tasks, side by side on the cores of a CPU.

Pieces that fit the cache, on worker threads with one intra-op thread each, beat one large operation on every core:
the tasks of a batch are independent, and torch releases the interpreter's lock inside its operations.
"""

import copy
import ctypes
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from queue import SimpleQueue
from typing import TypeVar

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from quickstudy.core.batch import Batch

B = TypeVar("B", bound=Batch)
M = TypeVar("M", bound=nn.Module)
R = TypeVar("R")


def pieces(batch: B, size: int | None) -> list[B]:
    """The batch in pieces of at most ``size`` tasks, in order (None: in one piece)."""
    if size is None or size >= len(batch):
        return [batch]
    return [batch[i : i + size] for i in range(0, len(batch), size)]


def run_pieces(work: Callable[[M, B], R], module: M, items: Sequence[B], workers: int | None = None) -> list[R]:
    """``[work(module, item) for item in items]``, on ``workers`` threads (None: as many as torch may use here).

    The results do not depend on the number of workers: each of several pieces is computed with one intra-op thread,
    the list is in order, and work that draws random numbers (dropout) is done again one after the other, so that its
    draws have an order.
    """
    _keep_freed_memory()
    count = min(len(items), workers or torch.get_num_threads())
    # The choice of attention kernel is global: made once here, threads that make it again do not undo each other's.
    with sdpa_kernel(SDPBackend.MATH):
        if len(items) == 1:
            return [work(module, items[0])]
        if count == 1:
            return _in_turn(work, module, items)
        before = torch.get_rng_state()
        free: SimpleQueue[M] = SimpleQueue()
        for _ in range(count):
            free.put(_structure_copy(module))

        def with_own_module(item: B) -> R:
            own = free.get()
            try:
                return work(own, item)
            finally:
                free.put(own)

        results = list(_pool(count, os.getpid()).map(with_own_module, items))
        if torch.equal(before, torch.get_rng_state()):
            return results
        torch.set_rng_state(before)
        return _in_turn(work, module, items)


def _in_turn(work: Callable[[M, B], R], module: M, items: Sequence[B]) -> list[R]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [work(module, item) for item in items]
    finally:
        torch.set_num_threads(threads)


def _structure_copy(module: M) -> M:
    """The same tensors in module objects of their own: ``functional_call`` fills a module's slots while it runs."""
    return copy.deepcopy(module, {id(t): t for t in (*module.parameters(), *module.buffers())})


@cache
def _pool(workers: int, pid: int) -> ThreadPoolExecutor:
    """One pool per size and process: threads do not survive a fork."""
    del pid
    return ThreadPoolExecutor(workers, "quickstudy", initializer=lambda: torch.set_num_threads(1))


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
