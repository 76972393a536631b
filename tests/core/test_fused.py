"""The fused block is convolution, BatchNorm, ReLU and pooling: values, first and second derivatives, in float64."""

import pytest
import torch
import torch.nn.functional as F

from quickstudy import UsageError
from quickstudy.core import fused
from quickstudy.core._convolution import convolve
from quickstudy.core.batchnorm import BatchNormAs
from quickstudy.nets import ConvBlock


def plain(x, w, g, b, pool, padding):
    z = F.relu(F.batch_norm(F.conv2d(x, w, padding=padding), None, None, g, b, True, 0.0, 1e-5))
    return F.max_pool2d(z, 2) if pool else z


def in_one_step(x, w, g, b, pool, padding):
    sign = fused.signs(g)
    y = convolve(x, w, torch.zeros(len(w), dtype=w.dtype), sign, padding)
    return fused.normalised_by_batch(y, g if sign is None else g * sign, b, 1e-5, pool)


def derivatives(function, inputs, *options):
    """Value, gradients of a random quadratic of it, and gradients of a random combination of those."""
    rng = torch.Generator().manual_seed(1)

    def random_like(t):
        return torch.randn(t.shape, dtype=t.dtype, generator=rng)

    z = function(*inputs, *options)
    first = torch.autograd.grad((random_like(z) * z * z).sum(), inputs, create_graph=True)
    second = torch.autograd.grad(sum((random_like(t) * t).sum() for t in first), inputs)
    return z, *first, *second


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pool", [True, False])
def test_it_is_the_four_layers_to_the_second_derivative(pool, channels, padding):
    torch.manual_seed(0)
    shapes = ((4, channels, 7, 7), (5, channels, 3, 3), (5,), (5,))  # BatchNorm's weights are of both signs
    inputs = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert (inputs[2] < 0).any()
    assert (inputs[2] > 0).any()
    expected = derivatives(plain, inputs, pool, padding)
    for found, right in zip(derivatives(in_one_step, inputs, pool, padding), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_where_a_window_is_flat_the_first_element_is_picked_as_in_the_four_layers():
    """A blank piece of paper: all of a window's values are equal."""
    torch.manual_seed(0)
    x = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    x[:, :, :2, :3] = torch.rand(2, 1, 2, 3, dtype=torch.float64)
    inputs = [
        x.requires_grad_(),
        *(torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((3, 1, 3, 3), 3, 3)),
    ]
    expected = derivatives(plain, inputs, True, 1)
    for found, right in zip(derivatives(in_one_step, inputs, True, 1), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)


def test_a_third_derivative_is_refused_and_not_wrong():
    inputs = [torch.randn(s, dtype=torch.float64, requires_grad=True) for s in ((4, 2, 7, 7), (3, 2, 3, 3), (3,), (3,))]
    z = in_one_step(*inputs, True, 1)
    first = torch.autograd.grad((z * z).sum(), inputs, create_graph=True)
    with pytest.raises(UsageError, match="third derivative"):
        torch.autograd.grad(sum((t * t).sum() for t in first), inputs, create_graph=True)


def test_the_block_by_itself_is_four_torch_layers_with_running_statistics():
    torch.manual_seed(0)
    block = ConvBlock(2, 3)
    layers = torch.nn.Sequential(block.conv, torch.nn.BatchNorm2d(3), torch.nn.ReLU(), torch.nn.MaxPool2d(2))
    layers[1].load_state_dict(block.norm.state_dict())
    for training in (True, True, False):
        block.train(training), layers.train(training)
        x = torch.randn(5, 2, 8, 8)
        torch.testing.assert_close(block(x), layers(x))
    for name, buffer in block.norm.named_buffers():
        torch.testing.assert_close(buffer, layers[1].get_buffer(name))


@pytest.mark.parametrize("pool", [True, False])
def test_recorded_statistics_replayed_are_the_blocks_own(pool):
    torch.manual_seed(0)
    block = ConvBlock(2, 3, pool=pool)
    with torch.no_grad():
        block.norm.weight.copy_(torch.tensor([1.0, -0.5, 0.7]))
    x = torch.randn(5, 2, 8, 8)
    with BatchNormAs(record=True) as recording:
        z = block(x)
    with BatchNormAs(fixed=tuple(recording.seen)):
        torch.testing.assert_close(block(x), z)
    with BatchNormAs(), torch.no_grad():
        torch.testing.assert_close(block(x), z)
    with BatchNormAs(fixed=tuple(recording.seen), written_out=True):
        alone = block(x[:1])
    with BatchNormAs(fixed=tuple(recording.seen)):
        torch.testing.assert_close(block(x[:1]), alone)
