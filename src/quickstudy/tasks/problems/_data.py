"""Labelled data of optimization problems: every task draws a problem of its own out of a pool."""

import importlib
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from quickstudy.core.batch import Examples
from quickstudy.core.errors import DataError
from quickstudy.core.seeding import uniform
from quickstudy.tasks.images.omniglot_files import DRAWINGS, find_root, load_characters
from quickstudy.tasks.images.strokes import draw_classes, redraw, render

IMAGES = ("glyphs", "digits", "omniglot")
_POOL = (30, 24)  # glyphs: classes, and drawings of each


def regression(tasks: int, n: int, inputs: int, rng: torch.Generator) -> tuple[Examples, Examples]:
    """Linear regression whose inputs have a random spectrum (condition numbers up to 1000) in random directions."""
    spread = uniform(rng, (tasks, 1), 0.0, 1.5)
    spectrum = 10 ** (-spread * torch.rand((tasks, inputs), generator=rng))
    turn = torch.linalg.qr(torch.randn((tasks, inputs, inputs), generator=rng)).Q
    x = torch.randn((tasks, 2 * n, inputs), generator=rng) * spectrum[:, None] @ turn
    truth = torch.randn((tasks, inputs, 1), generator=rng)
    noise = uniform(rng, (tasks, 1, 1), 0.0, 0.3) * torch.randn((tasks, 2 * n, 1), generator=rng)
    return _halves(x, x @ truth + noise, n)


def clusters(tasks: int, n: int, inputs: int, classes: int, rng: torch.Generator) -> tuple[Examples, Examples]:
    """Gaussian clusters, one per class, that overlap more or less; the inputs have unequal scales."""
    centres = torch.randn((tasks, classes, inputs), generator=rng) * uniform(rng, (tasks, 1, 1), 0.3, 1.5)
    y = torch.randint(classes, (tasks, 2 * n), generator=rng)
    x = centres.gather(1, y[..., None].expand(-1, -1, inputs)) + torch.randn((tasks, 2 * n, inputs), generator=rng)
    return _halves(x * 10 ** uniform(rng, (tasks, 1, inputs), -0.5, 0.5), y, n)


def images(data: str, tasks: int, n: int, size: int, classes: int, rng: torch.Generator) -> tuple[Examples, Examples]:
    """``n`` training and ``n // 4`` held-out images ``[1, size, size]`` of classes drawn for each task.

    Raises:
        DataError: digits without scikit-learn, Omniglot that is not at hand and cannot be had.
    """
    pool = _glyph_pool(size, rng) if data == "glyphs" else _digits(size) if data == "digits" else _omniglot(size)
    count, drawings = pool.shape[:2]
    chosen = torch.stack([torch.randperm(count, generator=rng)[:classes] for _ in range(tasks)])  # [t, classes]
    y = torch.randint(classes, (tasks, n + n // 4), generator=rng)
    seen = drawings * 3 // 4
    drawing = torch.randint(seen, (tasks, n), generator=rng)
    unseen = torch.randint(seen, drawings, (tasks, n // 4), generator=rng)
    x = pool[chosen.gather(1, y), torch.cat([drawing, unseen], 1)]
    return _halves(x, y, n)


def _halves(x: Tensor, y: Tensor, n: int) -> tuple[Examples, Examples]:
    return Examples(x[:, :n].contiguous(), y[:, :n].contiguous()), Examples(
        x[:, n:].contiguous(), y[:, n:].contiguous()
    )


def _standard(pool: Tensor) -> Tensor:
    return (pool - pool.mean()) / pool.std()


def _glyph_pool(size: int, rng: torch.Generator) -> Tensor:
    """``[classes, drawings, 1, size, size]``."""
    classes, drawings = _POOL
    strokes = redraw(draw_classes(classes, rng), drawings, torch.zeros(classes), rng)
    return _standard(render(strokes, size).view(classes, drawings, 1, size, size))


@cache
def _digits(size: int) -> Tensor:
    """Scikit-learn's 8x8 digits, 170 of each: ``[10, 170, 1, size, size]``."""
    try:
        found = importlib.import_module("sklearn.datasets").load_digits()
    except ModuleNotFoundError as error:
        raise DataError(
            f"the digits are scikit-learn's ({error}): pip install 'quickstudy[sklearn]', or use glyphs."
        ) from error
    pixels, labels = torch.tensor(found.images, dtype=torch.float32)[:, None], torch.tensor(found.target)
    pool = torch.stack([pixels[labels == digit][:170] for digit in range(10)])
    if size != 8:
        pool = F.interpolate(pool.flatten(0, 1), (size, size), mode="bilinear").view(10, 170, 1, size, size)
    return _standard(pool)


@cache
def _omniglot(size: int) -> Tensor:
    """``[characters, 20, 1, size, size]``."""
    found = load_characters(find_root(None), size).images
    return _standard(found.view(-1, DRAWINGS, 1, size, size).float() / 255)
