"""Pictures of three classes in class folders, quick to embed."""

import numpy as np
import pytest
from PIL import Image

EACH = 4


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """``few/{ash,elm,oak}/{0..3}.png``, and in ``new`` ``CLASS-{0..3}.png`` and one of no class."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    patterns = rng.integers(0, 200, (3, 24, 30, 3))
    for name, pattern in zip(("ash", "elm", "oak"), patterns, strict=True):
        for i in range(2 * EACH):
            path = root / (f"few/{name}/{i}.png" if i < EACH else f"new/{name}-{i - EACH}.png")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray((pattern + rng.integers(0, 50, pattern.shape)).astype(np.uint8)).save(path)
    Image.fromarray(rng.integers(0, 256, (24, 30, 3), dtype=np.uint8)).save(root / "new" / "zzz.png")
    return root
