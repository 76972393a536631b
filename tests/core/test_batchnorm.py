"""BatchNorm's three modes do what they say, and nothing leaks."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.core.batchnorm import BatchNormAs, by_support, check_mode, counts_padding, describe, together
from quickstudy.core.functional import TaskModel
from quickstudy.tasks import Examples


@pytest.fixture
def x():
    torch.manual_seed(0)
    return 3 + 2 * torch.randn(7, 4, 5, 5, dtype=torch.float64)


def layer():
    torch.manual_seed(1)
    bn = nn.BatchNorm2d(4).double()
    nn.init.uniform_(bn.weight)
    nn.init.uniform_(bn.bias)
    return bn


@pytest.mark.parametrize("written_out", [False, True])
def test_batch_statistics_are_torchs_training_mode(x, written_out):
    bn = layer()
    with BatchNormAs(written_out=written_out):
        found = bn.eval()(x)
    torch.testing.assert_close(found, layer().train()(x))


def test_running_statistics_are_torchs_evaluation_mode(x):
    bn = layer()
    bn(x)
    with BatchNormAs(running=True):
        found = bn.train()(x)
    torch.testing.assert_close(found, bn.eval()(x))


def test_recorded_statistics_can_be_replayed(x):
    bn = layer()
    with BatchNormAs(record=True) as mode:
        expected = bn(x)
    with BatchNormAs(fixed=tuple(mode.seen)):
        torch.testing.assert_close(bn(x[:2]), expected[:2])


def test_outside_of_the_mode_nothing_is_changed(x):
    bn = layer()
    with BatchNormAs():
        bn(x)
    running_mean = bn.running_mean.clone()
    bn(x)
    assert not torch.equal(bn.running_mean, running_mean)


def model_and_support(bn):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3))
    support = Examples(torch.rand(2, 3, 1, 8, 8), torch.arange(3).repeat(2, 1))
    return qs.MAML(model, inner_lr=0.1, bn=bn), support, torch.rand(2, 5, 1, 8, 8)


@pytest.mark.parametrize(("bn", "alone"), [("transductive", False), ("support", True)])
def test_who_sees_whom(bn, alone):
    learner, support, query = model_and_support(bn)
    solver = learner.adapt(support)
    same = torch.allclose(solver(query)[:, :1], solver(query[:, :1]), atol=1e-6)
    assert same is alone


def test_support_statistics_are_those_of_the_adapted_weights():
    learner, support, query = model_and_support("support")
    solver = learner.adapt(support)
    p = {name: t[0].detach() for name, t in solver.params.items()}
    features = F.conv2d(support.x[0], p["0.weight"], p["0.bias"])
    var, mean = torch.var_mean(features, (0, 2, 3), correction=0)
    h = F.conv2d(query[0], p["0.weight"], p["0.bias"])
    h = F.batch_norm(h, mean, var, p["1.weight"], p["1.bias"], training=False)
    expected = F.linear(F.relu(h).flatten(1), p["4.weight"], p["4.bias"])
    torch.testing.assert_close(solver(query)[0], expected)


def test_adapting_leaves_running_statistics_alone():
    learner, support, query = model_and_support("transductive")
    before = {name: b.clone() for name, b in learner.named_buffers()}
    learner.adapt(support)(query)
    assert all(torch.equal(b, before[name]) for name, b in learner.named_buffers())


def test_errors():
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    with pytest.raises(qs.UsageError, match="never estimated"):
        qs.MAML(model, bn="running")
    with pytest.raises(qs.UsageError, match="never estimated"):
        qs.MAML(nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 2)), bn="running")
    with pytest.raises(qs.UsageError, match="bn must be one of"):
        check_mode("eval", model)  # not through MAML: the tests check its annotations first


def test_the_mode_is_told():
    assert qs.MAML(nn.Linear(2, 2)).bn_mode == "none"
    assert qs.MAML(nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), bn="support").bn_mode == "support"


@pytest.mark.parametrize("mode", ["transductive", "support", "running"])
def test_what_a_mode_means_is_decided_in_one_place(mode, x):
    bn = layer()
    bn.train()(x)  # so that there are running statistics
    net, bare = TaskModel(bn, mode), TaskModel(nn.Linear(2, 2), mode)
    assert net.bn_mode == describe(mode, bn) == mode
    assert (together(mode), by_support(mode)) == (mode == "transductive", mode == "support")
    assert counts_padding(mode) == (mode != "running")
    found = net.statistics(net.start(2), torch.stack([x, x]))
    assert (found is not None) == (mode == "support")
    assert bare.bn_mode == "none"
    assert not any(asks("none") for asks in (together, by_support, counts_padding))
    assert bare.statistics(bare.start(1), torch.zeros(1, 3, 2)) is None
