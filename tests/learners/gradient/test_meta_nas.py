"""Meta-NAS learns weights and architecture by a first-order gradient, and prunes the cell for each task."""

import copy

import pytest
import torch
import torch.nn.functional as F

import quickstudy as qs
from quickstudy.core.seeding import generator
from quickstudy.nets import Genotype
from quickstudy.report.pictures import draw
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import double

SHAPE = {"x_shape": (1, 16, 16), "out_features": 3, "filters": 3, "cells": 2}
GLYPHS = qs.tasks.Glyphs(way=3, shot=2, query=2, size=16)


def make(**options):
    torch.manual_seed(0)
    return qs.MetaNAS(**{**SHAPE, "inner_lr": 0.1, "theta_lr": 5.0, **options}).double()


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_gradient_of_weights_and_architecture_by_a_slow_loop(temperature):
    """Each task with a copy of the network, its steps taken in place; the gradients at the end are the outer ones."""
    learner = make(inner_steps=2, temperatures=(temperature, 0.1))
    learner.model.theta.data = torch.randn(3, 7, dtype=torch.float64) / 3
    batch = double(GLYPHS.sample(2, seed=0))
    total = {name: torch.zeros_like(p) for name, p in learner.model.named_parameters()}
    losses = []
    for task in range(2):
        net = copy.deepcopy(learner.model)
        net.theta.data /= temperature
        for step in range(3):
            part = batch.support if step < 2 else batch.query
            net.zero_grad()
            loss = F.cross_entropy(net(part.x[task]), part.y[task])
            loss.backward()
            if step < 2:
                with torch.no_grad():
                    for name, p in net.named_parameters():
                        p -= (5.0 if name == "theta" else 0.1) * p.grad
        losses.append(loss.item())
        for name, p in net.named_parameters():
            total[name] += p.grad / 2 / (temperature if name == "theta" else 1)
    metrics = learner.meta_backward(batch)
    assert metrics["loss"] == pytest.approx(sum(losses) / 2)
    for name, p in learner.model.named_parameters():
        torch.testing.assert_close(p.grad, total[name], rtol=1e-6, atol=1e-9)
    assert learner.model.theta.grad.norm() > 1e-3


def test_adapting_ends_in_a_cell_of_the_tasks_own():
    """Search with the mixture, prune, then train the pruned network by itself from the shared weights."""
    learner = make(inner_steps=2, keep=1, temperatures=(0.2, 0.2), theta_lr=50.0)
    batch = double(GLYPHS.sample(6, seed=1))
    cells = learner.genotypes(batch.support)
    assert len(set(cells)) > 1  # tasks differ
    found = learner.adapt(batch.support)(batch.query.x)
    for task, cell in enumerate(cells):
        net = learner.model.keep_only(cell)
        for _ in range(2):
            loss = F.cross_entropy(net(batch.support.x[task]), batch.support.y[task])
            grads = torch.autograd.grad(loss, list(net.parameters()))
            with torch.no_grad():
                for p, g in zip(net.parameters(), grads, strict=True):
                    p -= 0.1 * g
        torch.testing.assert_close(found[task], net(batch.query.x[task]))
    learner.discretise = False
    mixed = learner.adapt(batch.support)
    torch.testing.assert_close(mixed.params["theta"].shape, torch.Size([6, 3, 7]))
    assert not torch.allclose(mixed(batch.query.x), found)


def test_the_genotype_is_what_weighs_most():
    learner = make()
    learner.model.theta.data.zero_()
    learner.model.theta.data[[0, 1, 2], [2, 4, 5]] = 1.0  # planted: conv3, sep5, max3
    assert str(learner.genotype) == "conv3@0,sep5@0+max3@1"
    learner.keep = 1
    learner.model.theta.data[2, 5] = 2.0
    assert str(learner.genotype) == "conv3@0,max3@1"
    assert learner.weights().sum(-1).tolist() == pytest.approx([1.0] * 3)


class Teacher:
    """Regression tasks: images, and what the network of a given cell makes of them."""

    kind = "regression"

    def __init__(self, net):
        self.net = net

    def sample(self, tasks, seed):
        x = torch.randn(tasks, 16, 1, 16, 16, generator=generator(seed, "teacher")).double()
        with torch.no_grad():
            y = torch.stack([self.net(part) for part in x])
        return TaskBatch(Examples(x[:, :4], y[:, :4]), Examples(x[:, 4:], y[:, 4:]))


@pytest.mark.parametrize("cell", ["sep5@0,max3@0+conv3@1", "avg3@0,sep3@1"])
def test_a_planted_cell_is_found(cell):
    """The weights are the teacher's; which operations it has is to be found out."""
    learner = make(cells=1, inner_steps=1, inner_lr=1e-6, theta_lr=1.0, anneal=40, loss="mse")
    teacher = Teacher(learner.model.keep_only(Genotype.parse(cell)))
    assert str(learner.genotype) != cell
    outer = torch.optim.Adam([learner.model.theta], lr=0.15)
    for step in range(40):
        outer.zero_grad()
        metrics = learner.meta_backward(teacher.sample(1, step), workers=1)
        outer.step()
    assert str(learner.genotype) == cell
    assert metrics["entropy"] < 0.3


def test_the_temperature_that_is_logged_is_the_one_of_the_step():
    learner, batch = make(temperatures=(1.0, 0.01), anneal=4), double(GLYPHS.sample(2, seed=0))
    for _ in range(3):
        now = float(learner.temperature)
        assert learner.meta_backward(batch)["temperature"] == pytest.approx(now)
        assert float(learner.temperature) < now


def test_the_temperature_falls_to_its_end():
    learner = make(temperatures=(1.0, 0.01), anneal=4)
    batch = double(GLYPHS.sample(2, seed=0))
    seen = []
    for _ in range(6):
        seen.append(float(learner.temperature))
        learner.meta_backward(batch)
    assert seen == pytest.approx([1.0, 10**-0.5, 0.1, 10**-1.5, 0.01, 0.01])
    learner.eval()
    fresh = make(temperatures=(1.0, 0.01), anneal=4)
    fresh.load_state_dict(learner.state_dict())
    assert float(fresh.temperature) == pytest.approx(0.01)
    still = make(temperatures=(0.5, 0.01), anneal=0)
    still.meta_backward(batch)
    assert float(still.temperature) == 0.5


def test_training_and_its_pictures(tmp_path):
    torch.manual_seed(0)
    learner = qs.MetaNAS(**SHAPE, anneal=3)
    qs.train(learner, GLYPHS, steps=3, meta_batch=2, out=tmp_path / "run")
    assert float(learner.temperature) == pytest.approx(0.1)
    cell, weights = draw(learner, GLYPHS.sample(3, seed=0))
    assert cell.caption.endswith(f"--net cell --genotype {learner.genotype}")
    assert "of 3 tasks keep the cell" in weights.caption
    assert (cell.name, weights.name) == ("cell", "weights")


def test_options():
    with pytest.raises(qs.UsageError, match=r"for images .* got x_shape \[4\]"):
        qs.MetaNAS(x_shape=(4,))
    with pytest.raises(qs.UsageError, match="inner_lr, theta_lr and temperatures > 0"):
        qs.MetaNAS(temperatures=(1.0, 0.0))
    with pytest.raises(qs.UsageError, match="keep >= 1"):
        qs.MetaNAS(keep=0)
    with pytest.raises(qs.UsageError, match="nodes >= 1"):
        qs.MetaNAS(nodes=0)
