"""A person's pictures: files, Pillow images or arrays, read one way, and embedded as a stream."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from quickstudy.core.errors import DataError
from quickstudy.encoders.cache import EmbeddingCache
from quickstudy.encoders.encoder import Encoder
from quickstudy.tasks.images.pixels import in_mode, open_image

Source: TypeAlias = "Path | str | Image.Image | NDArray[Any]"
"""A file, a Pillow image, or an array ``[height, width]`` or ``[height, width, 3]``, uint8 or floating in [0, 1]."""


def read_image(source: Source, *, at_least: tuple[int, int] | None = None) -> Image.Image:
    """A picture, upright and RGB.

    Args:
        source: see ``Source``.
        at_least: height and width in pixels that will do: a larger JPEG is decoded at a fraction of its size.

    Raises:
        DataError: a file that cannot be read (its name and the reason), or numbers that are no pixels.
    """
    if isinstance(source, Image.Image):
        return in_mode(source, "RGB")
    if isinstance(source, np.ndarray):
        return Image.fromarray(source).convert("RGB")
    return open_image(source, "RGB")


def embed_files(
    sources: Iterable[Source],
    encoder: Encoder,
    cache: EmbeddingCache | bool = True,
    *,
    on_bad: Literal["yield", "raise"] = "yield",
) -> Iterator[tuple[Source, Float[Tensor, " width"] | str]]:
    """Each picture with its features, in order; of one that cannot be read, a sentence that names it and says why.

    Pictures are read on threads beside the network, a batch ahead, so that memory stays the same for any number.

    Args:
        sources: files, or images.
        encoder: that embeds them.
        cache: where features are kept (True: the default one; False: nowhere).
        on_bad: ``"raise"`` raises a ``DataError`` at the first that cannot be read.
    """
    for source in sources:
        try:
            yield source, encoder.embed([read_image(source, at_least=encoder.size)])[0]
        except DataError as error:
            if on_bad == "raise":
                raise
            yield source, str(error)
