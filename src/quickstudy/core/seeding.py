"""Counter-based randomness: every random choice is a function of (seed, counters), never of what ran before.

So a run that resumes at step 500, or a process that takes half of the tasks, draws exactly what an
uninterrupted single process would have drawn.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor

GOLDEN = -7046029254386353131
"""0x9E3779B97F4A7C15 as an int64: multiples of it, which wrap around, are places to mix."""


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


def mixed(z: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Splitmix64's two rounds (Steele et al. 2014): int64 whose upper bits are as good as random for any numbers z."""
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        z = (z ^ ((z >> shift) & ((1 << (64 - shift)) - 1))) * factor
    return z


def scrambled(z: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """``mixed``, and splitmix64's last shift, by which all bits are."""
    z = mixed(z)
    return z ^ ((z >> 31) & ((1 << 33) - 1))


def places(first: int, count: int, device: torch.device) -> Int[Tensor, " count"]:
    """``count`` multiples of GOLDEN from the ``first``: NumPy wraps around, and a compiler sees what is loaded.

    (Compiled as a product with a loop's counter it overflows, which C++ leaves undefined: gcc's loop never ended.)
    """
    return torch.from_numpy(np.arange(first, first + count) * np.int64(GOLDEN)).to(device)


def content_keys(x: Shaped[Tensor, "tasks ..."]) -> Int[Tensor, " tasks"]:
    """A 64-bit number for each task: a function of what it holds alone, whatever is computed beside it, and where.

    What is random within a task (an order of its examples) can follow from it. Numbers count as float32.
    """
    flat = x.detach().flatten(1)
    bits = flat.float().view(torch.int32).long() if flat.is_floating_point() else flat.long()
    odd = mixed(places(1, bits.shape[1], x.device)) | 1
    return scrambled((bits * odd).sum(1))  # wraps around: exact in any order


def uniform(rng: torch.Generator, size: tuple[int, ...], low: float, high: float) -> Tensor:
    """Independent draws from U[low, high) as a float32 tensor of shape ``size``."""
    return low + (high - low) * torch.rand(size, generator=rng)
