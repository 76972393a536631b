"""Differences of two learners on the same tasks; the report's and the sweep's tables are tested with them."""

import pytest
import torch

from quickstudy.training.intervals import half_width, mean_and_half_width
from quickstudy.training.paired import gap
from quickstudy.training.results import Result, StepScore


def result(scores, *, draws=4, **more):
    steps = (StepScore(0, sum(scores) / 4, 0.1, 1.0),)
    known = {"metric": "mse", "n_tasks": 4, "seed": 0, "bn": "none", "tasks": "t"} | more
    return Result(by_step=steps, draws=draws, scores=scores, **known)


ONE, OTHER, APART = (0.1, 0.2, 0.3, 0.4), (0.2, 0.2, 0.5, 0.5), torch.tensor([0.1, 0.0, 0.2, 0.1])


def test_over_tasks_draws_and_seeds():
    found = gap([(result(ONE), result(OTHER))])
    assert (found.mean, found.over) == (pytest.approx(0.1), "4 tasks")
    assert found.ci95 == pytest.approx(float(half_width(APART)))
    found = gap([(result(ONE, draws=2), result(OTHER, draws=2))])
    assert (found.ci95, found.over) == (pytest.approx(float(half_width(APART, [2, 2]))), "2 draws of tasks")
    found = gap([(result(ONE), result(OTHER)), (result(ONE), result(ONE))])
    assert (found.mean, found.over) == (pytest.approx(0.05), "2 seeds")
    assert found.ci95 == pytest.approx(mean_and_half_width(torch.tensor([0.1, 0.0]))[1])


@pytest.mark.parametrize(
    "changed", [{"seed": 1}, {"metric": "loss"}, {"tasks": "u"}, {"n_tasks": 3}, {"draws": 2}, {"scores": ()}]
)
def test_other_tasks_have_no_difference(changed):
    assert gap([(result(ONE), result(**{"scores": OTHER} | changed))]) is None


def test_older_results_have_none():
    assert gap([]) is None
    assert gap([(result(()), result(()))]) is None
    assert gap([(result(ONE, draws=0), result(OTHER, draws=0))]) is None
