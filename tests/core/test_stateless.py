"""A module around other tensors: the same numbers as in its own objects, which stay as they are."""

import functools
import pickle

import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

from quickstudy.core.stateless import call, in_evaluation, with_tensors


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(3, 4, bias=False)
        self.out = nn.Linear(4, 3, bias=False)
        self.out.weight = nn.Parameter(self.embed.weight.T.contiguous().T.T.contiguous())
        self.again = nn.Linear(3, 4, bias=False)
        self.again.weight = self.embed.weight

    def forward(self, x):
        return self.out(self.embed(x) + self.again(x))


class ByList(nn.Module):
    """Reaches its layers by a list, a closure, a bound method, a partial and a helper, none of them registered."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c, self.d, self.e = (nn.Linear(3, 3) for _ in range(5))
        self.hidden = [self.a]
        b = self.b
        self.closure = lambda x: b(x)
        self.method = self.c.forward
        self.partial = functools.partial(self._run, self.d)
        self.helper = Helper(self)
        self.table = list(range(1000))

    @staticmethod
    def _run(layer, x):
        return layer(x)

    def forward(self, x):
        x = self.method(self.closure(self.hidden[0](x)))
        return self.helper.run(self.partial(x))


class Helper:
    def __init__(self, owner):
        self.owner = owner

    def run(self, x):
        return self.owner.e(x)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 4, num_layers=2, batch_first=True)

    def forward(self, x):
        return self.lstm(x.unsqueeze(1))[0][:, 0]


def normed():
    return nn.Sequential(parametrizations.weight_norm(nn.Linear(3, 4)), nn.Tanh(), nn.Linear(4, 3))


@pytest.mark.parametrize("make", [Tied, ByList, Recurrent, normed, lambda: nn.BatchNorm1d(3)])
def test_as_functional_call(make):
    torch.manual_seed(0)
    module, x = make().eval(), torch.randn(5, 3)
    tensors = {
        name: t + torch.rand_like(t) for name, t in (*module.named_parameters(), *module.named_buffers()) if t.ndim
    }
    before = {name: (id(t), t.clone()) for name, t in module.state_dict(keep_vars=True).items()}
    assert torch.equal(call(module, tensors, (x,)), functional_call(module, tensors, (x,)))
    after = module.state_dict(keep_vars=True)
    assert all(id(after[name]) == i and torch.equal(after[name], t) for name, (i, t) in before.items())


def test_what_leads_to_no_module_is_shared():
    module = ByList()
    own = with_tensors(module, {})
    assert own.table is module.table
    assert own.a.weight is module.a.weight
    assert own.hidden[0] is own.a
    assert own.helper is not module.helper
    assert own.helper.owner is own


def test_what_a_forward_sets_stays_with_the_call():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("count", torch.zeros(()))

        def forward(self, x):
            self.count = self.count + 1
            self.kept = x
            return x

    module = Keeps()
    call(module, {}, (torch.ones(2),))
    assert not hasattr(module, "kept")
    assert int(module.count) == 0


def test_a_checkpoint_finds_the_tensors_of_its_call():
    class Checkpointed(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))

        def forward(self, x):
            return checkpoint(self.net, x, use_reentrant=False)

    module, x = Checkpointed(), torch.randn(5, 3)
    tensors = {name: (p.detach() + 1).requires_grad_() for name, p in module.named_parameters()}
    found = torch.autograd.grad(call(module, tensors, (x,)).square().sum(), list(tensors.values()))
    plain = {name.removeprefix("net."): t for name, t in tensors.items()}
    expected = torch.autograd.grad(functional_call(module.net, plain, (x,)).square().sum(), list(tensors.values()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)


def test_evaluation_mode_is_the_copys():
    module = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3))
    module[1].eval()
    own = in_evaluation(module)
    assert not own.training
    assert not own[0].training
    assert module.training
    assert module[0].training
    assert not module[1].training
    assert pickle.loads(pickle.dumps(own))(torch.ones(2, 3)).shape == (2, 3)
