"""What a network recomputes, keeps on itself or changes in a forward works, or is refused by name."""

import copy
import warnings
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

import quickstudy as qs
from quickstudy.core import checkpointing
from quickstudy.core.functional import TaskModel
from quickstudy.core.losses import WithPenalty
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import double


def tasks(*shape, tasks=3, way=3, shot=2, query=3):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(tasks, way, shot + query, *shape, generator=rng)
    y = torch.arange(way).repeat_interleave(shot).repeat(tasks, 1), torch.arange(way).repeat_interleave(query)
    sets = x[:, :, :shot].flatten(1, 2), x[:, :, shot:].flatten(1, 2)
    return TaskBatch(Examples(sets[0], y[0]), Examples(sets[1], y[1].repeat(tasks, 1)))


class Blocks(nn.Module):
    """A network with BatchNorm, two checkpoints beside each other and one inside another."""

    def __init__(self, how, norm=True):
        super().__init__()
        self.how = how
        self.a = nn.Linear(6, 8)
        self.b = nn.Linear(8, 8)
        self.c = nn.Linear(8, 8)
        self.first, self.second, self.third = (nn.BatchNorm1d(8) if norm else nn.LayerNorm(8) for _ in range(3))
        self.head = nn.Linear(8, 3)

    def again(self, f, h):
        if self.how == "not":
            return f(h)
        return checkpoint(f, h, use_reentrant=self.how == "reentrant")

    def one(self, h):
        return self.again(lambda t: self.second(self.b(t)).tanh(), h) * 2

    def two(self, h):
        return self.third(self.c(h)).tanh()

    def forward(self, x):
        h = self.first(self.a(x)).tanh()
        return self.head(self.again(self.two, self.again(self.one, h)))


def everything(learner, batch, workers=1):
    """Meta-gradient, loss, and adapted predictions."""
    loss = learner.meta_backward(batch, workers=workers)["loss"]
    with torch.no_grad():
        predictions = learner.adapt(batch.support)(batch.query.x)
    return (
        torch.cat([p.grad.flatten() for p in learner.parameters() if p.grad is not None]),
        torch.tensor(loss),
        predictions,
    )


def maml(model, **options):
    torch.manual_seed(0)
    return qs.MAML(model().double(), inner_lr=0.5, inner_steps=2, **options)


@pytest.mark.parametrize("execution", ["loop", "threads", "vmap"])
@pytest.mark.parametrize("bn", ["transductive", "support", "none"])
@pytest.mark.parametrize("order", [1, 2])
def test_checkpoints_inside_a_network_change_nothing(order, bn, execution):
    batch = double(tasks(6))
    norm, mode = bn != "none", "support" if bn == "none" else bn
    want = everything(maml(lambda: Blocks("not", norm), order=order, bn=mode, execution="loop"), batch)
    learner = maml(lambda: Blocks("checkpoint", norm), order=order, bn=mode, execution=execution)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = everything(learner, batch, workers=2)
    assert len(said) == (execution == "vmap"), [str(w.message) for w in said]
    for f, w in zip(found, want, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-9, atol=1e-12)


def test_running_statistics_frozen_parts_dropout_and_reptile_under_checkpoints():
    batch = double(tasks(6))
    found = {}
    for how in ("not", "checkpoint"):
        torch.manual_seed(0)
        model = Blocks(how).double()
        model(torch.randn(20, 6).double())
        model.a.requires_grad_(False)
        found[how] = everything(maml(lambda m=model: m, bn="running", execution="loop"), batch)[2]
        model.c = nn.Sequential(model.c, nn.Dropout(0.5))
        torch.manual_seed(1)
        reptile = qs.Reptile(model, inner_lr=0.1, inner_steps=3, execution="loop", bn="running")
        found[how] = [found[how], *(g for g in reptile.meta_gradient(batch).gradients if g is not None)]
    for f, w in zip(found["checkpoint"], found["not"], strict=True):
        torch.testing.assert_close(f, w, rtol=1e-9, atol=1e-12)


def test_checkpoints_of_metric_learners_and_in_sequence():
    class Net(nn.Sequential):
        feature_shape = (4,)
        parts = 0

        def forward(self, input):
            return (
                checkpoint_sequential([*self], 2, input, use_reentrant=False) if self.parts else super().forward(input)
            )

    torch.manual_seed(0)
    net = Net(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 4)).double()
    batch, found = double(tasks(6)), []
    for Net.parts in (0, 2):
        learner = qs.ProtoNet(copy.deepcopy(net), bn="support", execution="loop")
        found.append(everything(learner, batch))
    for f, w in zip(*found, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-9, atol=1e-12)


def test_reentrant_checkpoints_are_refused():
    with pytest.raises(qs.UsageError, match="use_reentrant=False"):
        maml(lambda: Blocks("reentrant")).meta_backward(double(tasks(6)))
    with pytest.raises(qs.UsageError, match="use_reentrant=False"):
        maml(lambda: Blocks("reentrant", norm=False)).meta_backward(double(tasks(6)))


def test_outside_of_a_learner_checkpoints_are_what_they_were(monkeypatch):
    model, x = Blocks("checkpoint"), torch.randn(5, 6)
    grads = [torch.autograd.grad(m(x).sum(), m.a.weight)[0] for m in (model, copy.deepcopy(model))]
    model.how = "not"
    torch.testing.assert_close(grads[0], torch.autograd.grad(model(x).sum(), model.a.weight)[0])
    monkeypatch.setattr(checkpointing, "_torchs", None)  # a torch in which they are made otherwise
    with checkpointing.recomputed(lambda part: part), pytest.raises(RuntimeError, match="switch it off"):
        torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t).__enter__()


class Bottleneck(nn.Module):
    """A penalty kept on the model, or given back with the predictions."""

    def __init__(self, how):
        super().__init__()
        self.how = how
        self.body, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.kl, self.losses = 0.0, []

    def forward(self, x):
        h = self.body(x).tanh()
        penalty = h.square().mean(1, keepdim=True)
        if self.how == "inside":
            return torch.cat([self.head(h), penalty], 1)
        if self.how == "list":
            self.losses.append(penalty.mean())
        elif self.how == "attribute":
            self.kl = penalty.mean()
        elif self.how == "detached":
            self.kl = penalty.mean().detach()
        return self.head(h)


@pytest.mark.parametrize("execution", ["loop", "threads", "vmap", "auto"])
@pytest.mark.parametrize("how", ["attribute", "list"])
def test_a_loss_kept_on_the_model_is_refused_on_every_path(how, execution):
    learner = maml(lambda: Bottleneck(how), execution=execution)
    for _ in range(2):
        with pytest.raises(qs.UsageError, match="WithPenalty"):
            learner.meta_backward(double(tasks(6)), workers=2)
    assert learner.model.kl == 0.0
    assert not learner.model.losses


@pytest.mark.parametrize("execution", ["loop", "threads", "vmap", "auto"])
def test_a_penalty_given_back_counts_on_every_path(execution):
    batch = double(tasks(6))

    def by_hand(p, y):
        return F.cross_entropy(p[:, :3], y) + 10 * p[:, 3].mean()

    want = everything(maml(lambda: Bottleneck("inside"), loss=by_hand, execution="loop"), batch)
    learner = maml(lambda: Bottleneck("inside"), loss=WithPenalty(weight=10.0), execution=execution)
    for f, w in zip(everything(learner, batch, workers=2), want, strict=True):
        torch.testing.assert_close(f, w, rtol=1e-9, atol=1e-12)
    predictions = learner.adapt(batch.support)(batch.query.x)
    assert learner.score_name(batch) == "accuracy"
    right = (predictions[..., :3].argmax(-1) == batch.query.y).double().mean(1)
    torch.testing.assert_close(learner.score_tasks(batch, [2])[0, 0].double(), right, check_dtype=False)


@pytest.mark.parametrize("execution", ["loop", "vmap"])
def test_what_is_kept_detached_is_put_back_with_one_warning(execution):
    learner = maml(lambda: Bottleneck("detached"), execution=execution)
    with pytest.warns(UserWarning, match="keeps on the model kl"):
        learner.meta_backward(double(tasks(6)))
    learner.meta_backward(double(tasks(6)))
    assert learner.model.kl == 0.0
    copy.deepcopy(learner)


def test_changed_buffers_are_told_once_and_stay():
    spectral = nn.utils.parametrizations.spectral_norm
    old = nn.utils.spectral_norm

    class OwnNorm(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(8))

        def forward(self, x):
            if self.training:
                self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            return x - self.mean

    for layers, name in (
        ([spectral(nn.Linear(6, 8))], "_u"),
        ([old(nn.Linear(6, 8))], "0.weight_u"),
        ([nn.Linear(6, 8), nn.Unflatten(1, (2, 4)), nn.InstanceNorm1d(2, track_running_stats=True)], "2.running_mean"),
        ([nn.Linear(6, 8), OwnNorm()], "1.mean"),
    ):
        learner = qs.MAML(nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 3)), inner_steps=2, execution="loop")
        before = {n: b.clone() for n, b in learner.named_buffers()}
        with pytest.warns(UserWarning, match=name) as said:
            learner.meta_backward(tasks(6))
        learner.meta_backward(tasks(6))  # a second warning would be an error here
        assert len(said) == 1
        assert learner.bn_mode == "none"
        assert all(torch.equal(b, before[n]) for n, b in learner.named_buffers())
        learner.eval().adapt(tasks(6).support)  # nothing changes in evaluation, and nothing is said


def test_a_norm_of_the_batch_that_is_no_batch_norm_is_refused():
    class Sneaky(nn.Module):
        def forward(self, x):
            return F.batch_norm(x, None, None, training=True)

    with pytest.raises(qs.UsageError, match="subclass"):
        qs.MAML(nn.Sequential(Sneaky(), nn.Linear(6, 3))).meta_backward(tasks(6))


class Output(OrderedDict):
    """As a library's output object: a dict with attributes."""


@pytest.mark.parametrize("execution", ["loop", "auto"])
@pytest.mark.parametrize("kind", [Output, dict, tuple, list])
def test_outputs_that_are_no_tensor(kind, execution):
    class Net(nn.Module):
        feature_shape = (3,)

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x):
            return kind(logits=self.head(x)) if issubclass(kind, dict) else kind([self.head(x), None])

    image = {"x_shape": (6,), "out_features": 3}
    for learner in (
        qs.MAML(Net(), execution=execution),
        qs.Reptile(Net(), execution=execution),
        qs.ProtoNet(Net(), execution=execution),
        qs.MatchingNet(Net(), execution=execution),
        qs.CNP(Net(), execution=execution),
        qs.MANN(Net(), out_features=3, hidden_size=4, slots=4, slot_width=3, heads=1, execution=execution),
        qs.MetaGAN(Net(), execution=execution, **image),
        qs.MetaGAN(Net(), execution=execution, base="relation", **image),
    ):
        with pytest.raises(qs.UsageError, match="one tensor"):
            learner.meta_backward(tasks(6))


def test_models_of_two_inputs():
    class Two(nn.Module):
        feature_shape = (3,)

        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3)

        def forward(self, x, mask):
            return self.head(x * mask)

    for make in (qs.MAML, qs.ProtoNet, qs.CNP, lambda m: qs.MetaGAN(m, x_shape=(6,))):
        with pytest.raises(qs.UsageError, match=r"one input.*'mask'"):
            make(Two())
    Two.forward.__defaults__ = (1.0,)
    qs.MAML(Two()).meta_backward(tasks(6))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:Lazy modules")
@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: nn.LazyLinear(3), "lazy"),
        (lambda: nn.DataParallel(nn.Linear(6, 3)), ".module"),
        (lambda: torch.compile(nn.Linear(6, 3), backend="eager"), "compile=True"),
        (lambda: nn.Embedding(5, 3, max_norm=1.0), "max_norm"),
        (lambda: nn.Embedding(5, 3, sparse=True), "sparse=False"),
        (lambda: nn.EmbeddingBag(5, 3, sparse=True), "sparse=False"),
        (lambda: nn.utils.weight_norm(nn.Linear(6, 3)), "parametrizations"),
    ],
)
@pytest.mark.parametrize("learner", [qs.MAML, qs.ProtoNet])
def test_models_that_no_learner_can_run(learner, make, word):
    model = nn.Sequential(make())
    with pytest.raises(qs.UsageError, match=word):
        learner(model)
    inside = nn.Linear(6, 3)
    inside.compile(backend="eager")
    with pytest.raises(qs.UsageError, match="compile=True"):
        learner(nn.Sequential(inside))


def test_a_forward_that_changes_a_parameter_is_refused():
    class Clips(nn.Linear):
        def forward(self, input):
            with torch.no_grad():
                self.weight.clamp_(-1, 1)
            return super().forward(input)

    with pytest.raises(qs.UsageError, match="in place"):
        qs.ProtoNet(Clips(6, 3), execution="loop").adapt(tasks(6).support)


def test_the_first_look_is_taken_once_and_by_all_copies():
    net = TaskModel(nn.Linear(6, 3), "transductive", execution="loop")
    batch = tasks(6).support
    net.forward(net.start(3), batch.x)
    assert set(net.known.looked) == {(True, True)}
    assert copy.deepcopy(net).known is net.known
    looked = net.known.looked[True, True]
    net.forward(net.start(3), batch.x)
    assert net.known.looked[True, True] is looked


@pytest.mark.parametrize("make", [qs.MAML, qs.ProtoNet])
def test_whole_numbers_in_a_network_of_reals(make):
    """An ``nn.Embedding`` takes them, a linear layer does not, on every path."""
    table = torch.arange(48).view(12, 4)
    tasks = qs.tasks.Episodes(table, torch.arange(12) % 3, way=3, query=1)
    with pytest.raises(qs.UsageError, match=r"on x of whole numbers, int64; .*nn\.Embedding"):
        qs.evaluate(make(nn.Linear(4, 3)), tasks, n_tasks=2)
    words = nn.Sequential(nn.Embedding(48, 2), nn.Flatten(), nn.Linear(8, 3))
    assert 0 <= qs.evaluate(make(words), tasks, n_tasks=2).mean <= 1
