"""Counter-based randomness: every random choice is a function of (seed, counters), never of what ran before.

So a run that resumes at step 500, or a process that takes half of the tasks, draws exactly what an
uninterrupted single process would have drawn.
"""

import hashlib

import torch
from torch import Tensor


def fold(seed: int, *counters: int | str) -> int:
    """Derive a new seed in [0, 2**63) from a seed and any counters (a step, a name).

    >>> fold(0, "train", 7) == fold(0, "train", 7), fold(0, "train", 7) == fold(0, "train", 8)
    (True, False)
    """
    text = "/".join(str(part) for part in (seed, *counters))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *counters: int | str) -> torch.Generator:
    """A fresh CPU generator for ``fold(seed, *counters)``."""
    return torch.Generator().manual_seed(fold(seed, *counters))


def uniform(rng: torch.Generator, size: tuple[int, ...], low: float, high: float) -> Tensor:
    """Independent draws from U[low, high) as a float32 tensor of shape ``size``."""
    return low + (high - low) * torch.rand(size, generator=rng)
