"""Views of a picture that show the same thing: mirrored, and nearer."""

from collections.abc import Iterator, Sequence

from PIL import Image, ImageOps

from quickstudy.core.errors import DataError
from quickstudy.encoders.reading import Source, read_image

NEARER = 0.8
"""Height and width of a crop, of the picture's."""


def views(sources: Sequence[Source], at_least: int) -> Iterator[tuple[int, Source]]:
    """Each picture, mirrored, and two crops of its middle; with its number. Of one that cannot be read only itself.

    Args:
        sources: the pictures.
        at_least: see ``read_image``; of a crop.
    """
    for number, source in enumerate(sources):
        yield number, source
        try:
            image = read_image(source, at_least=round(at_least / NEARER))
        except DataError:
            continue
        middle = nearer(image)
        yield from ((number, view) for view in (ImageOps.mirror(image), middle, ImageOps.mirror(middle)))


def nearer(image: Image.Image) -> Image.Image:
    """The middle of a picture."""
    width, height = image.size
    x, y = (side * (1 - NEARER) / 2 for side in (width, height))
    return image.crop((round(x), round(y), max(round(x) + 1, round(width - x)), max(round(y) + 1, round(height - y))))
