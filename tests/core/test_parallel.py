"""Threads give one answer, leave no trace, and may share a learner."""

import copy
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

import quickstudy as qs
from quickstudy.core import draws, parallel
from quickstudy.core.draws import Noise


def glyphs():
    return qs.tasks.Glyphs(way=3, query=2, size=16)


def net(*layers):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), *layers, nn.Flatten(), nn.Linear(4 * 14 * 14, 3))


def gradient(learner, batch, **options):
    own = copy.deepcopy(learner)
    metrics = own.meta_backward(batch, **options)
    return metrics["loss"], torch.cat([p.grad.flatten() for p in own.parameters() if p.grad is not None])


class Functional(nn.Module):
    """Dropout that no module tells of."""

    def __init__(self):
        super().__init__()
        self.net = net()
        self.calls = 0

    def forward(self, x):
        type(self).count += 1
        return self.net(F.dropout(x, 0.5, self.training))

    count = 0


class Recurrent(nn.Module):
    """Whose dropout is drawn inside of torch's own loop."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(16, 8, num_layers=2, dropout=0.5, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.lstm(x.squeeze(1))[0][:, -1])


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = net(nn.Dropout(0.5))

    def forward(self, x):
        return checkpoint(self.net, x, use_reentrant=False)


@pytest.mark.parametrize("make", [lambda: net(nn.Dropout(0.5)), Functional, Recurrent])
@pytest.mark.filterwarnings("ignore:forward .*:UserWarning")
def test_what_is_drawn_does_not_depend_on_the_number_of_workers(make):
    batch = glyphs().sample(4, 0)
    learner = qs.MAML(make(), inner_lr=0.1, inner_steps=2, execution="threads")
    found = [gradient(learner, batch, workers=workers, noise=Noise(7)) for workers in (1, 2, 3, 2)]
    for loss, g in found[1:]:
        assert loss == found[0][0]
        assert torch.equal(g, found[0][1])
    other = gradient(learner, batch, workers=2, noise=Noise(8))
    assert other[0] != found[0][0]


def test_a_checkpoint_that_draws_is_drawn_again_alike():
    """What is recomputed in the backward pass must be the same dropout: the gradient is that without a checkpoint."""
    batch = glyphs().sample(3, 0)
    with_it = qs.ProtoNet(nn.Sequential(Checkpointed(), nn.Flatten()), execution="threads")
    without = qs.ProtoNet(nn.Sequential(Checkpointed().net, nn.Flatten()), execution="threads")
    for workers in (1, 2):
        expected = gradient(without, batch, workers=workers, noise=Noise(1))
        found = gradient(with_it, batch, workers=workers, noise=Noise(1))
        torch.testing.assert_close(found[0], expected[0])
        torch.testing.assert_close(found[1], expected[1])


def test_no_work_is_done_twice():
    batch = glyphs().sample(4, 0)
    counts = []
    for workers in (1, 2):
        learner = qs.MAML(Functional(), inner_lr=0.1, execution="threads")
        before = Functional.count
        for _ in range(2):
            learner.meta_backward(batch, workers=workers)
        counts.append(Functional.count - before)
    assert counts[0] == counts[1]
    assert counts[0] == 2 * 4 * 2  # batches, tasks, an inner step and the query


def test_the_tasks_of_a_part_draw_what_they_draw_in_the_whole():
    batch = glyphs().sample(4, 0)
    for learner in (
        qs.MAML(net(nn.Dropout(0.5)), inner_lr=0.1, execution="threads"),
        qs.MetaGAN(qs.nets.MLP(in_features=5, out_features=None, hidden=(4,)), out_features=3, x_shape=(5,)),
    ):
        if isinstance(learner, qs.MetaGAN):
            x, y = torch.randn(60, 5), torch.arange(60) // 10
            batch = qs.tasks.Episodes(x, y, way=3, shot=1, query=2).sample(4, 0)
        _, whole = gradient(learner, batch, noise=Noise(3))
        halves = [gradient(learner, batch[i : i + 2], noise=Noise(3, i))[1] for i in (0, 2)]
        torch.testing.assert_close((halves[0] + halves[1]) / 2, whole, rtol=1e-4, atol=1e-6)


def test_torchs_generator_moves_on_only_where_something_is_drawn():
    batch = glyphs().sample(3, 0)
    for layers, moves in ((), False), ((nn.Dropout(0.5),), True):
        learner = qs.MAML(net(*layers), inner_lr=0.1)
        torch.manual_seed(5)
        before = torch.get_rng_state()
        first = gradient(learner, batch, workers=2)
        assert torch.equal(before, torch.get_rng_state()) is not moves
        second = gradient(learner, batch, workers=2)
        assert (first[0] == second[0]) is not moves
        torch.manual_seed(5)
        assert gradient(learner, batch, workers=1)[0] == first[0], "and it follows from its state"


@pytest.mark.parametrize("workers", [1, 2])
def test_one_learner_evaluated_by_several_threads_at_once(workers):
    learner = qs.MAML(net(nn.BatchNorm2d(4), nn.Dropout(0.5)), inner_lr=0.1, execution="threads")
    state = {name: t.clone() for name, t in learner.state_dict().items()}
    expected = qs.evaluate(learner, glyphs(), n_tasks=4, workers=workers).loss
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(qs.evaluate, learner, glyphs(), n_tasks=4, workers=workers) for _ in range(12)]
        assert [one.result().loss for one in asked] == [expected] * 12
    assert learner.training
    assert all(torch.equal(t, state[name]) for name, t in learner.state_dict().items())


def test_one_learner_adapted_and_trained_by_several_threads_at_once():
    learner = qs.MAML(qs.nets.Conv4(filters=3, size=16, out_features=3), inner_lr=0.1, inner_steps=2)
    batches = [glyphs().sample(2, seed) for seed in range(4)]

    def one(seed):
        batch = batches[seed % 4]
        solved = learner.adapt(batch.support)(batch.query.x).detach()
        grads = learner.meta_gradient(batch).gradients
        return solved, torch.cat([g.flatten() for g in grads if g is not None])

    expected = [one(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        for seed, found in enumerate(pool.map(one, range(16))):
            assert all(torch.equal(a, b) for a, b in zip(found, expected[seed % 4], strict=True))
    assert all(isinstance(p, nn.Parameter) for p in learner.parameters())


def test_a_model_is_not_copied_for_every_step():
    class Heavy:
        def __deepcopy__(self, memo):
            raise AssertionError("copied")

        __copy__ = __reduce_ex__ = __deepcopy__

    model = net()
    model.table = [Heavy() for _ in range(3)]
    model.lock = threading.Lock()  # cannot be copied either
    learner = qs.MAML(model, inner_lr=0.1, execution="threads")
    learner.meta_backward(glyphs().sample(4, 0), workers=2)
    qs.evaluate(learner, glyphs(), n_tasks=2, workers=2)


def test_threads_that_are_started_later_have_their_own_number_of_torchs_threads():
    before = torch.get_num_threads()
    parallel._pool.cache_clear()
    learner = qs.MAML(net(), inner_lr=0.1, execution="threads")
    try:
        torch.set_num_threads(2)
        for workers in (1, 2):
            learner.meta_backward(glyphs().sample(4, 0), workers=workers)
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(torch.get_num_threads).result() == torch.get_num_threads() == 2
            assert {*parallel._pool(workers, os.getpid()).map(lambda _: torch.get_num_threads(), range(4))} == {1}
    finally:
        torch.set_num_threads(before)


def test_nothing_of_the_process_is_touched_if_so_asked(monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_LEAVE_ALONE", "1")
    monkeypatch.setattr(parallel, "_pool", None)
    monkeypatch.setattr(parallel, "_keep_freed_memory", None)
    learner = qs.MAML(net(), inner_lr=0.1, execution="threads")
    learner.meta_backward(glyphs().sample(4, 0), workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_are_under_the_callers_autocast(workers):
    seen = set()

    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, x):
            h = self.net[0](x)
            seen.add(h.dtype)
            return self.net[1:](h)

    learner = qs.MAML(Probe(), inner_lr=0.1, execution="threads")
    with torch.autocast("cpu", torch.bfloat16):
        learner.meta_backward(glyphs().sample(4, 0), workers=workers)
        qs.evaluate(learner, glyphs(), n_tasks=3, workers=workers)
    assert seen == {torch.bfloat16}


def test_an_error_in_one_piece_is_raised_and_nothing_goes_on_behind_it():
    batch, begun, ended = glyphs().sample(6, 0), [], []
    bad = batch.support.x[0]

    def work(_module, item):
        begun.append(item)
        if torch.equal(item.support.x[0], bad):
            raise ValueError("this one")
        time.sleep(0.05)
        ended.append(item)

    with pytest.raises(ValueError, match="this one"):
        parallel.run_pieces(work, net(), parallel.pieces(batch, 1), 2)
    assert len(begun) == len(ended) + 1, "what had begun was waited for"
    assert len(begun) < 6, "the rest was not begun"
    time.sleep(0.2)
    assert len(begun) == len(ended) + 1


def test_a_seeded_block_touches_the_generator_for_its_own_length_only():
    before = torch.get_rng_state()
    with draws.seeded(3):
        first = torch.rand(2)
        with draws.seeded(4):
            torch.rand(5)
        second = torch.rand(2)
    assert torch.equal(before, torch.get_rng_state())
    rng = torch.Generator().manual_seed(3)
    assert torch.equal(first, torch.rand(2, generator=rng))
    assert torch.equal(second, torch.rand(2, generator=rng))


def test_a_stream_is_worked_on_in_order_a_few_ahead():
    taken, threads = [], set()

    def work(item):
        threads.add((threading.current_thread().name, torch.get_num_threads(), torch.is_grad_enabled()))
        time.sleep(0.002 * (item % 3))
        return -item

    with torch.no_grad():
        stream = parallel.in_order(work, (taken.append(i) or i for i in range(1000)), 2)
        assert [next(stream) for _ in range(20)] == [-i for i in range(20)]
        stream.close()
    assert len(taken) < 20 + 10
    assert threading.current_thread().name not in {name for name, _, _ in threads}
    assert {(count, grad) for _, count, grad in threads} == {(1, False)}
    assert list(parallel.in_order(work, [1, 2], 1)) == [-1, -2]


def test_a_streams_error_comes_in_its_place():
    def work(item):
        if item == 3:
            raise ValueError("three")
        return item

    stream = parallel.in_order(work, range(10), 2)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(stream)
