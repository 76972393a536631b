"""Arrays of a person's own as examples: of any type of number and any number of axes, right or refused."""

import numpy as np
import pytest
import torch

from quickstudy.core.errors import UsageError
from quickstudy.tasks import Episodes

LABELS = torch.arange(12) // 4


KINDS = ["uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool", "float16", ">f4"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channel", [True, False])
def test_numbers_of_every_type_as_images(kind: str, channel: bool) -> None:
    """Right, or refused: never cut off, wrapped or left at 0..255 where 0..1 is meant."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 1, 6, 6) if channel else (12, 6, 6), dtype=np.uint8)
    given = pixels.astype(kind) if kind != "bool" else pixels > 127
    options = {"way": 3, "shot": 1, "query": 3}
    if kind in ("int16", "uint16"):
        with pytest.raises(UsageError, match=rf"got {kind} from 0 to 255. Divide them .*to\(uint8\) alone"):
            Episodes(given, LABELS, **options)
        return
    for images in (given, torch.from_numpy(given.astype(kind if kind[0] != ">" else "f4"))):
        x = Episodes(images, LABELS, **options).sample(4, 0).query.x
        expected = pixels if kind not in ("bool", "float16", ">f4") else given.astype(np.float32)
        assert torch.equal(x, Episodes(expected, LABELS, **options).sample(4, 0).query.x)
        assert x.dtype == torch.float32


@pytest.mark.parametrize(
    ("most", "kind", "message"),
    [
        (4095, "uint16", r"from 0 to 4095. .* / 4095"),
        (65535, "uint16", r"from 0 to 65535. .* / 65535"),
        (65535, "int32", r"from 0 to 65535. .* / 65535"),
        (1, "int64", r"from 0 to 1. .* / 1 "),
        (16, "int64", "from 0 to 16"),
    ],
)
def test_whole_numbers_whose_range_is_not_sure(most: int, kind: str, message: str) -> None:
    images = np.zeros((12, 1, 4, 4), kind)
    images[:, 0, 0, 0] = most
    with pytest.raises(UsageError, match=message):
        Episodes(images, LABELS, way=3, query=3)


def test_series_volumes_and_video() -> None:
    options = {"way": 3, "shot": 1, "query": 3}
    series = torch.randn(12, 6, 50)
    episodes = Episodes(series, LABELS, **options)
    assert episodes.x_shape == (6, 50)
    assert episodes.sample(2, 0).support.x.shape == (2, 3, 6, 50)
    assert episodes.describe() == "Episodes (12 series, 3 classes), 3-way 1-shot, 3 queries per class"
    square = torch.randn(12, 5, 5)
    assert Episodes(square, LABELS, **options).x_shape == (1, 5, 5)
    assert Episodes(square, LABELS, series=True, **options).x_shape == (5, 5)
    assert Episodes(series, LABELS, series=False, **options).x_shape == (1, 6, 50)
    with pytest.raises(UsageError, match=r"needs square images, got \[5, 5\]"):
        Episodes(square, LABELS, series=True, rotate="episode", **options)
    assert Episodes(torch.randn(12, 4, 3, 8, 8), LABELS, **options).x_shape == (4, 3, 8, 8)
    volumes = Episodes(torch.full((12, 1, 4, 4, 4), 255, dtype=torch.uint8), LABELS, **options)
    assert volumes.sample(1, 0).query.x.unique().tolist() == [1.0]
    with pytest.raises(UsageError, match="lists of several lengths"):
        Episodes([[1.0, 2.0], [3.0]], [0, 0], way=1, query=1)
