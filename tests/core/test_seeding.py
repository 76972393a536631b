"""Counter-based randomness is a function of its counters, and spreads."""

import torch

from quickstudy.core.seeding import GOLDEN, fold, generator, mixed, scrambled, uniform


def test_fold_depends_on_every_counter_and_their_order():
    seeds = {fold(0), fold(1), fold(0, 1), fold(0, 2), fold(0, "a"), fold(0, 1, 2), fold(0, 2, 1), fold(1, 0)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_fold_is_pinned():
    """Changing it would change every result that was ever written down."""
    assert fold(0, "train", 7) == PINNED


PINNED = 187698860987664102


def test_uniform_covers_its_range():
    draws = uniform(generator(0, "x"), (10_000,), -2.0, 3.0)
    assert -2 <= draws.min() < -1.99
    assert 2.99 < draws.max() < 3
    assert torch.equal(draws, uniform(generator(0, "x"), (10_000,), -2.0, 3.0))


def test_splitmix64_is_the_published_one():
    """Its first numbers from seed 0 (Vigna's splitmix64.c), and the upper bits before the last shift."""
    counted = torch.arange(1, 4) * GOLDEN
    found = scrambled(counted)
    assert [int(z) % 2**64 for z in found] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert torch.equal(mixed(counted) >> 33, found >> 33)
