"""Any differentiable module: shared weights, frozen parameters, dropout, recurrence, attention, control flow."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.core.functional import TaskModel
from quickstudy.tasks import Examples, TaskBatch
from quickstudy.testing import check_learner, double


class Sequences:
    """Tasks on sequences: classify [6, 4] by a random projection of the mean; a task distribution in ten lines."""

    def __init__(self, way=3):
        self.way = way

    def sample(self, tasks, seed):
        rng = torch.Generator().manual_seed(seed)
        centers = torch.randn(tasks, self.way, 1, 6, 4, generator=rng)

        def draw(n):
            x = centers + 0.5 * torch.randn(tasks, self.way, n, 6, 4, generator=rng)
            return Examples(x.flatten(1, 2), torch.arange(self.way).repeat_interleave(n).repeat(tasks, 1))

        return TaskBatch(draw(2), draw(3))


class Tied(nn.Module):
    """One matrix used twice, and registered under two names."""

    def __init__(self):
        super().__init__()
        self.a = nn.Linear(24, 24)
        self.b = nn.Linear(24, 24)
        self.b.weight = self.a.weight
        self.head = nn.Linear(24, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x.flatten(1))))))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = kind(4, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.cell(x)[0][:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.encoder(x).mean(1))


class BareAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(4, 12)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        q, k, v = (part[:, None] for part in self.qkv(x).chunk(3, -1))
        return self.head(F.scaled_dot_product_attention(q, k, v)[:, 0].mean(1))


class Branching(nn.Module):
    """Control flow that depends on the data: vmap cannot take it."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(24, 3)

    def forward(self, x):
        y = self.head(x.flatten(1))
        return y * 2 if y.sum() > 0 else y


class Counter(nn.Module):
    """Changes a buffer in place at every call."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(24, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return self.head(x.flatten(1)) * self.calls


def frozen():
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 8), nn.Tanh(), nn.Linear(8, 3))
    model[1].weight.requires_grad_(False)
    return model


MODULES = {
    "tied": Tied,
    "frozen": frozen,
    "lstm": lambda: Recurrent(nn.LSTM),
    "gru": lambda: Recurrent(nn.GRU),
    "transformer": Transformer,
    "attention": BareAttention,
    "counter": Counter,
    "layernorm": lambda: nn.Sequential(nn.Flatten(), nn.LayerNorm(24), nn.Linear(24, 3)),
}


@pytest.mark.filterwarnings("ignore:forward changes the buffers calls")
@pytest.mark.parametrize("name", MODULES)
def test_second_order_maml_takes_it(name):
    torch.manual_seed(0)
    check_learner(qs.MAML(MODULES[name](), inner_lr=0.1, inner_steps=2), Sequences())


@pytest.mark.parametrize("name", ["tied", "frozen", "transformer", "attention", "layernorm"])
def test_vmap_gives_the_gradient_of_the_loop(name):
    torch.manual_seed(0)
    model = MODULES[name]().double()
    batch = Sequences().sample(3, 0)
    batch = double(batch)
    grads = []
    for execution in ("loop", "vmap"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # a fall back to the loop would compare the loop with itself
            learner = qs.MAML(copy.deepcopy(model), inner_lr=0.1, inner_steps=2, execution=execution)
            learner.meta_backward(batch)
        grads.append(torch.cat([p.grad.flatten() for p in learner.parameters() if p.grad is not None]))
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-9, atol=1e-12)


def test_frozen_parameters_stay_and_tied_ones_stay_tied():
    batch = Sequences().sample(2, 0)
    learner = qs.MAML(frozen())
    learner.meta_backward(batch)
    assert "1.weight" not in learner.adapt(batch.support).params
    assert learner.model[1].weight.grad is None
    tied = qs.MAML(Tied())
    assert [name for name in tied.adapt(batch.support).params if "weight" in name] == ["a.weight", "head.weight"]


def test_a_model_that_vmap_cannot_take_falls_back_with_one_warning():
    torch.manual_seed(0)
    model = Branching()
    batch = Sequences().sample(3, 0)
    learner = qs.MAML(model, execution="vmap", chunk=1)
    with pytest.warns(UserWarning, match="one by one"):
        loss, _ = learner.meta_loss(batch)
    learner.meta_loss(batch)  # a second warning would be an error here
    learner.meta_backward(batch, workers=2)
    assert loss.item() == qs.MAML(model, execution="loop").meta_loss(batch)[0].item()


def test_dropout_is_random_in_training_and_reproducible():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24, 32), nn.Dropout(0.5), nn.Linear(32, 3))
    batch = Sequences().sample(4, 0)
    learner = qs.MAML(model, execution="loop")

    def losses(workers):
        torch.manual_seed(7)
        return [learner.meta_backward(batch, workers=workers)["loss"] for _ in range(2)]

    first, second = losses(1)
    assert first != second, "dropout should draw anew each time"
    assert losses(1) == losses(2) == [first, second], "the draws must not depend on the number of threads"
    learner.eval()
    first, second = losses(1)
    assert first == second


def test_the_solver_is_attached_according_to_grad_mode():
    batch = Sequences().sample(2, 0)
    learner = qs.MAML(frozen())
    assert learner.adapt(batch.support)(batch.query.x).requires_grad
    with torch.no_grad():
        solver = learner.adapt(batch.support)
        assert not solver(batch.query.x).requires_grad
    assert not any(p.requires_grad for p in solver.params.values())


def test_errors_say_what_to_do():
    batch = Sequences().sample(2, 0)
    with pytest.raises(qs.UsageError, match="nothing to adapt"):
        TaskModel(nn.Flatten(), "transductive")
    with pytest.raises(qs.UsageError, match="out_features"):
        qs.MAML(nn.Sequential(nn.Flatten(), nn.Linear(24, 2))).meta_loss(batch)
    with pytest.raises(qs.UsageError, match="2 tasks"):
        qs.MAML(frozen()).adapt(batch.support)(batch.query.x[:1])
    with pytest.raises(qs.UsageError, match="order 1 or 2"):
        qs.MAML(frozen(), order=3)
    with pytest.raises(qs.UsageError, match="loss must be"):
        qs.MAML(frozen(), loss="hinge")
    with pytest.raises(qs.UsageError, match="loss='mse'"):
        qs.MAML(frozen()).meta_loss(TaskBatch(batch.support, Examples(batch.query.x, batch.query.y.float())))
