"""Conjugate gradients: each task's own equation, and where they stop."""

import torch

from quickstudy.core.conjugate_gradients import conjugate_gradients


def test_conjugate_gradients_solve_each_task_alone():
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(3, 5, 5, generator=rng, dtype=torch.float64)
    a = a @ a.mT + torch.eye(5)
    u, v = torch.randn(3, 5, generator=rng, dtype=torch.float64).split([2, 3], 1)
    b = {"u": u, "v": v}

    def matrix(v):
        out = (a @ torch.cat([v["u"], v["v"]], 1)[..., None])[..., 0]
        return {"u": out[:, :2], "v": out[:, 2:]}

    x, residual = conjugate_gradients(matrix, b, steps=15)  # more than five: nothing is divided by zero
    expected = torch.linalg.solve(a, torch.cat([b["u"], b["v"]], 1))
    torch.testing.assert_close(torch.cat([x["u"], x["v"]], 1), expected, rtol=1e-8, atol=1e-10)
    assert residual.max() < 1e-8


def test_conjugate_gradients_stop_at_negative_curvature_in_that_task_only():
    signs = torch.tensor([[2.0], [-2.0]])
    x, _ = conjugate_gradients(lambda v: {"w": signs * v["w"]}, {"w": torch.ones(2, 1)}, steps=3)
    torch.testing.assert_close(x["w"], torch.tensor([[0.5], [1.0]]))
