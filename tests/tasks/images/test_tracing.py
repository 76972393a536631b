"""Pictures of drawings become strokes, and these the picture again."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

import quickstudy as qs
from quickstudy.tasks.images.drawings import paper, rasterized
from quickstudy.tasks.images.tracing import followed, read_drawing, thinned, traced


def picture(width: int = 8, side: int = 200, shift: int = 0) -> Image.Image:
    """A hook and a ring by a round pen, dark on light."""
    image, r = Image.new("L", (side, side), 245), width / 2
    pen = ImageDraw.Draw(image)
    hook = [(40, 30 + i) for i in range(90)] + [(40 + i, 120) for i in range(50)]
    ring = [(90 + 20 * np.cos(t), 60 + 20 * np.sin(t)) for t in np.linspace(0, 2 * np.pi, 100)]
    for x, y in [*hook, *ring]:
        pen.ellipse((x + shift - r, y - r, x + shift + r, y + r), fill=30)
    return image


def test_a_drawing_again():
    strokes = [np.array([[0.2, 0.1], [0.2, 0.8], [0.8, 0.8]]), np.array([[0.5, 0.2], [0.8, 0.5]])]
    again = traced(paper(strokes))
    assert len(again) == 2
    assert (rasterized(again, 28) - rasterized(strokes, 28)).abs().mean() < 0.03


@pytest.mark.parametrize(
    "other",
    [
        picture(3),
        picture(16),
        picture(shift=80),
        ImageOps.invert(picture()),
        picture().convert("RGB").resize((900, 900)),
    ],
    ids=["thin", "thick", "aside", "inverted", "large"],
)
def test_what_it_was_drawn_with_does_not_matter(other):
    assert (rasterized(traced(other), 28) - rasterized(traced(picture()), 28)).abs().mean() < 0.025


def test_thinned_lines_are_one_pixel_wide_and_whole():
    thick = np.zeros((30, 40), bool)
    thick[8:15, 5:35] = True
    thin = thinned(thick)
    assert 20 < thin.sum() <= 30
    assert (thin.sum(0) <= 1).all()
    assert not (thin & ~thick).any()


def test_every_pixel_is_followed_once():
    lines = np.zeros((9, 9), bool)
    lines[4, 1:8] = lines[1:8, 4] = True
    ways = followed(lines)
    points = [tuple(p) for way in ways for p in way]
    assert len(points) == len({*points}) == lines.sum()
    assert max(len(way) for way in ways) == 7  # straight on at the crossing


def test_paper_without_ink():
    assert traced(Image.new("L", (50, 50), 255)) == []
    assert traced(Image.new("L", (50, 50), 0)) == []


def test_a_file(tmp_path):
    picture().save(tmp_path / "a.png")
    assert read_drawing(tmp_path / "a.png", 28).shape == (1, 28, 28)
    Image.new("L", (50, 50), 255).save(tmp_path / "b.png")
    with pytest.raises(qs.DataError, match="holds no drawing"):
        read_drawing(tmp_path / "b.png", 28)
