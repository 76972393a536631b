"""The pen: splines against de Casteljau's construction, ink against a sum over pixels and points."""

from itertools import pairwise

import torch

from quickstudy.nets.generators.class_images import ImageGenerator, SetCritic, bend
from quickstudy.nets.generators.strokes import StrokeGenerator, lengths, splat, splines


def test_a_spline_of_four_points_is_a_bezier_curve():
    controls = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    curve = splines(4, 9).double() @ controls
    for i, t in enumerate(torch.linspace(0, 1, 9).tolist()):
        points = list(controls)
        while len(points) > 1:
            points = [(1 - t) * a + t * b for a, b in pairwise(points)]
        torch.testing.assert_close(curve[i], points[0], rtol=1e-5, atol=1e-6)


def test_a_spline_begins_and_ends_at_its_points_and_has_weights_of_one():
    weights = splines(6, 32)
    torch.testing.assert_close(weights.sum(1), torch.ones(32))
    assert (weights >= 0).all()
    torch.testing.assert_close(weights[[0, -1]], torch.eye(6)[[0, -1]], atol=1e-6, rtol=0)
    assert int((weights > 1e-6).sum(1).max()) <= 4  # a point is ruled by four control points


def test_ink_pixel_by_pixel():
    rng = torch.Generator().manual_seed(0)
    points, ink = torch.randn(2, 5, 2, generator=rng).double(), torch.rand(2, 5, generator=rng).double()
    pen = torch.tensor([0.1, 0.3]).double().view(2, 1, 1)
    found = splat(points, ink, 6, pen)
    for n, row, column in ((0, 0, 0), (0, 3, 2), (1, 5, 1), (1, 2, 4)):
        x, y = (-1 + (i + 0.5) / 3 for i in (column, row))
        squares = (points[n, :, 0] - x) ** 2 + (points[n, :, 1] - y) ** 2
        expected = (ink[n] * (-squares / (2 * pen[n, 0, 0] ** 2)).exp()).sum() / pen[n, 0, 0]
        torch.testing.assert_close(found[n, row, column], expected)


def test_a_line_is_as_dark_however_fast_it_was_drawn():
    slow, fast = (torch.stack([torch.linspace(-0.5, 0.5, n), torch.zeros(n)], 1) for n in (60, 30))
    dark = [splat(p, lengths(p) - 0.01, 9, torch.full((1, 1), 0.1))[4, 4] for p in (slow, fast)]
    torch.testing.assert_close(dark[0], dark[1], rtol=1e-3, atol=0)


def test_drawings_of_a_class_share_its_plan():
    torch.manual_seed(0)
    draw = StrokeGenerator((1, 16, 16), 4, 3)
    u, z = torch.randn(3, 4), torch.randn(3, 6, 3)
    images = draw(u, z)
    assert images.shape == (3, 6, 1, 16, 16)
    assert images.min() >= 0
    assert images.max() <= 1
    means = images.mean(1, keepdim=True)
    assert 0 < (images - means).square().mean() < (means - means.mean(0)).square().mean()
    images.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in draw.parameters())


def test_pixels_are_bent_to_where_the_net_moves_them():
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(bend(x, torch.zeros(1, 2, 4, 4)), x)
    right = torch.zeros(1, 2, 4, 4)
    right[:, 0] = 2 / 8  # every pixel comes from one to the right
    torch.testing.assert_close(bend(x, right)[..., :-1], x[..., 1:], rtol=1e-4, atol=1e-5)
    assert ImageGenerator((3, 10, 10), 4, 3, width=2)(torch.randn(2, 4), torch.randn(2, 5, 3)).shape == (
        2,
        5,
        3,
        10,
        10,
    )


def test_the_order_of_a_set_is_of_no_account():
    torch.manual_seed(0)
    critic = SetCritic((1, 16, 16), width=3, features=8)
    x = torch.rand(2, 4, 1, 16, 16)
    torch.testing.assert_close(critic(x), critic(x[:, [2, 0, 3, 1]]))
    same = x[:, :1].expand(-1, 4, -1, -1, -1)
    assert not torch.allclose(critic(x), critic(same))
