from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import Glyphs, TaskDistribution


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3), st.integers(8, 40), st.integers(0, 2**62))
def test_promises(way: int, shot: int, query: int, size: int, seed: int) -> None:
    glyphs = Glyphs(way=way, shot=shot, query=query, size=size)
    batch = glyphs.sample(3, seed)
    for part, n in ((batch.support, shot), (batch.query, query)):
        assert part.x.shape == (3, way * n, 1, size, size)
        assert part.x.dtype == torch.float32
        assert part.x.min() >= 0
        assert part.x.max() <= 1
        assert (part.x.amax((-1, -2)) > 0.2).all(), "every drawing has ink"
        assert torch.equal(part.y, torch.arange(way).repeat_interleave(n).repeat(3, 1))
    assert torch.equal(glyphs.sample(3, seed).query.x, batch.query.x)
    both = torch.cat([batch.support.x, batch.query.x], 1).flatten(0, 1).flatten(1)
    assert len(both.unique(dim=0)) == len(both), "no drawing is repeated"


def test_splits_and_seeds_differ() -> None:
    first = Glyphs(rotate=False).sample(2, 0).query.x
    assert not torch.equal(first, Glyphs(rotate=False).sample(2, 1).query.x)
    assert not torch.equal(first, Glyphs(rotate=False, split="test").sample(2, 0).query.x)
    assert not torch.equal(first, Glyphs().sample(2, 0).query.x), "rotation is on in training"
    test = Glyphs(split="test")
    assert torch.equal(test.sample(2, 0).query.x, Glyphs(split="test", rotate=False).sample(2, 0).query.x)


def test_a_class_looks_like_itself() -> None:
    glyphs = Glyphs(split="test")
    batch = glyphs.sample(100, 0)
    distance = torch.cdist(batch.query.x.flatten(2), batch.support.x.flatten(2))
    accuracy = (distance.argmin(-1) == batch.query.y).float().mean()
    assert 0.5 < accuracy < 0.9, "nearest neighbour on pixels: far above chance (0.2), far from solved"
    ink = batch.query.x.mean()
    assert 0.05 < ink < 0.15, "about as much ink as Omniglot has (0.087)"
    assert isinstance(glyphs, TaskDistribution)
    assert (glyphs.x_shape, glyphs.outputs, glyphs.kind) == ((1, 28, 28), 5, "classification")


def test_read_image(tmp_path: Path) -> None:
    drawing = Image.new("RGB", (105, 105), "white")
    drawing.paste("black", (40, 0, 60, 105))
    drawing.save(tmp_path / "a.png")
    x = Glyphs().read_image(tmp_path / "a.png")
    assert x.shape == (1, 28, 28)
    assert x[0, 10, 13] > 0.95
    assert x[0, 10, 2] < 0.05
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:100])
    for name in ("b.png", "missing.png"):
        with pytest.raises(DataError, match=name):
            Glyphs().read_image(tmp_path / name)


@pytest.mark.parametrize("options", [{"way": 0}, {"shot": 0}, {"query": 0}, {"size": 4}, {"split": "holdout"}])
def test_what_cannot_work_is_refused(options: dict) -> None:
    with pytest.raises(UsageError):
        Glyphs(**options)
