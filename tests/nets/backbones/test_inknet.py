"""InkNet sees the ink: where it is on the paper and how large does not matter; folding changes nothing."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.nets import InkNet
from quickstudy.nets.backbones.ink_frame import ink_frame
from quickstudy.nets.backbones.inknet import FRAMES
from quickstudy.testing import double

SMALL = {"widths": (2, 3), "features": 8, "window": 8, "size": 16}


def drawing(size, top, left, side):
    """A square ring with a bar across, one pixel of ink wide per 8 of its side."""
    x, pen = torch.zeros(1, 1, size, size), side // 8
    x[..., top : top + side, left : left + side] = 1
    x[..., top + pen : top + side - pen, left + pen : left + side - pen] = 0
    x[..., top + side // 2 : top + side // 2 + pen, left : left + side] = 1
    return x


def test_the_frame_does_not_move_with_the_ink():
    one = ink_frame(drawing(64, 3, 5, 32), 32)
    torch.testing.assert_close(one, ink_frame(drawing(64, 30, 17, 32), 32))
    torch.testing.assert_close(one, ink_frame(drawing(80, 3, 5, 32), 32))
    assert 0.9 < one.max() <= 1.0001
    larger = ink_frame(drawing(64, 6, 6, 48), 32)
    assert (one - larger).abs().mean() < 0.02
    border = torch.cat([one[..., 0], one[..., -1], one[..., 0, :], one[..., -1, :]], -1)
    assert border.max() < 0.1  # all of it is inside


def test_a_flat_word_gets_height_but_not_all():
    flat = torch.zeros(1, 1, 64, 64)
    flat[..., 30:34, 2:62] = 1
    seen = ink_frame(flat, 32)[0, 0] > 0.5
    across, down = seen.any(0).sum(), seen.any(1).sum()
    assert across == pytest.approx(28, abs=1)
    assert down == pytest.approx(28 * (4 / 60) ** 0.5, abs=1)


def test_little_ink_far_away_does_not_move_it():
    x = drawing(64, 8, 8, 32)
    speck = x.clone()
    speck[..., 63, 63] = 1
    assert (ink_frame(speck, 32) - ink_frame(x, 32)).abs().mean() < 0.02


def test_paper_stays_paper_and_a_faint_line_is_seen_where_it_is():
    assert torch.equal(ink_frame(torch.zeros(2, 1, 16, 16), 8), torch.zeros(2, 1, 8, 8))
    x = drawing(64, 3, 5, 32)
    torch.testing.assert_close(ink_frame(x * 0.2, 32), ink_frame(x, 32) * 0.2)


def test_all_of_it_is_differentiable_and_exact_in_float64():
    x = drawing(9, 0, 1, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ink_frame(x, 4), x)


def test_margins_and_shifts_move_the_window_of_each_drawing():
    x = drawing(64, 16, 16, 32).expand(2, -1, -1, -1)
    margin, shift = torch.tensor([[1.0, 2.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [0.0, 0.5]])
    one, other = ink_frame(x, 32, margin, shift)[:, 0] > 0.5
    assert one.all(0).any()  # all of the height
    assert other.any(1).sum() == pytest.approx(16, abs=1)  # half as high
    assert other[:, :23].any(0).all()  # a quarter of the window to the left, where it leaves it
    assert not other[:, 25:].any()


@pytest.mark.parametrize("frames", [1, 4])
def test_folded_computes_the_same_without_batchnorm(frames):
    torch.manual_seed(0)
    net, x = InkNet(**{**SMALL, "size": 8}, frames=0, out_features=3), torch.rand(7, 1, 16, 16)
    for p in net.parameters():
        nn.init.normal_(p)
    net(torch.rand(9, 1, 8, 8))  # its running statistics move
    plain = net.eval().folded(size=16, frames=frames)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    windows = FRAMES[frames]
    expected = [net._features(ink_frame(x, 8, margin, shift)) for margin, shift in windows]
    if frames == 4:
        expected = [torch.nn.functional.normalize(features, dim=1) for features in expected]
    torch.testing.assert_close(plain(x), net.head(sum(expected)), rtol=1e-4, atol=1e-4)
    options = qs.registry.describe(net)["options"]
    assert qs.registry.describe(plain)["options"] == {**options, "norm": False, "size": 16, "frames": frames}


def test_features_say_their_shape_and_heads_their_way():
    net = InkNet(**{**SMALL, "widths": (2, 3, 4)})
    assert net(torch.rand(4, 1, 16, 16)).shape == (4, *net.feature_shape) == (4, 16)
    assert [maps.out_channels for maps in net.maps] == [2, 8]  # of 2 x 2 pixels, of one
    assert InkNet(**SMALL, out_features=3)(torch.rand(4, 1, 16, 16)).shape == (4, 3)


def test_all_tasks_at_once_give_the_loops_gradient():
    torch.manual_seed(0)
    net = InkNet(**SMALL, frames=4).double()
    batch = double(qs.tasks.Glyphs(way=3, shot=2, query=2, size=16).sample(2, seed=0))
    loop, vmap = (
        qs.ProtoNet(net, distance="cosine", bn="support", execution=how).meta_gradient(batch).gradients
        for how in ("loop", "vmap")
    )
    for a, b in zip(loop, vmap, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 12, "widths": (2, 3, 4)}, "a multiple of 8, and features a multiple of the 9"),
        ({"widths": (2,)}, "two widths or more"),
        ({"features": 6}, "a multiple of the 64 pixels"),
        ({"features": 0}, "features, size and out_features >= 1"),
        ({"frames": 0}, "0 where size is window, got 0 with size=64"),
        ({"out_features": 0}, "out_features >= 1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(qs.UsageError, match=message):
        InkNet(**options)


def test_names_what_it_takes_and_what_it_got():
    with pytest.raises(qs.UsageError, match=r"takes drawings \[n, 1, 16, 16\], got \[2, 3, 16, 16\]"):
        InkNet(**SMALL)(torch.rand(2, 3, 16, 16))
