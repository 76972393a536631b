"""ResNet-12 is the network of the papers: its parts, its size, and what it computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import quickstudy as qs
from quickstudy.nets import ResNet12
from quickstudy.testing import check_learner

SMALL = (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("widths", "millions"), [((64, 160, 320, 640), 12_424_320), ((64, 128, 256, 512), 7_996_800), (SMALL, None)]
)
def test_parameters_counted_by_hand(widths, millions):
    """Three 3x3 and one 1x1 convolution per block, none with a bias, each with a BatchNorm."""
    blocks = 0
    for before, after in zip((3, *widths[:-1]), widths, strict=True):
        blocks += 9 * before * after + 2 * 9 * after * after + before * after + 4 * 2 * after
    assert millions in (blocks, None)
    net, headless = ResNet12(widths=widths), ResNet12(widths=widths, out_features=None)
    flat = ResNet12(widths=widths, pool=False)
    assert sum(p.numel() for p in headless.parameters()) == blocks
    assert sum(p.numel() for p in net.parameters()) == blocks + 5 * widths[3] + 5
    assert sum(p.numel() for p in flat.parameters()) == blocks + 5 * 25 * widths[3] + 5  # 84 -> 42 -> 21 -> 10 -> 5


def written_out(net, x):
    """Independent of the module's own layers' order: by parameter names and the functional interface."""

    def convolve(x, path, at):
        layers = net.get_submodule(path)
        bn = layers[at + 1]
        y = F.conv2d(x, layers[at].weight, padding=layers[at].weight.shape[-1] // 2)
        return F.batch_norm(y, None, None, bn.weight, bn.bias, training=True)

    for block in range(4):
        y = F.leaky_relu(convolve(x, f"blocks.{block}.path", 0), 0.1)
        y = F.leaky_relu(convolve(y, f"blocks.{block}.path", 3), 0.1)
        y = convolve(y, f"blocks.{block}.path", 6)
        x = F.max_pool2d(F.leaky_relu(y + convolve(x, f"blocks.{block}.shortcut", 0), 0.1), 2)
    return x


def test_computes_what_the_papers_draw():
    torch.manual_seed(0)
    x = torch.randn(6, 3, 37, 37, dtype=torch.float64)
    net = ResNet12(widths=SMALL, size=37, out_features=4).double()
    for p in net.parameters():
        nn.init.normal_(p)
    maps = written_out(net, x)
    assert maps.shape == (6, 5, 2, 2)
    torch.testing.assert_close(net(x), F.linear(maps.mean((2, 3)), net.head.weight, net.head.bias))
    for options, expected in (
        ({"pool": True}, maps.mean((2, 3))),
        ({"pool": False}, maps.flatten(1)),
        ({"features": "maps"}, maps),
    ):
        features = ResNet12(widths=SMALL, size=37, out_features=None, **options).double()
        features.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("head")})
        torch.testing.assert_close(features(x), expected)
        assert expected[0].numel() == torch.Size(features.feature_shape).numel()
    assert features.feature_shape == (5, 2, 2)


def test_starts_with_activations_that_keep_their_size_backwards():
    """He's initialisation by fan-out: the second convolution of a block has 9 * channels outputs per input."""
    torch.manual_seed(0)
    weight = ResNet12(widths=(64, 64, 64, 64), size=16).blocks[1].path[3].weight
    assert weight.std().item() == pytest.approx((2 / (1 + 0.01**2) / (9 * 64)) ** 0.5, rel=0.02)


def test_drops_in_training_only():
    torch.manual_seed(0)
    net, x = ResNet12(widths=SMALL, size=16, drop=0.5), torch.rand(4, 3, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))


def test_adapts_under_the_contract():
    torch.manual_seed(0)
    net = ResNet12(in_channels=1, widths=SMALL, size=16, out_features=3)
    tasks = qs.tasks.Glyphs(way=3, shot=2, query=2, size=16)
    check_learner(qs.MAML(net, inner_lr=0.05, inner_steps=1), tasks)


@pytest.mark.parametrize("order", [1, 2])
def test_all_tasks_at_once_give_the_loops_gradient(order):
    torch.manual_seed(0)
    net = ResNet12(in_channels=1, widths=SMALL, size=16, out_features=3).double()
    batch = qs.testing.double(qs.tasks.Glyphs(way=3, shot=2, query=2, size=16).sample(2, seed=0))
    loop, vmap = (
        qs.MAML(net, inner_lr=0.05, order=order, execution=how).meta_gradient(batch).gradients
        for how in ("loop", "vmap")
    )
    for a, b in zip(loop, vmap, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 15}, "of images of size 15"),
        ({"widths": (1, 2, 3, 0)}, "four widths"),
        ({"out_features": 0}, "out_features"),
        ({"drop": 1.0}, "0 <= drop < 1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(qs.UsageError, match=message):
        ResNet12(**options)


def test_names_what_it_takes_and_what_it_got():
    with pytest.raises(qs.UsageError, match=r"takes images \[n, 3, 16, 16\], got \[2, 3, 17, 16\]"):
        ResNet12(widths=SMALL, size=16)(torch.rand(2, 3, 17, 16))
