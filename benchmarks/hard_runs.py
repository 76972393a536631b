"""One-shot classification within an alphabet, as people were asked: the published runs, and others like them.

A run is 20 characters of one alphabet, drawn by two people: the drawings of one are what is learned from, one each,
those of the other are asked. The 20 published runs are two of each of ten evaluation alphabets; which drawings they are
of was found by comparing their images with the data's, pixel by pixel: every one is there once.

Reference: Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic program induction. Science
2015; https://github.com/brendenlake/omniglot, python/one-shot-classification/all_runs.zip (MIT licence).
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

DRAWERS = 20
WAY = 20


@dataclass(frozen=True)
class HardRun:
    """Which drawings: ``Alphabet/characterNN`` by name, and the two drawers, from 0."""

    characters: tuple[str, ...]
    support: int
    query: int


# Each alphabet's two runs: the drawer to learn from and the drawer to ask, from 1, and the numbers of its characters.
PUBLISHED = {
    "Atlantean": (((5, 8), (3, 2)), "1 2 3 4 5 7 8 9 10 13 14 16 19 20 21 22 23 24 25 26"),
    "Ge_ez": (((3, 7), (4, 2)), "1 2 3 4 5 6 8 9 10 12 14 15 16 17 18 20 21 23 24 25"),
    "Glagolitic": (((6, 4), (3, 2)), "1 2 3 5 6 7 14 17 18 19 20 21 26 28 31 34 36 37 40 43"),
    "Gurmukhi": (((5, 2), (8, 3)), "3 6 7 8 9 13 14 15 16 17 22 25 26 29 31 32 33 38 43 44"),
    "Kannada": (((2, 1), (8, 3)), "1 3 5 8 11 12 13 14 19 20 21 23 25 26 27 28 33 35 40 41"),
    "Malayalam": (((3, 7), (4, 2)), "2 4 5 9 13 14 15 16 17 19 20 21 22 25 27 29 30 37 43 46"),
    "Manipuri": (((8, 4), (7, 3)), "3 4 6 8 9 11 12 13 15 17 19 21 22 25 29 33 35 36 37 39"),
    "Old_Church_Slavonic_(Cyrillic)": (((4, 8), (1, 2)), "2 4 5 6 7 8 9 11 12 13 14 15 23 24 25 30 33 41 44 45"),
    "Tengwar": (((1, 4), (8, 7)), "1 2 4 5 7 8 9 10 11 12 13 16 18 19 20 21 22 23 24 25"),
    "Tibetan": (((1, 3), (8, 5)), "1 2 3 5 6 7 8 9 11 13 14 15 21 22 24 33 35 36 38 41"),
}


def published() -> list[HardRun]:
    """The 20 runs that people were tested with (4.5% errors)."""
    return [
        HardRun(tuple(f"{alphabet}/character{int(n):02d}" for n in numbers.split()), support - 1, query - 1)
        for alphabet, (drawers, numbers) in PUBLISHED.items()
        for support, query in drawers
    ]


def drawn(names: Sequence[str], alphabets: Collection[str], count: int, seed: int) -> list[HardRun]:
    """``count`` runs like these, by seed: alphabets in turns, characters and drawers (of all 20) at random.

    Args:
        names: of the characters there are.
        alphabets: those to draw from; of those with fewer than 20 characters there are no runs.
        count: how many.
        seed: of the choice.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for name in names:
        members[name.split("/")[0]].append(name)
    usable = sorted(alphabet for alphabet in alphabets if len(members[alphabet]) >= WAY)
    rng = np.random.default_rng(seed)
    found: list[HardRun] = []
    for number in range(count):
        characters = rng.choice(members[usable[number % len(usable)]], WAY, replace=False)
        support, query = rng.choice(DRAWERS, 2, replace=False)
        found.append(HardRun(tuple(map(str, characters)), int(support), int(query)))
    return found
