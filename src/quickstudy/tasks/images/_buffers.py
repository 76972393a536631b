"""Memory for large batches, used again: half of the time of a batch went into pages that the system had to clear.

A tensor here has its memory from a NumPy array. When the last tensor that looks at it is gone, the memory comes back,
and the next batch of that size takes it. Who keeps a batch keeps its memory.
"""

import threading
import weakref
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEAST = 4_000_000  # bytes: below, memory costs next to nothing
MOST = 4  # that wait to be taken
_waiting: list[NDArray[np.float32]] = []
_lock = threading.RLock()  # what is collected may come back in the middle of taking


def floats(shape: tuple[int, ...]) -> Tensor:
    """A float32 tensor on the CPU; what is in it is anything."""
    if prod(shape) * 4 < LEAST:
        return torch.empty(shape, dtype=torch.float32, device="cpu")
    memory = _taken(prod(shape))
    lent = memory[:]  # lives as long as a tensor looks at it
    weakref.finalize(lent, _back, memory).atexit = False
    return torch.from_numpy(lent).view(shape)


def _taken(count: int) -> NDArray[np.float32]:
    with _lock:
        for place, memory in enumerate(_waiting):
            if len(memory) == count:
                return _waiting.pop(place)
    return np.empty(count, np.float32)


def _back(memory: NDArray[np.float32]) -> None:
    with _lock:
        _waiting.append(memory)
        del _waiting[:-MOST]
