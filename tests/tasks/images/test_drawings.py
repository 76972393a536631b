"""Drawings as a learner of Omniglot's images is shown them: whoever drew, with whatever, wherever."""

import numpy as np
import pytest

from quickstudy.tasks.images.drawings import CANVAS, LONGER, PEN, paper, placed, rasterized

HOOK = [np.array([[0.2, 0.1], [0.2, 0.8], [0.8, 0.8]])]


def test_an_image_of_ink():
    image = rasterized(HOOK, 28)
    assert image.shape == (1, 28, 28)
    assert image.min() == 0
    assert 0.9 < image.max() <= 1
    assert rasterized([], 16).sum() == 0


@pytest.mark.parametrize("pad", [1.0, 1000.0])
def test_size_and_place_do_not_matter(pad):
    small = [way * 0.2 * pad + 0.7 * pad for way in HOOK]
    whole = [way * pad for way in HOOK]
    assert (rasterized(small, 28, pad=pad) - rasterized(whole, 28, pad=pad)).abs().max() < 0.1
    every = np.concatenate(placed(small, pad=pad))
    assert np.allclose((every.min(0) + every.max(0)) / 2, CANVAS / 2)
    assert np.isclose((every.max(0) - every.min(0)).max(), LONGER)


def test_lines_are_of_one_width():
    down = np.asarray(paper([np.array([[0.5, 0.1], [0.5, 0.9]])])) < 128
    assert abs(down[down.any(1)].sum(1).mean() / len(down) - PEN / CANVAS) < 0.01


def test_a_dot_stays_a_dot():
    ink = np.asarray(paper([np.array([[0.5, 0.5], [0.503, 0.501]])])) < 128
    rows = ink.any(1).sum()
    assert 0 < rows < 0.15 * len(ink)


def test_one_point_is_drawn():
    assert rasterized([np.array([[0.3, 0.3]])], 28).sum() > 1
