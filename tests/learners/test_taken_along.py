"""What else is done with a learner: frozen networks, plain modules of a task, pickles, other precisions and modes."""

import io
import pickle

import pytest
import torch

import quickstudy as qs
from quickstudy import registry

from .test_contract import CLASSIFY, OPTIONS, build, conv4, glyphs

EMBEDS = [name for name in CLASSIFY if registry.load("learners", name).embeds]
TASKS = qs.tasks.Glyphs(way=3, shot=2, query=4, size=16)


def made(name, **options):
    return build(
        name, TASKS, **{"inner_lr": 0.05, "inner_steps": 2, "bn": "support", **OPTIONS.get(name, {}), **options}
    )


def learner_of(name):
    """In evaluation mode, with a network that normalises by the support set."""
    return made(name).eval()


@pytest.mark.parametrize("name", EMBEDS)
def test_a_frozen_network_serves_as_features(name):
    learner = made(name)
    for p in learner.model.parameters():
        p.requires_grad_(False)
    result = qs.evaluate(learner, TASKS, n_tasks=2)
    assert result.n_tasks == 2
    if any(p.requires_grad for p in learner.parameters()):
        frozen = {n: p.clone() for n, p in learner.named_parameters() if not p.requires_grad}
        qs.train(learner, TASKS, steps=1, meta_batch=2)
        now = dict(learner.named_parameters())
        assert all(torch.equal(now[n], p) for n, p in frozen.items())
    else:
        with pytest.raises(qs.UsageError, match="there is nothing to train"):
            qs.train(learner, TASKS, steps=1, meta_batch=2)


@pytest.mark.parametrize("name", CLASSIFY)
def test_a_tasks_solver_is_a_plain_module(name):
    learner, batch = learner_of(name), TASKS.sample(2, 0)
    with torch.no_grad():
        solver = learner.adapt(batch.support)
        together = solver(batch.query.x)
        for task in range(2):
            module = solver.module(task)
            assert isinstance(module, torch.nn.Module)
            assert not module.training
            torch.testing.assert_close(module(batch.query.x[task]), together[task], rtol=1e-4, atol=1e-5)
            file = io.BytesIO()
            torch.save(module, file)
            file.seek(0)
            again = torch.load(file, weights_only=False)
            assert torch.equal(again(batch.query.x[task]), module(batch.query.x[task]))
        with pytest.raises(qs.UsageError, match="task"):
            solver.module(2)


@pytest.mark.parametrize("name", ["maml", "anil", "reptile", "protonet"])
def test_what_torch_export_takes(name):
    learner, batch = learner_of(name), TASKS.sample(1, 0)
    with torch.no_grad():
        module, x = learner.adapt(batch.support).module(0), batch.query.x[0]
        exported = torch.export.export(module, (x,)).module()
        torch.testing.assert_close(exported(x), module(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CLASSIFY)
def test_solvers_can_be_pickled(name):
    learner, batch = learner_of(name), TASKS.sample(2, 0)
    with torch.no_grad():
        solver = learner.adapt(batch.support)
        again = pickle.loads(pickle.dumps(solver))
        torch.testing.assert_close(again(batch.query.x), solver(batch.query.x))


@pytest.mark.parametrize("name", CLASSIFY)
def test_double_precision_and_inference_mode(name):
    """Batches are float32: they are brought to the learner's type. The answers are the same to float32's rounding."""
    learner, batch = learner_of(name), TASKS.sample(2, 0)
    with torch.no_grad():
        single = learner.adapt(batch.support)(batch.query.x)
    with torch.inference_mode():
        result = qs.evaluate(learner, TASKS, n_tasks=2)
    assert result.scores == qs.evaluate(learner, TASKS, n_tasks=2).scores
    learner.double()
    with torch.no_grad():
        double = learner.adapt(batch.support)(batch.query.x)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["maml", "protonet"])
def test_half_precision(name):
    learner = made(name).to(torch.bfloat16)
    assert 0 <= qs.evaluate(learner, TASKS, n_tasks=2).mean <= 1


def test_a_normalisation_of_the_queries_is_no_plain_module():
    learner = qs.ProtoNet(conv4(None), bn="transductive").eval()
    batch = glyphs().sample(1, 0)
    with torch.no_grad(), pytest.raises(qs.UsageError, match="transductive"):
        learner.adapt(batch.support).module(0)
