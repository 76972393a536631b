"""A page of answers: a person's pictures by the class that each was taken for, and how sure that is."""

import base64
import io
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from quickstudy.core.errors import DataError
from quickstudy.encoders.reading import read_image
from quickstudy.version import __version__

THUMBNAIL = 112
"""Pixels of a thumbnail's longer side."""
MOST = 1000
"""Pictures with a thumbnail, so that the page can still be opened; the others are counted."""


@dataclass(frozen=True)
class Tile:
    """One picture."""

    name: str
    thumbnail: str | None
    probabilities: list[tuple[str, float]]
    """The two largest, the best first."""
    is_unknown: bool


class AnswersPage:
    """Takes answers one by one, and becomes one self-contained HTML page.

    Args:
        classes: their names, in the order of the probabilities.
    """

    def __init__(self, classes: list[str]) -> None:
        self.classes = classes
        self.tiles: dict[str, list[Tile]] = defaultdict(list)
        self.more: dict[str, int] = defaultdict(int)
        self.problems: list[str] = []

    def add(self, answer: Any) -> None:
        """An answer of ``ImageClassifier.stream``."""
        if answer.problem:
            self.problems.append(answer.problem)
            return
        label = str(answer.label)
        if sum(map(len, self.tiles.values())) >= MOST:
            self.more[label] += 1
            return
        ranked = sorted(zip(self.classes, map(float, answer.probabilities), strict=True), key=lambda one: -one[1])[:2]
        name = str(answer.source) if isinstance(answer.source, str | Path) else ""
        self.tiles[label].append(Tile(name, _thumbnail(answer.source), ranked, label not in self.classes))

    def render(self) -> str:
        """The page."""
        here = Path(__file__).parent
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(here),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        labels = sorted({*self.tiles, *self.more}, key=lambda label: (label not in self.classes, label))
        return environment.get_template("answers.html.j2").render(
            groups=[(label, self.tiles.get(label, []), self.more.get(label, 0)) for label in labels],
            problems=self.problems,
            total=sum(map(len, self.tiles.values())) + sum(self.more.values()),
            classes=self.classes,
            style=Markup("".join((here / name).read_text() for name in ("palette.css", "answers.css"))),
            version=__version__,
        )


def _thumbnail(source: Any) -> str | None:
    try:
        image = read_image(source, at_least=(THUMBNAIL, THUMBNAIL))
    except DataError:
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
