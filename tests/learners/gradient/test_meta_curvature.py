"""Meta-Curvature is MAML while its matrices are identity, and multiplies by their Kronecker product afterwards."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.rules import Curvature
from quickstudy.testing import double, gradient


def conv4():
    torch.manual_seed(0)
    return qs.nets.Conv4(filters=3, size=16, out_features=3).double()


@pytest.mark.parametrize("order", [1, 2])
def test_identity_gives_maml(order):
    model = conv4()
    batch = double(qs.tasks.Glyphs(way=3, query=2, size=16).sample(3, seed=0))
    options = {"inner_lr": 0.3, "inner_steps": 2, "order": order}
    found = gradient(qs.MetaCurvature(model, **options), batch)
    expected = gradient(qs.MAML(model, **options), batch)
    torch.testing.assert_close(found[: len(expected)], expected, rtol=1e-12, atol=1e-14)
    assert found[len(expected) :].abs().max() > 0


@pytest.mark.parametrize(
    ("shape", "parts"),
    [
        ((4, 3, 2, 2), ("out", "in", "filter")),
        ((4, 3, 5), ("out", "in", "filter")),
        ((4, 3), ("out", "in")),
        ((4,), ("out",)),
        ((), ("out",)),
    ],
)
def test_a_step_is_the_kronecker_product_times_the_flat_gradient(shape, parts):
    rng = torch.Generator().manual_seed(0)
    rule = Curvature({"a.b": torch.zeros(shape, dtype=torch.float64)}, lr=0.1)
    assert [*rule.matrices] == [f"a/b/{part}" for part in parts]
    product = torch.ones(1, 1, dtype=torch.float64)
    for part in parts:
        matrix = rule.matrices[f"a/b/{part}"]
        matrix.data = torch.randn(matrix.shape, generator=rng, dtype=torch.float64)
        product = torch.kron(product, matrix.data)
    p, g = torch.randn(2, 5, *shape, generator=rng, dtype=torch.float64)
    moved, _ = rule.update({"a.b": p}, {"a.b": g}, rule.init({"a.b": p}))
    for t in range(5):
        expected = p[t].flatten() - 0.1 * product @ g[t].flatten()
        torch.testing.assert_close(moved["a.b"][t].flatten(), expected, rtol=1e-12, atol=1e-12)


def test_the_gradient_of_a_matrix_by_hand():
    """A vector p with gradient g moves to p' = p - lr M g, so dL'/dM = -lr (dL'/dp') g'."""
    rule = Curvature({"p": torch.zeros(3, dtype=torch.float64)}, lr=0.1)
    p, g, slope = torch.randn(3, 1, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved, _ = rule.update({"p": p}, {"p": g}, None)
    (moved["p"] * slope).sum().backward()
    torch.testing.assert_close(rule.matrices["p/out"].grad, -0.1 * torch.outer(slope[0], g[0]))


def test_its_matrices_are_small_and_of_the_layers_they_belong_to():
    model = qs.nets.Conv4(filters=8, out_features=5)
    sizes = {name: tuple(m.shape) for name, m in qs.MetaCurvature(model).rule.matrices.items()}
    second = [name for name, p in model.named_parameters() if p.ndim == 4][1].replace(".", "/")
    assert [sizes[f"{second}/{mode}"] for mode in ("out", "in", "filter")] == [(8, 8), (8, 8), (9, 9)]
    assert sizes["head/weight/out"] == (5, 5)
    assert sizes["head/weight/in"] == (8, 8)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    model[1].bias.requires_grad_(False)
    assert [*qs.MetaCurvature(model).rule.matrices] == ["1/weight/out", "1/weight/in"]


def test_options():
    with pytest.raises(qs.UsageError, match="lr > 0"):
        qs.MetaCurvature(qs.nets.MLP(), inner_lr=0.0)
    with pytest.raises(qs.UsageError, match="order 1 or 2"):
        qs.MetaCurvature(qs.nets.MLP(), order=0)
