"""Sequences read into a memory and answered from it."""

import pytest
import torch

import quickstudy as qs
from quickstudy.nets import read
from quickstudy.recipes import Choice
from quickstudy.report.pictures import draw
from quickstudy.tasks import AssociativeRecall, Copy, RepeatCopy
from quickstudy.testing import check_learner


def learner(tasks, **options):
    torch.manual_seed(0)
    sizes = {"hidden_size": 6, "slots": 8, "slot_width": 4, **options}
    return qs.NTMLearner(in_features=tasks.x_shape[0], out_features=tasks.outputs, **sizes)


@pytest.mark.parametrize(
    "options",
    [{}, {"cell": "lstm"}, {"reads": 2, "writes": 2, "controller": "feedforward"}],
    ids=["ntm", "lstm", "two heads each"],
)
def test_contract(options):
    tasks = Copy(bits=3, length=(1, 4))
    check_learner(learner(tasks, **options), tasks, others=[Copy(bits=3, length=(9, 9))], queries_alone=False)


@pytest.mark.parametrize(
    "tasks", [RepeatCopy(bits=2, length=(1, 3)), AssociativeRecall(bits=2)], ids=["repeat", "recall"]
)
def test_the_other_tasks(tasks):
    check_learner(learner(tasks), tasks, queries_alone=False)


def test_the_answer_is_what_is_said_after_reading_all():
    """One pass over what is shown and what is answered, and the loss by hand."""
    tasks = Copy(bits=3, length=(4, 4))
    ours, batch = learner(tasks), tasks.sample(2, seed=0)
    with torch.no_grad():
        outputs, _ = read(ours.net, torch.cat([batch.support.x, batch.query.x], 1))
        logits = ours.answer(outputs)[:, 5:]
        torch.testing.assert_close(ours.adapt(batch.support)(batch.query.x), logits)
        loss, metrics = ours.meta_loss(batch)
    p = logits.sigmoid()
    expected = -(batch.query.y * p.log() + (1 - batch.query.y) * (1 - p).log()).mean()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(metrics["bit_error"], ((p > 0.5) != (batch.query.y == 1)).float().mean())


def test_a_solver_starts_anew_at_every_call_and_looks_back_only():
    tasks = Copy(bits=3, length=(4, 4))
    ours, batch = learner(tasks), tasks.sample(2, seed=0)
    with torch.no_grad():
        solver = ours.adapt(batch.support)
        first = solver(batch.query.x)
        assert torch.equal(solver(batch.query.x), first)
        torch.testing.assert_close(solver(batch.query.x[:, :2]), first[:, :2])
    with pytest.raises(qs.UsageError, match="has read 2 sequences"):
        solver(batch.query.x[:1])


def test_it_learns_to_copy_what_is_short():
    tasks = Copy(bits=2, length=(1, 1))
    ours = learner(tasks, hidden_size=20)
    before = qs.evaluate(ours, tasks, n_tasks=50)
    qs.train(ours, tasks, steps=100, meta_batch=16, meta_lr=1e-2, clip=10.0)
    after = qs.evaluate(ours, tasks, n_tasks=50)
    assert before.metric == "bit_error"
    assert before.mean > 0.3
    assert after.mean < 0.05


def test_picture_of_the_heads():
    tasks = Copy(bits=3, length=(4, 4))
    batch = tasks.sample(2, seed=0)
    (picture,) = draw(learner(tasks, reads=2), batch)
    assert picture.name == "heads"
    assert "5 steps that are read and 4 that are answered" in picture.caption
    assert not draw(learner(tasks, cell="lstm"), batch)


def test_images_are_none_of_its_business():
    with pytest.raises(qs.UsageError, match="ntm is for sequence"):
        Choice.of("ntm", "glyphs")


def test_by_name():
    choice = Choice.of("ntm")
    built, tasks = choice.build(choice.options({"hidden_size": 7, "slots": 9, "length": (2, 3)}))
    assert (choice.tasks, tasks.length, built.net.slots, built.net.hidden_size) == ("copy", (2, 3), 9, 7)
    assert (built.in_features, built.out_features) == (9, 8)
