"""The base networks are exactly those of the papers, and say what does not fit."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.nets import MLP, Conv4


def test_conv4_is_the_four_block_64_filter_network_on_28x28():
    """The seed case: 3x3 convolution, BatchNorm, ReLU, 2x2 max-pooling, four times; a linear head on 64 features."""
    net = Conv4()
    convolutions = [block.conv for block in net.blocks]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (1, 64, (3, 3)),
        *[(64, 64, (3, 3))] * 3,
    ]
    assert (net.head.in_features, net.head.out_features) == (64, 5)
    first = 64 * (1 * 3 * 3) + 64
    others = 3 * (64 * (64 * 3 * 3) + 64)
    batchnorms = 4 * (64 + 64)
    head = 5 * 64 + 5
    assert sum(p.numel() for p in net.parameters()) == first + others + batchnorms + head == 112_261
    heights = [28]
    x = torch.rand(2, 1, 28, 28)
    for block in net.blocks:
        x = block(x)
        heights.append(x.shape[-1])
    assert heights == [28, 14, 7, 3, 1]
    assert net(torch.rand(2, 1, 28, 28)).shape == (2, 5)


@pytest.mark.parametrize(("size", "features"), [(16, 3), (31, 3), (32, 12), (84, 75)])
def test_conv4_takes_any_size_from_16(size, features):
    net = Conv4(in_channels=3, out_features=4, filters=3, size=size)
    assert net.head.in_features == features
    assert net(torch.rand(2, 3, size, size)).shape == (2, 4)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (2, 1, 17, 16), (2, 1, 28, 28)])
def test_conv4_names_what_it_takes_and_what_it_got(shape):
    with pytest.raises(qs.UsageError, match=r"takes images \[n, 1, 16, 16\]") as caught:
        Conv4(filters=3, size=16)(torch.rand(shape))
    assert str(list(shape)) in str(caught.value)


@pytest.mark.parametrize("options", [{"size": 15}, {"filters": 0}, {"out_features": 0}, {"in_channels": 0}])
def test_conv4_refuses(options):
    with pytest.raises(qs.UsageError, match=r"of images of size 15|Conv4 needs"):
        Conv4(**options)


def test_mlp_is_the_sinusoid_network_of_maml():
    net = MLP()
    assert [type(layer) for layer in net.layers] == [nn.Linear, nn.ReLU, nn.Linear, nn.ReLU, nn.Linear]
    assert sum(p.numel() for p in net.parameters()) == (40 + 40) + (40 * 40 + 40) + (40 + 1)
    assert net(torch.rand(7, 1)).shape == (7, 1)


def test_mlp_flattens_examples_and_may_be_linear():
    assert MLP(in_features=12, out_features=3, hidden=(8,))(torch.rand(2, 3, 2, 2)).shape == (2, 3)
    linear = MLP(in_features=2, hidden=())
    assert [type(layer) for layer in linear.layers] == [nn.Linear]


def test_mlp_names_what_does_not_fit():
    with pytest.raises(qs.UsageError, match=r"takes 12 numbers per example, got x \[2, 11\]"):
        MLP(in_features=12)(torch.rand(2, 11))
    with pytest.raises(qs.UsageError, match="widths >= 1"):
        MLP(hidden=(8, 0))
