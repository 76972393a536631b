"""Pictures that are quick to embed, and an encoder that counts."""

import numpy as np
import pytest
from PIL import Image

from quickstudy.encoders.pixels import Pixels


@pytest.fixture
def pictures():
    """Eleven of several sizes."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (20 + i, 30, 3), dtype=np.uint8)) for i in range(11)]


@pytest.fixture
def files(pictures, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, picture in enumerate(pictures):
        picture.save(folder / f"{i:02}.png")
    return sorted(folder.iterdir())


class Counting(Pixels):
    """Counts the images that it prepares; a few at a time."""

    at_once = 3

    def __init__(self, *, side=4):
        super().__init__(side=side)
        self.prepared = 0

    def prepare(self, image):
        self.prepared += 1
        return super().prepare(image)


@pytest.fixture
def counting():
    return Counting
