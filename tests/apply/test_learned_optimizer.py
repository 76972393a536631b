"""A learned rule as a torch optimizer: the same steps as when it was trained, and all that optimizers are used with."""

import copy
import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.apply import learned_optimizer, pretrained
from quickstudy.apply.learned_optimizer import pretrained_rule
from quickstudy.core.unroll import unroll
from quickstudy.rules import SGD, CoordinateLSTM, FeatureMLP, HyperMLP, LearnedAdam

RULES = [LearnedAdam, CoordinateLSTM, FeatureMLP, HyperMLP]


def make(cls=FeatureMLP):
    torch.manual_seed(0)
    rule = cls()
    with torch.no_grad():
        for p in rule.parameters():
            p += 0.02 * torch.randn(p.shape)
    return rule


class Net(nn.Module):
    """Parameters of every number of axes, from none to four."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv = nn.Conv2d(1, 3, 3)
        self.linear = nn.Linear(12, 2)
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x):
        return self.linear(self.conv(x).flatten(1)) * self.scale


X = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(2))


def loss_of(net, x=X):
    return (net(x.to(next(net.parameters()).dtype)) ** 2).mean()


def steps(net, optimizer, count=3):
    for _ in range(count):
        optimizer.zero_grad()
        loss_of(net).backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("cls", RULES)
def test_moves_a_model_as_the_unroll_does(cls):
    rule, net = make(cls), Net()
    start = {name: p.detach()[None].clone() for name, p in net.named_parameters()}

    def objective(params, step):
        own = {name: p[0] for name, p in params.items()}
        return (torch.func.functional_call(net, own, (X,)) ** 2).mean()[None]

    with torch.no_grad():
        *_, last = unroll(objective, start, rule, steps=3, order=1)
    found = steps(net, qs.LearnedOptimizer(net.parameters(), rule))
    torch.testing.assert_close(found, torch.cat([p.flatten() for p in last.values()]))
    assert all(p.grad is None for p in rule.parameters())


def test_groups_have_their_own_factor_and_decay():
    whole, halved, decayed = Net(), Net(), Net()
    rule = make()
    before = torch.cat([p.detach().flatten() for p in whole.parameters()])
    step = steps(whole, qs.LearnedOptimizer(whole.parameters(), rule), 1) - before
    groups = [{"params": halved.conv.parameters(), "lr": 0.5}, {"params": [*halved.linear.parameters(), halved.scale]}]
    found = steps(halved, qs.LearnedOptimizer(groups, rule), 1) - before
    of_conv = torch.cat(
        [torch.full_like(p, name.startswith("conv")).flatten() for name, p in halved.named_parameters()]
    )
    torch.testing.assert_close(found, torch.where(of_conv == 1, 0.5 * step, step), rtol=1e-4, atol=1e-7)
    found = steps(decayed, qs.LearnedOptimizer(decayed.parameters(), rule, lr=0.5, weight_decay=0.1), 1) - before
    torch.testing.assert_close(found, 0.5 * (step - 0.1 * before), rtol=1e-4, atol=1e-7)


def test_a_scheduler_moves_the_factor():
    net = Net()
    optimizer = qs.LearnedOptimizer(net.parameters(), make(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 0.0 if k else 1.0)
    moved = steps(net, optimizer, 1)
    scheduler.step()
    assert torch.equal(steps(net, optimizer, 2), moved)


@pytest.mark.parametrize("cls", RULES)
@pytest.mark.parametrize("way", ["state_dict", "file"])
def test_goes_on_from_its_state(cls, way, tmp_path):
    rule, net = make(cls), Net()
    optimizer = qs.LearnedOptimizer(net.parameters(), rule, lr=0.7)
    steps(net, optimizer, 2)
    other = copy.deepcopy(net)
    again = qs.LearnedOptimizer(other.parameters(), rule)
    if way == "file":
        optimizer.save(tmp_path / "o.safetensors")
        again.load(tmp_path / "o.safetensors")
    else:
        again.load_state_dict(optimizer.state_dict())
    assert again.param_groups[0]["lr"] == 0.7
    assert torch.equal(steps(net, optimizer), steps(other, again))


def test_another_rules_state_is_refused(tmp_path):
    net = Net()
    optimizer = qs.LearnedOptimizer(net.parameters(), make(LearnedAdam))
    steps(net, optimizer, 1)
    with pytest.raises(qs.UsageError, match="another rule or model"):
        qs.LearnedOptimizer(net.parameters(), make()).load_state_dict(optimizer.state_dict())
    (tmp_path / "o").write_bytes(b"none of these")
    with pytest.raises(qs.RunError, match=r"LearnedOptimizer\.save"):
        optimizer.load(tmp_path / "o")


def test_a_copy_goes_its_own_way():
    net = Net()
    optimizer = qs.LearnedOptimizer(net.parameters(), make())
    steps(net, optimizer, 1)
    other, again = copy.deepcopy((net, optimizer))
    assert torch.equal(steps(net, optimizer), steps(other, again))


def test_parameters_without_a_gradient_stay():
    net = Net()
    net.scale.requires_grad_(False)
    optimizer = qs.LearnedOptimizer(net.parameters(), make())
    steps(net, optimizer)
    assert float(net.scale) == 0.5
    assert net.scale not in optimizer.state
    net.scale.requires_grad_(True)  # it joins later, with a step count of its own
    steps(net, optimizer, 1)
    assert (float(optimizer.state[net.scale]["step"]), float(optimizer.state[net.conv.weight]["step"])) == (1, 4)


def test_gradients_add_up_until_the_step():
    whole, summed = Net(), Net()
    one, two = (qs.LearnedOptimizer(net.parameters(), make()) for net in (whole, summed))
    loss_of(whole).backward()
    for x in X.split(1):
        (loss_of(summed, x) / 5).backward()
    one.step()
    two.step()
    for p, q in zip(whole.parameters(), summed.parameters(), strict=True):
        torch.testing.assert_close(p, q)


def test_a_closure():
    net, plain = Net(), Net()
    optimizer = qs.LearnedOptimizer(net.parameters(), make())

    def closure():
        optimizer.zero_grad()
        loss = loss_of(net)
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == loss_of(plain).item()
    expected = steps(plain, qs.LearnedOptimizer(plain.parameters(), make()), 1)
    assert torch.equal(torch.cat([p.detach().flatten() for p in net.parameters()]), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_its_state_in_float32(dtype):
    net = Net().to(dtype)
    rule = make()
    optimizer = qs.LearnedOptimizer(net.parameters(), rule)
    moved = steps(net, optimizer)
    assert moved.dtype == dtype
    assert moved.isfinite().all()
    again = qs.LearnedOptimizer(net.parameters(), rule)
    again.load_state_dict(optimizer.state_dict())
    for p in net.parameters():
        for part, t in again.state[p].items():
            assert t.dtype == torch.float32
            assert torch.equal(t, optimizer.state[p][part])


def test_double_precision():
    rule, net, double = make(), Net(), Net().double()
    found = steps(double, qs.LearnedOptimizer(double.parameters(), rule))
    torch.testing.assert_close(found.float(), steps(net, qs.LearnedOptimizer(net.parameters(), rule)))
    assert next(rule.parameters()).dtype == torch.float32


def test_amps_scaler():
    """Its factor is taken out before the step; steps with gradients that overflowed are left out."""
    plain, net = Net(), Net()
    expected = steps(plain, qs.LearnedOptimizer(plain.parameters(), make()), 1)
    optimizer = qs.LearnedOptimizer(net.parameters(), make())
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for factor in (1.0, float("inf")):
        optimizer.zero_grad()
        scaler.scale(loss_of(net) * factor).backward()
        scaler.step(optimizer)
        scaler.update()
    assert scaler.get_scale() == 512
    torch.testing.assert_close(torch.cat([p.detach().flatten() for p in net.parameters()]), expected)


def test_compiled_models():
    plain, net = Net(), Net()
    compiled = torch.compile(net, backend="eager")
    optimizer = qs.LearnedOptimizer(compiled.parameters(), make())
    steps(compiled, optimizer)
    expected = steps(plain, qs.LearnedOptimizer(plain.parameters(), make()))
    torch.testing.assert_close(torch.cat([p.detach().flatten() for p in net.parameters()]), expected)


def test_what_it_does_not_take():
    table = nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(qs.UsageError, match="no sparse gradients"):
        qs.LearnedOptimizer(table.parameters(), make()).step()
    waves = nn.Parameter(torch.ones(2, dtype=torch.complex64))
    waves.abs().sum().backward()
    with pytest.raises(qs.UsageError, match="real-valued"):
        qs.LearnedOptimizer([waves], make()).step()
    with pytest.raises(qs.UsageError, match="SGD keeps no state of the form"):
        qs.LearnedOptimizer(table.parameters(), SGD())
    with pytest.raises(qs.UsageError, match="lr >= 0"):
        qs.LearnedOptimizer(table.parameters(), make(), lr=-1.0)


def test_the_one_that_ships():
    folder = Path(pretrained.__file__).parent
    assert sum((folder / f"optimizer.{ending}").stat().st_size for ending in ("json", "safetensors")) < 2**20
    assert pretrained.about("optimizer")["training"]["steps"] > 100
    one, two = Net(), Net()
    before = float(loss_of(one).detach())
    found = steps(one, qs.LearnedOptimizer(one.parameters()), 30)
    assert float(loss_of(one).detach()) < 0.1 * before
    assert torch.equal(found, steps(two, qs.LearnedOptimizer(two.parameters(), pretrained_rule()), 30))


def test_from_a_run(tmp_path):
    tasks = qs.tasks.Problems(families=("quadratic",), horizon=(3, 3), examples=16)
    learner = qs.MLPOptimizer(hidden_size=4)
    qs.train(learner, tasks, steps=2, meta_batch=2, out=tmp_path / "r", checkpoint_every=1)
    net = Net()
    optimizer = qs.LearnedOptimizer.from_run(tmp_path / "r", net.parameters(), lr=0.5)
    assert torch.equal(optimizer.rule.first, learner.rule.first)
    assert optimizer.param_groups[0]["lr"] == 0.5
    steps(net, optimizer, 1)
    qs.train(qs.MAML(qs.nets.MLP(), loss="mse"), qs.tasks.Sinusoids(), steps=1, meta_batch=2, out=tmp_path / "m")
    with pytest.raises(qs.UsageError, match="has no rule to optimize by"):
        qs.LearnedOptimizer.from_run(tmp_path / "m", net.parameters())


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler for torch.compile on a CPU")
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own affairs
def test_compiled_moves_the_same(monkeypatch):
    monkeypatch.setattr(learned_optimizer, "LARGE", 6)  # conv.weight and linear.weight, not the rest
    rule = make()
    expected, net = Net(), Net()
    groups = (
        [{"params": n.conv.parameters(), "lr": 0.5, "weight_decay": 0.1}, {"params": [n.linear.weight, n.scale]}]
        for n in (expected, net)
    )
    plain, compiled = (
        qs.LearnedOptimizer(group, rule, compile=c) for group, c in zip(groups, (False, True), strict=True)
    )
    torch.testing.assert_close(steps(net, compiled), steps(expected, plain))
    compiled.load_state_dict(copy.deepcopy(plain.state_dict()))
    torch.testing.assert_close(steps(net, compiled), steps(expected, plain))


def test_only_what_has_a_step_of_one_tensor_is_compiled():
    with pytest.raises(qs.UsageError, match="compile=True is for FeatureMLP, and this rule is HyperMLP"):
        qs.LearnedOptimizer(Net().parameters(), HyperMLP(), compile=True)
