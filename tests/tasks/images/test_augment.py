"""Images shifted, mirrored and recoloured; and the memory of batches, which is used again."""

import numpy as np
import pytest
import torch

from quickstudy.core.errors import UsageError
from quickstudy.tasks import Episodes
from quickstudy.tasks.images import _buffers, _pictures
from quickstudy.tasks.images.augment import GREY, mirrored, random_colors, random_shifts, recolored, shifted


def test_shifted_and_mirrored() -> None:
    x = torch.arange(2 * 3 * 4 * 4).view(2, 3, 4, 4) + 1
    moved = shifted(x, torch.tensor([[1, -2], [0, 0]]))
    assert torch.equal(moved[0, :, 1:, :2], x[0, :, :-1, 2:])
    assert moved[0, :, 0].sum() == moved[0, :, :, 2:].sum() == 0
    assert torch.equal(moved[1], x[1])
    assert torch.equal(mirrored(x, torch.tensor([True, False])), torch.stack([x[0].flip(-1), x[1]]))
    assert {*random_shifts(500, 2).flatten().tolist()} == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("channels", [1, 3])
def test_recolored_is_brightness_then_contrast_then_saturation(channels: int) -> None:
    x = torch.rand(4, channels, 5, 5, dtype=torch.float64)
    factors = random_colors(4, 0.4).double()
    assert ((factors > 0.6) & (factors < 1.4)).all()
    b, c, s = factors.view(4, 3, 1, 1, 1).unbind(1)

    def grey(y):
        return (y * torch.tensor(GREY, dtype=y.dtype).view(3, 1, 1)).sum(1, keepdim=True) if channels == 3 else y

    y = x * b
    mean = grey(y).mean((2, 3), keepdim=True)
    y = mean + c * (y - mean)
    torch.testing.assert_close(recolored(x, factors), (grey(y) + s * (y - grey(y))).clamp(0, 1))
    torch.testing.assert_close(recolored(x, torch.ones(4, 3)), x)
    x.requires_grad_()
    recolored(shifted(mirrored(x, torch.ones(4, dtype=torch.bool)), torch.ones(4, 2).long()), factors).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize("more", [{"crop": 2}, {"flip": True}, {"jitter": 0.5}, {"crop": 1, "affine": "drawing"}])
def test_episodes_change_each_image_by_itself(more, monkeypatch) -> None:
    images = np.full((40, 3, 8, 8), 100, np.uint8)
    images[..., 4:] = 200
    shape = {"way": 2, "shot": 2, "query": 3}
    tasks = Episodes(images, np.arange(40) // 10, **shape, **more)
    batch = tasks.sample(6, 0)
    assert len({x.numpy().tobytes() for x in batch.query.x.flatten(0, 1)}) > 1
    plain = Episodes(images, np.arange(40) // 10, **shape).sample(6, 0)
    assert torch.equal(plain.query.y, batch.query.y)
    assert plain.class_names == batch.class_names
    monkeypatch.setattr(_pictures, "AT_ONCE", 400)  # pieces do not show
    torch.testing.assert_close(tasks.sample(6, 0).query.x, batch.query.x)
    floats = Episodes(images.astype(np.float32) / 255, np.arange(40) // 10, **shape, **more).sample(6, 0)
    torch.testing.assert_close(floats.query.x, batch.query.x)


def test_what_is_no_image_is_not_changed() -> None:
    for more in ({"crop": 1}, {"flip": True}, {"jitter": 0.1}):
        with pytest.raises(UsageError, match=f"{next(iter(more))}=.* needs images"):
            Episodes(np.zeros((8, 5), np.float32), np.arange(8) // 4, way=2, query=1, **more)


def test_memory_comes_back_when_nobody_looks_at_it() -> None:
    shape = (_buffers.LEAST, 1)
    first = _buffers.floats(shape).fill_(1)
    where, part = first.data_ptr(), first[5:].view(-1)
    del first
    second = _buffers.floats(shape)
    assert second.data_ptr() != where, "a part of it is still looked at"
    second.fill_(2)
    assert part.min() == 1
    del part
    assert _buffers.floats(shape).data_ptr() == where
