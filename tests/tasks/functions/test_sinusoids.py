import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quickstudy.core.errors import UsageError
from quickstudy.tasks import Sinusoids, TaskDistribution


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 50), st.integers(0, 2**62))
def test_promises(shot: int, query: int, tasks: int, seed: int) -> None:
    sinusoids = Sinusoids(shot=shot, query=query)
    batch = sinusoids.sample(tasks, seed)
    amplitude, phase = sinusoids.parameters(tasks, seed)
    assert amplitude.shape == phase.shape == (tasks,)
    assert (amplitude >= 0.1).all()
    assert (amplitude <= 5).all()
    assert (phase >= 0).all()
    assert (phase <= math.pi).all()
    for part, n in ((batch.support, shot), (batch.query, query)):
        assert part.x.shape == part.y.shape == (tasks, n, 1)
        assert part.x.dtype == part.y.dtype == torch.float32
        assert (part.x.abs() <= 5).all()
        torch.testing.assert_close(part.y, amplitude[:, None, None] * torch.sin(part.x - phase[:, None, None]))
    assert torch.equal(sinusoids.sample(tasks, seed).query.y, batch.query.y)


def test_draws_cover_the_ranges_and_splits_differ() -> None:
    train, test = Sinusoids(), Sinusoids(split="test")
    amplitude, phase = train.parameters(2000, 0)
    assert amplitude.mean().item() == pytest.approx(2.55, abs=0.15)
    assert phase.mean().item() == pytest.approx(math.pi / 2, abs=0.1)
    assert not torch.equal(test.parameters(5, 0)[0], train.parameters(5, 0)[0])
    assert not torch.equal(train.parameters(5, 1)[0], train.parameters(5, 0)[0])
    assert isinstance(train, TaskDistribution)
    assert (train.x_shape, train.outputs, train.kind) == ((1,), 1, "regression")
    assert train.describe() == "Sinusoids train (amplitude 0.1 to 5), 10-shot, 10 query points"


def test_a_number_of_points_may_be_drawn() -> None:
    """Batch by batch; the curves are those of a fixed number."""
    some = Sinusoids(shot=(2, 4))
    sizes = {some.sample(3, seed).support.x.shape[1] for seed in range(20)}
    assert sizes == {2, 3, 4}
    assert all(some.sample(3, seed).query.x.shape == (3, 10, 1) for seed in range(5))
    assert torch.equal(some.parameters(3, 7)[1], Sinusoids().parameters(3, 7)[1])
    assert "2- to 4-shot" in some.describe()
    with pytest.raises(UsageError, match="shot must be two"):
        Sinusoids(shot=(4, 2))


@pytest.mark.parametrize(
    "options", [{"shot": 0}, {"query": 0}, {"amplitude": (5.0, 0.1)}, {"x_range": (0.0, math.inf)}, {"split": "x"}]
)
def test_what_cannot_work_is_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        Sinusoids(**options)
    with pytest.raises(UsageError):
        Sinusoids().sample(0, 0)
