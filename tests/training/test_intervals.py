"""95% intervals: Student's t by its tables, the mean of blocks by hand."""

import math

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.training.intervals import half_width, mean_and_half_width, t_quantile

# Fisher and Yates, Statistical Tables, 1963, table III.
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 10: 2.228, 30: 2.042, 60: 2.000, 120: 1.980}


@pytest.mark.parametrize("dof", TABLE)
def test_students_t(dof):
    assert round(t_quantile(dof), 3) == TABLE[dof]


def test_students_t_has_no_step_where_its_formula_changes_and_ends_at_the_normals():
    values = np.array([t_quantile(dof) for dof in range(90, 112)])
    assert (np.diff(values) < 0).all()
    np.testing.assert_allclose(np.diff(values)[1:], np.diff(values)[:-1], rtol=0.03)
    assert t_quantile(10**7) == pytest.approx(1.959964, abs=1e-6)


@pytest.mark.parametrize("n", [3, 5, 1000])
def test_independent_draws(n):
    values = torch.randn(2, n, generator=torch.Generator().manual_seed(0))
    by_hand = t_quantile(n - 1) * values.double().numpy().std(1, ddof=1) / math.sqrt(n)
    np.testing.assert_allclose(half_width(values), by_hand)
    np.testing.assert_allclose(half_width(values, [1] * n), by_hand)
    assert mean_and_half_width(values[0]) == pytest.approx((float(values[0].mean()), by_hand[0]), rel=1e-5)


def test_blocks_of_one_size_are_their_means():
    values = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double()
    assert float(half_width(values.flatten(), [4] * 6)) == pytest.approx(float(half_width(values.mean(1))))


def test_blocks_of_several_sizes_by_hand():
    values, blocks = torch.tensor([1.0, 2.0, 4.0, 0.0, 3.0]), [2, 2, 1]
    mean = 2.0
    sums = [(1 - mean) + (2 - mean), (4 - mean) + (0 - mean), 3 - mean]
    by_hand = 4.302653 * math.sqrt(3 / 2 * sum((s / 5) ** 2 for s in sums))
    assert float(half_width(values, blocks)) == pytest.approx(by_hand, rel=1e-6)


def test_what_is_no_interval():
    with pytest.raises(qs.UsageError, match=r"at least 2 independent draws, got 1 \(of 4 values\)"):
        half_width(torch.zeros(4), [4])
    for blocks in ([2, 1], [4, 0], []):
        with pytest.raises(qs.UsageError, match="of at least one value and 4 together"):
            half_width(torch.zeros(4), blocks)
    assert math.isnan(mean_and_half_width(torch.ones(1))[1])
    assert math.isnan(half_width(torch.tensor([1.0, math.nan, 2.0])))
