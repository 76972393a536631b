"""InkNet sees the ink: where it is on the paper and how large does not matter; folding changes nothing."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.nets import InkNet
from quickstudy.nets.backbones.ink_frame import ink_frame
from quickstudy.testing import check_learner

SMALL = {"widths": (2, 3), "channels": 2, "window": 8, "size": 16}


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
    x = drawing(16, 2, 3, 8).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ink_frame(x, 8), x)


def test_folded_computes_the_same_without_batchnorm():
    torch.manual_seed(0)
    net, x = InkNet(**SMALL, out_features=3), torch.rand(7, 1, 16, 16)
    for p in net.parameters():
        nn.init.normal_(p)
    net(x)  # its running statistics move
    plain = net.eval().folded()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in plain.modules())
    torch.testing.assert_close(plain(x), net(x), rtol=1e-4, atol=1e-4)
    assert qs.registry.describe(plain)["options"] == {**qs.registry.describe(net)["options"], "norm": False}


def test_features_say_their_shape_and_heads_their_way():
    net = InkNet(**SMALL)
    assert net(torch.rand(4, 1, 16, 16)).shape == (4, *net.feature_shape) == (4, 8)
    assert InkNet(**SMALL, out_features=3)(torch.rand(4, 1, 16, 16)).shape == (4, 3)


def test_adapts_under_the_contract():
    torch.manual_seed(0)
    tasks = qs.tasks.Glyphs(way=3, shot=2, query=2, size=16)
    check_learner(qs.MAML(InkNet(**SMALL, out_features=3), inner_lr=0.05, inner_steps=1), tasks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 12, "widths": (2, 3, 4)}, "a multiple of 8, got 12"),
        ({"widths": ()}, "needs widths"),
        ({"channels": 0}, "needs widths, channels"),
        ({"out_features": 0}, "out_features >= 1"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(qs.UsageError, match=message):
        InkNet(**options)


def test_names_what_it_takes_and_what_it_got():
    with pytest.raises(qs.UsageError, match=r"takes drawings \[n, 1, 16, 16\], got \[2, 3, 16, 16\]"):
        InkNet(**SMALL)(torch.rand(2, 3, 16, 16))
