"""Calibration and likelihoods, against torch's distributions and loops."""

import math

import pytest
import torch
from torch.distributions import Normal

import quickstudy as qs
from quickstudy.apply.calibration import best_noise, calibration_error, class_log_likelihood, value_log_likelihood


def test_calibration_error_bin_by_bin():
    torch.manual_seed(0)
    p = (3 * torch.randn(4, 50, 3)).softmax(-1).double()
    y = torch.randint(3, (4, 50))
    confidence, predicted = p.flatten(0, 1).max(-1)
    expected = 0.0
    for b in range(10):
        inside = (confidence > b / 10) & (confidence <= (b + 1) / 10)
        if inside.any():
            accuracy = (predicted == y.flatten())[inside].double().mean()
            expected += float(inside.double().mean() * (accuracy - confidence[inside].mean()).abs())
    assert float(calibration_error(p, y, bins=10)) == pytest.approx(expected)
    assert expected > 0.1


def test_who_is_as_sure_as_right_has_no_calibration_error():
    p = torch.tensor([0.75, 0.25]).expand(4, 2)
    assert float(calibration_error(p, torch.tensor([0, 0, 0, 1]))) == pytest.approx(0, abs=1e-6)
    sure = torch.eye(2)
    assert float(calibration_error(sure, torch.tensor([0, 1]))) == 0
    assert float(calibration_error(sure, torch.tensor([1, 0]))) == 1
    with pytest.raises(qs.UsageError, match="not logits"):
        calibration_error(torch.tensor([[2.0, 1.0]]), torch.tensor([0]))


def test_likelihood_of_classes_is_that_of_the_mean_probability():
    torch.manual_seed(0)
    each, y = torch.randn(2, 4, 5, 3).double(), torch.randint(3, (2, 5))
    p = each.softmax(-1).mean(1)
    expected = [sum(math.log(p[t, n, y[t, n]]) for n in range(5)) / 5 for t in range(2)]
    assert class_log_likelihood(each, y).tolist() == pytest.approx(expected)


def test_likelihood_of_values_is_a_normal_distributions():
    torch.manual_seed(0)
    each, y = torch.randn(2, 6, 5, 2).double(), torch.randn(2, 5, 2).double()
    spread = (each.var(1, correction=0) + 0.3**2).sqrt()
    expected = Normal(each.mean(1), spread).log_prob(y).sum(-1).mean(1)
    torch.testing.assert_close(value_log_likelihood(each, y, 0.3), expected)


def test_the_noise_that_fits():
    torch.manual_seed(0)
    y = 0.2 * torch.randn(50, 20, 1)
    alone = torch.zeros(50, 1, 20, 1)
    assert best_noise(alone, y) == pytest.approx(0.2, rel=0.1)
    spread = torch.stack([torch.full_like(y, 0.2), torch.full_like(y, -0.2)], 1)  # says it all
    assert best_noise(spread, y) < 0.05
