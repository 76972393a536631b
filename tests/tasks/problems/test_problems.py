"""Optimization problems: pure functions of their seeds, each task by itself, and what the families say they are."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.tasks.problems._nets import ConvNets, MLPs, Transformers
from quickstudy.tasks.problems.batch import minibatch
from quickstudy.tasks.problems.problems import HELD_OUT, TRAINED

HERE = [name for name in (*TRAINED, *HELD_OUT) if name != "omniglot"]


def problems(family, **options):
    return qs.tasks.Problems(families=(family,), examples=32, **options)


@pytest.mark.parametrize("family", HERE)
def test_every_family(family):
    batch = problems(family).sample(3, seed=5)
    assert len(batch) == 3
    assert batch.family.startswith(family)
    params = {name: p.double().requires_grad_() for name, p in batch.start.items()}
    losses = batch.double().loss(params, 2)
    assert losses.shape == (3,)
    grads = torch.autograd.grad(losses[1], list(params.values()))
    for g in grads:  # a task's loss is a function of its own parameters
        assert g[[0, 2]].count_nonzero() == 0
    assert all(g[1].isfinite().all() for g in grads)
    assert sum(float(g[1].norm()) for g in grads) > 0
    assert batch.held_loss(batch.start).isfinite().all()


@pytest.mark.parametrize("family", HERE)
def test_tasks_do_not_see_each_other(family):
    batch = problems(family).sample(4, seed=1).double()
    for step in (0, 7):
        alone = torch.cat([batch[t : t + 1].loss(batch[t : t + 1].start, step) for t in range(4)])
        torch.testing.assert_close(batch.loss(batch.start, step), alone)
    again = batch.repeat(2)
    torch.testing.assert_close(again.loss(again.start, 3)[::2], batch.loss(batch.start, 3))


def test_the_same_arguments_give_the_same_problems():
    tasks = qs.tasks.Problems(examples=32)
    first, again, other = tasks.sample(2, 0), tasks.sample(2, 0), tasks.sample(2, 1)
    assert first.family == again.family
    assert torch.equal(first.train.x, again.train.x)
    assert torch.equal(first.loss(first.start, 9), again.loss(again.start, 9))
    assert not torch.equal(first.seeds, other.seeds)
    assert not torch.equal(first.seeds, qs.tasks.Problems(examples=32, split="test").sample(2, 0).seeds)
    assert {tasks.sample(1, seed).family.split(":")[0] for seed in range(30)} == set(TRAINED)


def test_the_architecture_does_not_depend_on_the_number_of_tasks():
    tasks = qs.tasks.Problems(examples=16)
    for seed in range(5):
        a, b = tasks.sample(1, seed), tasks.sample(3, seed)
        assert (a.family, a.horizon, a.batch_size) == (b.family, b.horizon, b.batch_size)


def test_horizons():
    found = {qs.tasks.Problems(families=("quadratic",), horizon=(3, 5)).sample(1, s).horizon for s in range(30)}
    assert found == {3, 4, 5}


def test_minibatches_are_uniform_and_differ_between_steps_and_tasks():
    seeds = torch.tensor([0, 1, 2**62])
    drawn = minibatch(seeds, 4, 40_000, 10)
    counts = torch.stack([torch.bincount(row, minlength=10) for row in drawn])
    chi = ((counts - 4000.0) ** 2 / 4000).sum(1)  # 9 degrees of freedom: below 27.9 in 99.9%
    assert (chi < 27.9).all()
    assert torch.equal(drawn[:, :8], minibatch(seeds, 4, 8, 10))
    for other in (minibatch(seeds, 5, 40_000, 10)[0], drawn[1]):
        assert abs(float((drawn[0] == other).double().mean()) - 0.1) < 0.01


def test_reparametrisation_changes_the_coordinates_and_not_the_network():
    """The network's weight is scale * parameter, so a gradient by the parameter is scale times the weight's."""
    batch = problems("mlp", rescale=2.0).sample(2, seed=3).double()
    assert any(float((s - 1).abs().max()) > 0.1 for s in batch.scales.values())
    params = {name: p.clone().requires_grad_() for name, p in batch.start.items()}
    weights = {name: (p * batch.scales[name]).requires_grad_() for name, p in batch.start.items()}
    plain = problems("mlp", rescale=0.0).sample(2, seed=3).double()
    assert all((s == 1).all() for s in plain.scales.values())
    by_params = torch.autograd.grad(batch.loss(params, 0).sum(), list(params.values()))
    by_weights = torch.autograd.grad(plain.loss(weights, 0).sum(), list(weights.values()))
    for name, a, b in zip(params, by_params, by_weights, strict=True):
        torch.testing.assert_close(a, b * batch.scales[name], rtol=1e-6, atol=1e-9)


def weights_of(net, rng):
    return {
        name: torch.randn(2, *shape, generator=rng, dtype=torch.float64) for name, (shape, _) in net.shapes().items()
    }


def test_conv_nets_are_torchs():
    rng = torch.Generator().manual_seed(0)
    net = ConvNets((1, 3, 4), 7, 5, "tanh")
    weights = weights_of(net, rng)
    x = torch.randn(2, 6, 1, 7, 7, generator=rng, dtype=torch.float64)
    for t in range(2):
        own = {name: w[t] for name, w in weights.items()}
        h = x[t]
        for k in range(2):
            h = F.conv2d(h, own[f"{k}.weight"], own[f"{k}.bias"], stride=2, padding=1).tanh()
        expected = h.flatten(1) @ own["head.weight"].T + own["head.bias"]
        torch.testing.assert_close(net(weights, x)[t], expected)


def test_transformers_are_torchs():
    rng = torch.Generator().manual_seed(0)
    net = Transformers(size=6, width=8, heads=2, layers=1, outputs=3)
    weights = weights_of(net, rng)
    x = torch.randn(2, 4, 1, 6, 6, generator=rng, dtype=torch.float64)
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64)
    names = {
        "self_attn.in_proj_": "qkv", "self_attn.out_proj.": "out", "linear1.": "up", "linear2.": "down",
        "norm1.": "norm1", "norm2.": "norm2",
    }  # fmt: skip
    own = {name: w[1] for name, w in weights.items()}
    layer.load_state_dict(
        {f"{theirs}{part}": own[f"0.{ours}.{part}"] for theirs, ours in names.items() for part in ("weight", "bias")}
    )
    tokens = x[1, :, 0] @ own["embed.weight"].T + own["embed.bias"] + own["position"]
    expected = layer(tokens).mean(1) @ own["head.weight"].T + own["head.bias"]
    torch.testing.assert_close(net(weights, x)[1], expected)


def test_an_mlp_by_hand():
    net = MLPs((2, 3, 1))
    weights = weights_of(net, torch.Generator().manual_seed(0))
    x = torch.ones(2, 1, 2, dtype=torch.float64)
    h = (weights["0.weight"].sum(-1) + weights["0.bias"]).relu()
    expected = (weights["1.weight"][:, 0] * h).sum(-1) + weights["1.bias"][:, 0]
    torch.testing.assert_close(net(weights, x)[:, 0, 0], expected)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"families": ("cubic",)}, "families must be one of 'quadratic'"),
        ({"data": ("cats",)}, "data must be one of 'glyphs'"),
        ({"horizon": (5, 3)}, "horizon"),
        ({"families": ()}, "families"),
        ({"rescale": -1.0}, "rescale"),
        ({"split": "exam"}, "split"),
    ],
)
def test_wrong_options(options, text):
    with pytest.raises(qs.UsageError, match=text):
        qs.tasks.Problems(**options)


def test_omniglot(omniglot_data, monkeypatch):
    monkeypatch.setenv("QUICKSTUDY_DATA", str(omniglot_data))
    batch = problems("omniglot").sample(2, seed=0)
    assert "omniglot" in batch.family
    assert batch.train.y.unique().tolist() == list(range(10))
