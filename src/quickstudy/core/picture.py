"""Pictures that a learner draws of itself: PNG files in a run's ``pictures`` folder, which the report shows."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from quickstudy.core.errors import RunError
from quickstudy.core.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "pictures"


@dataclass(frozen=True)
class Picture:
    """A PNG with a sentence that says what is seen."""

    name: str
    caption: str
    png: bytes


def from_figure(figure: "Figure", *, name: str, caption: str) -> Picture:
    """A matplotlib figure as a picture; the caption goes into the file, so that it is never apart from it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, metadata={"Description": caption, "Software": None})
    return Picture(name, caption, buffer.getvalue())


def save_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    """Write them into a run's folder.

    Raises:
        RunError: it cannot be written.
    """
    for picture in pictures:
        write_atomic(folder / FOLDER / f"{picture.name}.png", picture.png)


def load_pictures(folder: Path) -> list[Picture]:
    """What ``save_pictures`` wrote, by name.

    Raises:
        RunError: a file is no picture.
    """
    from PIL import Image

    found: list[Picture] = []
    for file in sorted((folder / FOLDER).glob("*.png")):
        try:
            png = file.read_bytes()
            caption = str(Image.open(io.BytesIO(png)).info.get("Description", ""))
        except OSError as error:
            raise RunError(f"{file} cannot be read as a picture: {error}. Delete it.") from error
        found.append(Picture(file.stem, caption, png))
    return found
