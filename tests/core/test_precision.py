"""Derivatives in 16 bits are derivatives: of every order, in every way of running tasks, and close to float32's."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.core._low_products import PRODUCTS
from quickstudy.core.precision import computing_in, low_dtype, lowered, raised
from quickstudy.testing import gradient

LOW = [torch.bfloat16, torch.float16]
LAYERS = {
    "linear": (F.linear, (3, 4, 6), (5, 6), {}),
    "conv1d": (F.conv1d, (2, 4, 9), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    "conv2d": (F.conv2d, (2, 3, 7, 7), (4, 3, 3, 3), {"padding": (1, 0), "dilation": 2}),
    "conv3d": (F.conv3d, (1, 2, 4, 4, 4), (3, 2, 2, 2, 2), {}),
}


def derivatives(function, inputs):
    """Value, first and second derivatives along fixed random directions."""
    rng = torch.Generator().manual_seed(1)
    y = function(*inputs)
    first = torch.autograd.grad((torch.randn(y.shape, generator=rng) * y * y).sum(), inputs, create_graph=True)
    along = sum((torch.randn(g.shape, generator=rng) * g).sum() for g in first)
    return y, *first, *torch.autograd.grad(along, inputs)


def apart(found, right):
    return float((found - right).detach().norm() / right.detach().norm())


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("layer", LAYERS)
def test_outputs_are_float32s_and_derivatives_are_close(layer, low):
    function, x, weight, options = LAYERS[layer]
    torch.manual_seed(0)
    inputs = [torch.randn(shape, requires_grad=True) for shape in (x, weight, weight[:1])]
    right = derivatives(lambda *t: function(*t, **options), inputs)
    found = derivatives(lambda *t: PRODUCTS[function](low, *t, **options), inputs)
    torch.testing.assert_close(found[0], right[0])
    errors = [apart(a, b) for a, b in zip(found[1:], right[1:], strict=True)]
    assert max(errors) < (1e-2 if low == torch.bfloat16 else 2e-3)
    assert max(errors) > 1e-6, "something was rounded"


@pytest.mark.parametrize("size", [1e-30, 1e-9, 1.0, 1e20])
def test_what_float16_cannot_hold_is_scaled_and_comes_back(size):
    torch.manual_seed(0)
    a, b = torch.randn(3, 5000) * size, torch.randn(5000, 2) * 1e5
    (low_a, s), (low_b, t) = lowered(a, torch.float16, 5000), lowered(b, torch.float16, 5000)
    assert apart(raised(low_a @ low_b, s, t).double(), a.double() @ b.double()) < 2e-3


def test_zeros_and_nothing_are_scaled_too():
    for empty in (torch.zeros(3), torch.zeros(0, 2)):
        low, scale = lowered(empty, torch.float16, 4)
        assert torch.equal(raised(low, scale), empty)


def maml(low, execution, *, blocks=True, order=2):
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=4, size=16, out_features=3) if blocks else plain_net()
    learner = qs.MAML(net, inner_lr=0.001, inner_steps=1, order=order, execution=execution)
    with computing_in(low):
        return gradient(learner, qs.tasks.Glyphs(way=3, query=2, size=16).sample(2, 0))


def plain_net():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(784, 3))


@pytest.mark.parametrize("low", LOW)
@pytest.mark.parametrize("blocks", [True, False])
def test_a_meta_gradient_is_the_same_however_tasks_run(blocks, low):
    right = maml(None, "loop", blocks=blocks)
    found = {how: maml(low, how, blocks=blocks) for how in ("loop", "threads", "vmap")}
    assert torch.equal(found["loop"], found["threads"]), "worker threads have the caller's precision"
    assert 1e-5 < apart(found["loop"], right) < 0.02
    assert apart(found["vmap"], right) < 0.02


def test_it_ends_with_its_block_also_after_an_error():
    with pytest.raises(ValueError, match="here"), computing_in(torch.bfloat16):
        raise ValueError("here")
    assert low_dtype() is None


@pytest.mark.slow
def test_w1_keeps_its_direction():
    path = Path(__file__).parents[2] / "benchmarks" / "workloads.py"
    spec = importlib.util.spec_from_file_location("workloads", path)
    sys.modules["workloads"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    work = replace(module.W1, tasks=2)
    learner = qs.MAML(work.quickstudy_net(work.net()), inner_lr=work.inner_lr)
    right = gradient(learner, work.batch())
    with computing_in(torch.bfloat16):
        found = gradient(learner, work.batch())
    assert apart(found, right) < 0.05
    assert float(F.cosine_similarity(found, right, dim=0)) > 0.999
