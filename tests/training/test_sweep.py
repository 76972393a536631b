"""Pieces of work are each done once, whoever dies meanwhile."""

import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import ClassVar

from quickstudy.training.sweep import Standing, sweep


def double(piece):
    if piece == "bad":
        raise ValueError("no number")
    return 2 * piece


def test_errors_stop_nothing_and_everything_is_told():
    told = []
    found = sweep(
        {"a": 1, "b": "bad", "c": 3}, double, partial(ThreadPoolExecutor, 1), told=lambda now: told.append({**now})
    )
    assert (found["a"], found["c"]) == (Standing("done", 2), Standing("done", 6))
    assert found["b"].state == "failed"
    assert str(found["b"].error) == "no number"
    assert told[-1] == found
    assert sweep({}, double, partial(ThreadPoolExecutor, 1)) == {}


class Dying(ThreadPoolExecutor):
    """A pool that breaks, for all that it was given, when the piece that kills its worker is among it."""

    rounds: ClassVar[list[list[object]]] = []

    def __init__(self):
        super().__init__(1)
        self.rounds.append([])

    def submit(self, do, piece):
        given = self.rounds[-1]
        given.append(piece)

        def run():
            time.sleep(0.01)
            if "killer" in given:
                raise BrokenProcessPool("a worker died")
            return do(piece)

        return super().submit(run)


def test_a_death_takes_others_along_which_are_done_in_the_end():
    Dying.rounds.clear()
    found = sweep({"a": 1, "b": "killer", "c": 3}, double, Dying, every=0.001)
    assert (found["a"], found["c"]) == (Standing("done", 2), Standing("done", 6))
    assert isinstance(found["b"].error, BrokenExecutor)
    assert Dying.rounds[0] == [1, "killer", 3]
    assert Dying.rounds.count(["killer"]) == 1, "alone, once"
