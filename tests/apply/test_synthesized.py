"""Synthesized: which tasks are made, that a sample is a function of its arguments, and that a run is read again."""

import json

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.seeding import generator
from quickstudy.tasks import Glyphs, Synthesized, TaskDistribution

SHAPE = {"way": 3, "shot": 1, "query": 3}
FEW = {"classes": 12, "each": 4, **SHAPE}
BASE = Glyphs(size=16, **SHAPE)


def gan(seed=0):
    torch.manual_seed(seed)
    return qs.TaskGAN(x_shape=(1, 16, 16), class_code=5, drawing_code=3, critic_width=3, drawings=2)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "gan"
    qs.train(gan(), Glyphs(way=3, shot=1, query=1, size=16), steps=2, meta_batch=1, out=folder)
    return folder


def is_made(batch):
    """Which tasks: made drawings are kept as bytes, those of Glyphs are not."""
    x = torch.cat([batch.support.x, batch.query.x], 1) * 255
    return ((x - x.round()).abs() < 1e-3).flatten(1).all(1)


def equal(a, b):
    pairs = ((a.support, b.support), (a.query, b.query))
    return all(torch.equal(p.x, q.x) and torch.equal(p.y, q.y) for p, q in pairs)


def test_a_sample_is_a_function_of_its_arguments():
    tasks = Synthesized(gan(), BASE, **FEW)
    assert isinstance(tasks, TaskDistribution)
    first = tasks.sample(6, 1)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    tasks.sample(3, 2)
    assert equal(tasks.sample(6, 1), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert equal(Synthesized(gan(), BASE, **FEW).sample(6, 1), first)  # the stock is drawn anew, and the same
    assert not equal(tasks.sample(6, 3), first)
    assert first.support.x.shape == (6, 3, 1, 16, 16)
    assert first.query.x.shape == (6, 9, 1, 16, 16)
    assert first.query.y.tolist() == [[0, 0, 0, 1, 1, 1, 2, 2, 2]] * 6
    assert first.support.x.dtype == torch.float32
    assert 0 <= first.support.x.min() < first.support.x.max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_made_tasks(share):
    made = is_made(Synthesized(gan(), BASE, share=share, **FEW).sample(400, 0)).double()
    assert abs(float(made.mean()) - share) <= 4 * (share * (1 - share) / 400) ** 0.5
    if 0 < share < 1:  # in no order
        assert made[:200].any()
        assert made[200:].any()
        assert not made.bool().all()


def test_a_made_task_has_several_drawings_of_its_classes():
    tasks = Synthesized(gan(), BASE, share=1.0, **FEW)
    x = tasks.stock.images.view(12, 4, 1, 16, 16).float() / 255
    g = generator(0, "synthesized")
    with torch.no_grad():
        expected = gan().images(torch.randn(12, 5, generator=g), torch.randn(12, 4, 3, generator=g))
    torch.testing.assert_close(x, expected, atol=0.5 / 255 + 1e-6, rtol=0)
    task = tasks.sample(1, 0)
    drawn = torch.cat([task.support.x.view(3, 1, -1), task.query.x.view(3, 3, -1)], 1)
    for one in drawn:  # all four drawings of one class, none twice
        which = [((x.flatten(2) - d).abs().amax(2) < 1e-6).nonzero()[0].tolist() for d in one]
        assert len({c for c, _ in which}) == 1
        assert sorted(n for _, n in which) == [0, 1, 2, 3]


def test_real_tasks_outside_training():
    tasks = Synthesized(gan(), BASE, split="test", share=1.0, **FEW)
    assert equal(tasks.sample(3, 0), Glyphs(split="test", size=16, **SHAPE).sample(3, 0))
    assert tasks.describe() == Glyphs(split="test", size=16, **SHAPE).describe()
    assert "50% of tasks of 12 made classes" in Synthesized(gan(), BASE, **FEW).describe()


def test_a_run_is_read_and_read_again(run):
    tasks = Synthesized(run, **FEW)
    assert isinstance(tasks._real, Glyphs)
    assert (tasks._real.query, tasks.x_shape, tasks.outputs) == (3, (1, 16, 16), 3)
    description = registry.describe(tasks)
    again = registry.build(json.loads(json.dumps(description)))
    assert registry.describe(again) == description
    assert equal(again.sample(5, 0), tasks.sample(5, 0))
    trained = qs.Run.open(run).learner()
    assert equal(Synthesized(trained, tasks._real, **FEW).sample(5, 0), tasks.sample(5, 0))
    assert not equal(Synthesized(gan(1), tasks._real, **FEW).sample(20, 0), tasks.sample(20, 0))
    held_out = registry.build(description, split="val")
    assert equal(held_out.sample(2, 0), Glyphs(split="val", size=16, **SHAPE).sample(2, 0))


def test_a_generator_in_memory_cannot_be_written_down():
    tasks = Synthesized(gan(), BASE, **FEW)
    with pytest.raises(qs.UsageError, match="user's own"):
        registry.build(registry.describe(tasks))
    assert equal(Synthesized(tasks.generator, BASE, **FEW).sample(2, 0), tasks.sample(2, 0))


def test_a_learner_is_trained_on_them(run):
    learner = qs.ProtoNet(qs.nets.Conv4(filters=3, size=16, out_features=None))
    trained = qs.train(learner, Synthesized(run, **FEW), steps=2, meta_batch=2)
    assert trained.config["tasks"]["options"]["generator"] == str(run)


def test_what_cannot_work_is_refused(run, tmp_path):
    for options, message in (
        ({"share": 1.5}, "share must be in"),
        ({"classes": 2}, "classes must be an integer of at least 3"),
        ({"each": 3}, "each must be an integer of at least 4"),
        ({"split": "tset"}, "split must be one of"),
    ):
        with pytest.raises(qs.UsageError, match=message):
            Synthesized(run, **{**FEW, **options})
    with pytest.raises(qs.UsageError, match="give base"):
        Synthesized(gan(), **FEW)
    with pytest.raises(qs.UsageError, match="the generator makes"):
        Synthesized(run, Glyphs(**SHAPE), **FEW)
    qs.train(qs.MAML(qs.nets.Conv4(filters=2, size=16, out_features=3)), BASE, steps=1, out=tmp_path / "maml")
    with pytest.raises(qs.UsageError, match="not a MAML"):
        Synthesized(tmp_path / "maml", **FEW)
    with pytest.raises(qs.RunError, match="holds no run"):
        Synthesized(tmp_path, **FEW)
    arrays = qs.tasks.Episodes(torch.zeros(20, 1, 16, 16), torch.arange(20) // 5, way=2, shot=1, query=3)
    with pytest.raises(qs.UsageError, match=r"base cannot be rebuilt with .*way"):
        Synthesized(run, arrays, **FEW)
