"""Hypernet: what it writes, against a slow computation row by row; whose names classes have does not matter."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.functional import TaskModel
from quickstudy.learners.generative.hypernet import Hypernet
from quickstudy.nets.generators.generator import ParameterGenerator
from quickstudy.tasks import Examples
from quickstudy.testing import check_learner, double


def conv4(classes=3):
    return qs.nets.Conv4(filters=3, size=16, out_features=classes)


def hypernet(loss="cross_entropy", stirred=True, **options):
    """In float64; ``stirred``: with generators that no longer begin at zero."""
    torch.manual_seed(0)
    model = conv4() if loss == "cross_entropy" else qs.nets.MLP(hidden=(5, 4), out_features=2)
    learner = Hypernet(model, loss=loss, width=6, **options).double()
    for name, p in learner.named_parameters():
        if stirred and name.startswith("generator.") and p.ndim == 2 and not p.any():
            nn.init.normal_(p)
    return learner.eval()


def glyphs(shot=2, way=3):
    return double(qs.tasks.Glyphs(way=way, shot=shot, query=2, size=16).sample(2, seed=0))


def values(tasks=2, shot=4):
    torch.manual_seed(1)
    x, y = torch.randn(tasks, shot, 1).double(), torch.randn(tasks, shot, 2).double()
    return Examples(x, y)


def row_by_row(generator, code):
    """The changes of one task's tensors, one row at a time, from the equations."""
    row, changes = 0, {}
    for (name, shape), out in zip(generator.shapes.items(), generator.out, strict=True):
        rows = []
        for _ in range(shape[0]):
            w1c, b1 = generator.from_code.weight, generator.from_code.bias
            first = torch.relu(w1c @ code + generator.from_row.weight @ generator.rows[row] + b1)
            u = torch.relu(generator.hidden.weight @ first + generator.hidden.bias)
            rows.append(out.log_scale.exp() * (out.weight @ u) / u.numel() ** 0.5)
            row += 1
        changes[name] = torch.stack(rows).reshape(shape)
    return changes


def test_parameters_of_a_regression_row_by_row():
    learner, support = hypernet("mse"), values()
    found = learner.adapt(support).params
    generator, model = learner.generator, learner.model
    assert {name: p.shape[1:] for name, p in found.items()} == {n: p.shape for n, p in model.named_parameters()}
    for t in range(2):
        features = model.layers[:-1](support.x[t])
        coded = [generator.encoder(torch.cat([f, y])) for f, y in zip(features, support.y[t], strict=True)]
        changes = row_by_row(generator.body, torch.stack(coded).mean(0))
        assert max(float(c.detach().abs().max()) for c in changes.values()) > 0.01
        for name, start in model.named_parameters():
            torch.testing.assert_close(found[name][t], start + changes[name], rtol=1e-9, atol=1e-12)


def test_parameters_of_a_classification_row_by_row():
    learner, batch = hypernet(), glyphs()
    found = learner.adapt(batch.support).params
    generator, model = learner.generator, learner.model.train()
    for t in range(2):
        features = model.blocks(batch.support.x[t]).flatten(1)
        means = [features[batch.support.y[t] == k].mean(0) for k in range(3)]
        h = torch.stack(means).mean(0)
        changes = row_by_row(generator.body, h)
        for name, start in model.blocks.named_parameters():
            torch.testing.assert_close(
                found[f"blocks.{name}"][t], start + changes[f"blocks.{name}"], rtol=1e-7, atol=1e-10
            )
        for k, r in enumerate(means):
            row = generator.rows(torch.cat([r, h]))
            assert row.detach().abs().max() > 0.01
            torch.testing.assert_close(found["head.weight"][t, k], 2 * (r - h) + row[:-1], rtol=1e-7, atol=1e-10)
            torch.testing.assert_close(found["head.bias"][t, k], h @ h - r @ r + row[-1], rtol=1e-7, atol=1e-10)


def test_it_begins_at_the_learned_start():
    """Values: the network as it is. Classes: the prototypical network of its features, or a head of zeros."""
    learner, support = hypernet("mse", stirred=False), values()
    torch.testing.assert_close(learner.adapt(support)(support.x), learner.model(support.x.flatten(0, 1)).view(2, 4, 2))
    batch = glyphs()
    images = hypernet(stirred=False)
    protomaml = qs.ProtoMAML(images.model, inner_steps=0)
    torch.testing.assert_close(
        images.adapt(batch.support)(batch.query.x), protomaml.adapt(batch.support)(batch.query.x)
    )
    assert not hypernet(stirred=False, prototypes=False).adapt(batch.support)(batch.query.x).any()


@pytest.mark.parametrize("prototypes", [True, False])
def test_renaming_classes_renames_predictions(prototypes):
    learner, batch = hypernet(prototypes=prototypes, bn="support"), glyphs()
    new = torch.tensor([2, 0, 1])
    renamed = Examples(batch.support.x, new[batch.support.y])
    before, after = learner.adapt(batch.support)(batch.query.x), learner.adapt(renamed)(batch.query.x)
    torch.testing.assert_close(after[..., new], before, rtol=1e-8, atol=1e-10)
    assert (after - before).abs().max() > 1e-3
    order = torch.tensor([4, 2, 0, 5, 1, 3])  # of the support set: it is a set
    shuffled = Examples(batch.support.x[:, order], batch.support.y[:, order])
    torch.testing.assert_close(learner.adapt(shuffled)(batch.query.x), before, rtol=1e-8, atol=1e-10)


def test_the_head_alone():
    learner, batch = hypernet(generates="head"), glyphs()
    found, start = learner.adapt(batch.support).params, TaskModel(learner.model, "transductive").start(2)
    moved = {name for name, p in found.items() if not torch.equal(p, start[name])}
    assert moved == {"head.weight", "head.bias"}
    check_learner(learner.float(), qs.tasks.Glyphs(way=3, query=2, size=16))
    check_learner(hypernet("mse", generates="head").float(), Planes())


class Planes:
    """Two outputs per example."""

    def sample(self, tasks, seed):
        rng = torch.Generator().manual_seed(seed)
        x, y = torch.randn(tasks, 7, 1, generator=rng), torch.randn(tasks, 7, 2, generator=rng)
        return qs.TaskBatch(Examples(x[:, :4], y[:, :4]), Examples(x[:, 4:], y[:, 4:]))


def test_a_class_that_a_task_does_not_have():
    learner, batch = hypernet(bn="support"), glyphs(way=2)
    predictions = learner.adapt(batch.support)(batch.query.x).softmax(-1)
    assert not predictions[..., 2].any()
    assert torch.isfinite(learner.meta_loss(batch)[0])


def test_further_steps_go_on_from_what_was_generated():
    """As gradient descent by hand does; ``evaluate`` takes them although it was trained for none."""
    learner, support = hypernet("mse", inner_lr=0.05), values()
    params = {name: p.detach().requires_grad_() for name, p in learner.adapt(support).params.items()}
    loss = (learner.net.forward(params, support.x) - support.y).square().mean((1, 2)).sum()
    grads = torch.autograd.grad(loss, list(params.values()))
    _, after = learner.adapt_path(support, 1)
    for (name, p), g in zip(params.items(), grads, strict=True):
        torch.testing.assert_close(after.params[name], p - 0.05 * g)
    result = qs.evaluate(hypernet("mse").float(), Planes(), n_tasks=2, steps=3)
    assert [by.step for by in result.by_step] == [0, 1, 2, 3]


def test_what_does_not_fit():
    with pytest.raises(qs.UsageError, match="generates all or head"):
        Hypernet(conv4(), width=0)
    with pytest.raises(qs.UsageError, match="loss must be one of"):
        Hypernet(conv4(), loss="poetry")
    with pytest.raises(qs.UsageError, match=r"nn\.Linear with a bias"):
        Hypernet(nn.Sequential(nn.Linear(4, 3, bias=False)))
    with pytest.raises(qs.UsageError, match="y must be values"):
        hypernet("mse").adapt(Examples(values().x, torch.zeros(2, 4, dtype=torch.long)))
    with pytest.raises(qs.UsageError, match="needs classes"):
        hypernet().adapt(Examples(glyphs().support.x, torch.rand(2, 6)))
    with pytest.raises(qs.UsageError, match="tensors to generate"):
        ParameterGenerator({}, 3)
