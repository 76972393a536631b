"""Whether a person's images are such as a learner can do something with: else a loud word, not a poor answer."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from quickstudy.core.batchnorm import together
from quickstudy.core.learner import MetaLearner
from quickstudy.tasks.images.pixels import open_image

FEW = 2
"""Queries per class; fewer say too little of what all of them are like."""
COLOURED = 12
"""Mean difference between the channels of a pixel, of 255, from which on a picture is no grey one."""
LOOKED_AT = 8


def check_fit(learner: MetaLearner, x: Tensor, ways: int, support: Sequence[Path], queries: Sequence[Path]) -> None:
    """Warn where BatchNorm has too few queries to go by, or colours are not those that were trained on.

    Args:
        learner: that is to answer.
        x: the support images as it sees them, ``[n, channels, h, w]``.
        ways: how many classes there are.
        support: the files.
        queries: the files.
    """
    if together(learner.bn_mode) and len(queries) < FEW * ways:
        _warn(
            f"BatchNorm is {learner.bn_mode}: the queries are normalised together, and {len(queries)} of them for "
            f"{ways} classes say too little of what they are like together. Take these answers for guesses; ask for "
            f"{FEW * ways} or more at once, evenly of all classes, or train with bn=support (--bn support)"
        )
    coloured = [_is_coloured(path) for path in [*support[:LOOKED_AT], *queries[:LOOKED_AT]]]
    if x.shape[1] == 1 and sum(coloured) > len(coloured) / 2:
        _warn(
            "the images are coloured, and this run was trained on grey ones: it sees no colour, and photos look "
            "nothing like its training images if these were drawings"
        )
    if x.shape[1] == 3 and not any(coloured):
        _warn("none of the images has a colour, and this run was trained on coloured ones: its answers may be poor")


def _is_coloured(path: Path) -> bool:
    small = open_image(path, "RGB").resize((32, 32))
    pixels = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8).view(-1, 3).float()
    return float((pixels.max(1).values - pixels.min(1).values).mean()) > COLOURED


def _warn(text: str) -> None:
    warnings.warn(f"{text}.", UserWarning, stacklevel=4)
