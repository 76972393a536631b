"""The label comes a step late, a query is a next step of its own, and nothing but the examples decides the order."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy.learners import by_instance
from quickstudy.learners.memory import streams
from quickstudy.report.pictures import draw
from quickstudy.tasks import pad
from quickstudy.testing import check_learner, double

MEMORIES = ["lrua", "ntm", "lstm"]
TINY = {"hidden_size": 6, "slots": 8, "slot_width": 3, "heads": 2}


def mann(memory="lrua", **options):
    torch.manual_seed(0)
    net = qs.nets.Flat(in_features=256)
    return qs.MANN(net, out_features=3, memory=memory, **{**TINY, **options}).double()


def glyphs(shot=2, query=2, tasks=2, seed=0, way=3):
    return double(qs.tasks.Glyphs(way=way, shot=shot, query=query, size=16).sample(tasks, seed))


def outputs(learner, pairs):
    """The output after each step of one sequence of (x, previous label or None), one by one."""
    state, found = learner.cell.start(1), []
    for x, label in pairs:
        known = torch.zeros(3, dtype=torch.float64)
        if label is not None:
            known[label] = 1
        output, state = learner.cell(torch.cat([x.flatten(), known])[None], state)
        found.append(learner.head(output)[0].log_softmax(-1))
    return found


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_query_is_the_step_after_the_support_set(memory):
    learner, batch = mann(memory), glyphs()
    found = learner.adapt(batch.support)(batch.query.x)
    for t in range(2):
        x, y = batch.support.x[t], batch.support.y[t].tolist()
        for q in range(6):
            pairs = [*zip(x, [None, *y[:-1]], strict=True), (batch.query.x[t, q], y[-1])]
            torch.testing.assert_close(found[t, q], outputs(learner, pairs)[-1])


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_stream_is_read_with_the_label_of_the_step_before(memory):
    learner, batch = mann(memory), glyphs()
    log_p, y = learner.read_stream(batch)
    x = torch.cat([batch.support.x, batch.query.x], 1)
    order = streams.reading_order(x)
    expected = 0.0
    for t in range(2):
        pairs = zip(x[t, order[t]], [None, *y[t, :-1].tolist()], strict=True)
        by_hand = torch.stack(outputs(learner, pairs))
        torch.testing.assert_close(log_p[t], by_hand)
        expected += sum(-float(p[label].detach()) for p, label in zip(by_hand, y[t], strict=True)) / 12 / 2
    loss, metrics = learner.meta_loss(batch)
    assert float(loss.detach()) == pytest.approx(expected)
    assert float(metrics["accuracy"]) == pytest.approx(float((log_p.argmax(-1) == y).double().mean()))


def test_the_order_of_a_stream_is_random_and_its_own():
    """Every example once, not class by class, another for every task; alone as in a batch."""
    batch = glyphs(shot=1, query=9, tasks=8)
    x = torch.cat([batch.support.x, batch.query.x], 1)
    order = streams.reading_order(x)
    assert (order.sort(1).values == torch.arange(30)).all()
    assert len({tuple(row) for row in order.tolist()}) == 8
    assert torch.equal(order[3:4], streams.reading_order(x[3:4]))
    places = order.argsort(1).double()
    assert abs(float(places[:, :3].mean()) - 14.5) < 6  # the support comes anywhere
    assert torch.equal(x.gather(1, order[..., None, None, None].expand_as(x))[:, 0], x[torch.arange(8), order[:, 0]])
    shuffled = x[:, torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    read = [t.gather(1, streams.reading_order(t)[..., None, None, None].expand_as(t)) for t in (x, shuffled)]
    assert torch.equal(*read)


def test_the_order_of_the_support_set_matters():
    learner, batch = mann(), glyphs()
    back = qs.Examples(batch.support.x.flip(1), batch.support.y.flip(1))
    a, b = (learner.adapt(support)(batch.query.x) for support in (batch.support, back))
    assert not torch.allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("memory", MEMORIES)
@pytest.mark.parametrize("labels", ["one_hot", "string"])
def test_padding_leaves_memory_and_last_label_as_they_were(memory, labels):
    learner = mann(memory, labels=labels)
    few, many = glyphs(shot=1, query=2, tasks=1), glyphs(shot=2, query=2, tasks=1, seed=1)
    both = pad([few.support, many.support])
    x = torch.cat([few.query.x, many.query.x])
    found = learner.adapt(both)(x)
    for t, one in enumerate((few, many)):
        torch.testing.assert_close(found[t : t + 1], learner.adapt(one.support)(one.query.x))
    # Padding may lie anywhere.
    apart = qs.Examples(both.x[:1, [3, 0, 4, 1, 2, 5]], both.y[:1, [3, 0, 4, 1, 2, 5]])
    torch.testing.assert_close(learner.adapt(apart)(few.query.x), found[:1])
    batch = qs.TaskBatch(both, qs.Examples(x, torch.cat([few.query.y, many.query.y])))
    expected = (learner.meta_loss(few)[0] + learner.meta_loss(many)[0]) / 2
    torch.testing.assert_close(learner.meta_loss(batch)[0], expected)


@pytest.mark.parametrize("options", [{"memory": "ntm"}, {"memory": "lstm"}, {"labels": "string"}, {"stream": False}])
def test_every_variant_keeps_the_contract(options):
    torch.manual_seed(0)
    net = qs.nets.MLP(in_features=256, hidden=(5,), out_features=None)
    tasks = qs.tasks.Glyphs(way=3, query=2, size=16)
    check_learner(qs.MANN(net, out_features=3, **TINY, **options), tasks, others=[qs.tasks.Glyphs(way=2, size=16)])


def test_only_the_queries_count_without_a_stream():
    batch = glyphs()
    learner = mann(stream=False)
    log_p = learner.adapt(streams.shuffled(batch.support))(batch.query.x)
    expected = -log_p.gather(2, batch.query.y.unsqueeze(-1)).mean()
    torch.testing.assert_close(learner.meta_loss(batch)[0], expected)


def test_strings():
    """Random for each task, distinct within it, the same again; five characters out of five."""
    x = glyphs(tasks=4).support.x
    named = streams.words(x, 3, x)
    assert named.shape == (4, 3, 25)
    assert (named.unflatten(-1, (5, 5)).sum(-1) == 1).all()
    assert torch.equal(named, streams.words(x, 3, x))
    assert torch.equal(named[2:3], streams.words(x[2:3], 3, x))
    assert torch.equal(named[:, :2], streams.words(x, 2, x))
    every = [tuple(word) for task in streams.words(x, 1000, x).tolist() for word in [tuple(w) for w in task]]
    assert all(len(set(every[1000 * t : 1000 * (t + 1)])) == 1000 for t in range(4))
    assert not torch.equal(named[0], named[1])


def test_a_string_is_as_likely_as_its_characters():
    said = torch.randn(1, 1, 25, dtype=torch.float64)
    word = [2, 0, 4, 4, 1]
    called = torch.nn.functional.one_hot(torch.tensor(word), 5).flatten().double().view(1, 1, 25)
    expected = 0.0
    for place, character in enumerate(word):
        e = [math.exp(v) for v in said[0, 0, 5 * place : 5 * place + 5].tolist()]
        expected += math.log(e[character] / sum(e))
    assert float(streams.spell(said, called)) == pytest.approx(expected, rel=1e-12)


def test_the_loss_with_strings_is_that_of_the_whole_string():
    learner, batch = mann(labels="string"), glyphs()
    log_p, y = learner.read_stream(batch)
    loss, _ = learner.meta_loss(batch)
    torch.testing.assert_close(loss, -log_p.gather(2, y.unsqueeze(-1)).mean())
    assert float(loss.detach()) > 5 * math.log(5) * 0.8  # nothing is learned yet: five characters of five each
    assert learner.head.out_features == 25


def test_instances():
    y = torch.tensor([[2, 0, 2, -1, 2, 0], [1, 1, 1, 1, 0, 2]])
    assert streams.presentations(y, 3).tolist() == [[0, 0, 1, -1, 2, 1], [0, 1, 2, 3, 0, 0]]
    learner, batch = mann(), glyphs(shot=1, query=2)
    found = by_instance(learner, batch)
    log_p, y = learner.read_stream(batch)
    assert found.shape == (2, 3)
    for t in range(2):
        for k in range(3):
            places = [[i for i in range(9) if y[t, i] == label][k] for label in range(3)]
            expected = sum(float(log_p[t, i].argmax() == y[t, i]) for i in places) / 3
            assert float(found[t, k]) == pytest.approx(expected)


def test_it_learns_to_recall():
    """Two classes of points, labels drawn anew in every task: at first a guess, then known."""
    rng = torch.Generator().manual_seed(0)
    centres = torch.randn(40, 6, generator=rng).sign() * 2
    points = centres.repeat_interleave(8, 0) + 0.1 * torch.randn(320, 6, generator=rng)
    tasks = qs.tasks.Episodes(points, torch.arange(40).repeat_interleave(8), way=2, shot=1, query=4)
    torch.manual_seed(0)
    learner = qs.MANN(
        qs.nets.Flat(in_features=6), out_features=2, hidden_size=32, slots=12, slot_width=8, heads=1, sharpen=True
    )
    qs.train(learner, tasks, steps=120, meta_batch=16, meta_lr=2e-2, clip=10.0, workers=1)
    accuracy = by_instance(learner, tasks.sample(200, 1)).mean(0)
    assert accuracy[0] < 0.85
    assert accuracy[2:].min() > 0.85
    assert qs.evaluate(learner, tasks, n_tasks=100).accuracy > 0.8


@pytest.mark.parametrize("memory", MEMORIES)
def test_pictures(memory):
    learner, batch = mann(memory), glyphs()
    drawn = draw(learner, batch)
    assert [picture.name for picture in drawn] == ["by-instance", "memory"]
    for picture in drawn:
        assert len(picture.caption) > 20


def test_labels_that_it_does_not_have():
    with pytest.raises(qs.UsageError, match=r"out_features=3, for labels from 0 to 2 .* run from 0 to 3"):
        mann().adapt(glyphs(way=4).support)
    with pytest.raises(qs.UsageError, match="must be integers"):
        mann().adapt(qs.Examples(torch.zeros(1, 2, 256).double(), torch.zeros(1, 2).double()))


def test_options_out_of_range():
    with pytest.raises(qs.UsageError, match="out_features must be a whole number >= 1, got 0"):
        qs.MANN(qs.nets.Flat(), out_features=0)


def test_flat():
    net = qs.nets.Flat(in_features=12)
    x = torch.rand(2, 3, 2, 2)
    assert torch.equal(net(x), x.flatten(1))
    assert list(net.parameters()) == []
    with pytest.raises(qs.UsageError, match=r"takes 11 numbers per example, got x \[2, 3, 2, 2\]"):
        qs.nets.Flat(in_features=11)(x)
    with pytest.raises(qs.UsageError, match="no head and no parameters"):
        qs.nets.Flat(out_features=5)
    with pytest.raises(qs.UsageError, match="there is nothing to train"):  # to adapt there is enough
        qs.train(qs.ProtoNet(qs.nets.Flat()), qs.tasks.Glyphs(), steps=1)
