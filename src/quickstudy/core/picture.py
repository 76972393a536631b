"""Pictures of what a learner does: SVG files in a run's ``pictures`` folder, which the report shows.

Runs of older versions hold PNG files there; they are shown as well. A folder may come from anybody: a picture is shown
by ``<img>`` alone, where browsers run no script and load nothing, and only a file inside the folder is one.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from quickstudy.core.errors import RunError
from quickstudy.core.files import read_bytes, write_atomic

FOLDER = "pictures"
LARGEST = 20_000_000
"""Bytes of a file that is still read."""
_SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Picture:
    """An image with a sentence that says what is seen.

    Args:
        name: of its file, without the ending.
        caption: the sentence; it is in the file, too (SVG: ``<desc>``, PNG: ``Description``).
        image: what the file holds.
        kind: its ending.
    """

    name: str
    caption: str
    image: bytes
    kind: Literal["svg", "png"] = "svg"

    @property
    def address(self) -> str:
        """A ``data:`` address that holds it, for ``<img>``."""
        kind = "svg+xml" if self.kind == "svg" else self.kind
        return f"data:image/{kind};base64,{base64.b64encode(self.image).decode()}"


def save_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    """Write them into a run's folder, each in place of the picture of its name.

    Raises:
        RunError: it cannot be written.
    """
    for picture in pictures:
        file = folder / FOLDER / f"{picture.name}.{picture.kind}"
        write_atomic(file, picture.image)
        file.with_suffix(".png" if picture.kind == "svg" else ".svg").unlink(missing_ok=True)


def load_pictures(folder: Path) -> list[Picture]:
    """The pictures in a run's folder, by name.

    Raises:
        RunError: a file is no picture, leads out of the folder, or is larger than 20 MB.
    """
    files = (file for file in (folder / FOLDER).glob("*.*") if file.suffix in (".svg", ".png"))
    return [_load(file, folder) for file in sorted(files) if not file.name.startswith(".")]


def _load(file: Path, folder: Path) -> Picture:
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ValueError("it leads out of the run's folder")
        image = read_bytes(file, most=LARGEST)
        if file.suffix == ".svg":
            return Picture(file.stem, _svg_caption(image), image)
        return Picture(file.stem, _png_caption(image), image, "png")
    except (OSError, ValueError, SyntaxError, RecursionError) as error:
        raise RunError(f"{file} cannot be read as a picture: {error}. Delete it.") from error


def _svg_caption(image: bytes) -> str:
    text = image.decode()
    if "<!DOCTYPE" in text or "<!ENTITY" in text:  # entities can grow without end
        raise ValueError("a picture declares no document type")
    root = ElementTree.fromstring(text)
    if root.tag != f"{_SVG}svg":
        raise ValueError("it is no SVG")
    return root.findtext(f"{_SVG}desc", "")


def _png_caption(image: bytes) -> str:
    from PIL import Image

    try:
        return str(Image.open(io.BytesIO(image), formats=["PNG"]).info.get("Description", ""))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
