"""The compiled meta-gradient is the meta-gradient."""

import shutil

import pytest
import torch

import quickstudy as qs
from quickstudy.core.precision import computing_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler for torch.compile on a CPU"),
    pytest.mark.filterwarnings("ignore"),  # torch's compiler warns of its own affairs
]


def grads(learner, batch, **options):
    learner.zero_grad()
    metrics = learner.meta_backward(batch, **options)
    return [p.grad.clone() for p in learner.parameters()], metrics


def test_it_is_the_meta_gradient_and_follows_the_weights():
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(hidden=(6,)), inner_lr=0.05, inner_steps=2, loss="mse")
    tasks = qs.tasks.Sinusoids(shot=4, query=3)
    for seed in (0, 1):  # the second time, with other weights and tasks, nothing is compiled
        batch = tasks.sample(3, seed)
        expected, metrics = grads(learner, batch)
        found, compiled_metrics = grads(learner, batch, compile=True)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        assert compiled_metrics == pytest.approx(metrics, rel=1e-5)
        with torch.no_grad():
            for p in learner.parameters():
                p.add_(0.1)


@pytest.mark.parametrize("low", [None, torch.bfloat16])
def test_convolution_blocks_are_recorded_whatever_the_signs_of_their_norms(low, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda graph, **how: graph)  # minutes
    torch.manual_seed(0)
    net = qs.nets.Conv4(filters=2, size=16, out_features=2)
    learner = qs.MAML(net, inner_lr=0.01, order=1)
    tasks = qs.tasks.Glyphs(way=2, query=1, size=16)
    for seed in (0, 1):  # recorded where all are positive; one has another sign later
        batch = tasks.sample(1, seed)
        with computing_in(low):
            expected, _ = grads(learner, batch)
            found, _ = grads(learner, batch, compile=True)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)
        with torch.no_grad():
            net.blocks[1].norm.weight[0] = -0.5


def test_what_looks_into_its_data_is_refused():
    class Branching(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(1, 1)

        def forward(self, x):
            return self.linear(x) if x.sum() > 0 else -self.linear(x)

    learner = qs.MAML(Branching(), loss="mse", execution="loop")
    with pytest.raises(qs.UsageError, match="cannot be compiled here"):
        learner.meta_backward(qs.tasks.Sinusoids().sample(2, 0), compile=True)
