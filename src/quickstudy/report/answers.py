"""A page of answers: a person's pictures by the class that each was taken for, and how sure that is; and of a check."""

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from quickstudy.apply.answer import Answer
from quickstudy.apply.check import Check
from quickstudy.core.errors import DataError
from quickstudy.encoders.reading import Source, read_image
from quickstudy.version import __version__

THUMBNAIL = 112
"""Pixels of a thumbnail's longer side."""
MOST = 1000
"""Pictures with a thumbnail, so that the page can still be opened; the others are counted."""
LISTED = 100
"""Problems that are listed."""


@dataclass(frozen=True)
class Tile:
    """One picture."""

    name: str
    thumbnail: str | None
    bars: list[tuple[str, float]]
    """Classes and their probabilities, the best first."""
    note: str = ""


class AnswersPage:
    """Takes answers one by one, and becomes one self-contained HTML page.

    Args:
        classes: in the order of the probabilities.
        expected: how many answers there will be, or about as many.
    """

    def __init__(self, classes: Sequence[Any], expected: int) -> None:
        self.classes = [str(name) for name in classes]
        self.tiles: dict[str, list[Tile]] = defaultdict(list)
        self.more: dict[str, int] = defaultdict(int)
        self.problems: list[str] = []
        self.check: Check | None = None
        self.suspects: list[Tile] = []
        self._each = MOST if expected <= MOST else max(1, MOST // (len(classes) + 1))

    def add(self, answer: Answer, *, under: str | None = None) -> None:
        """Show an answer, under its label or another heading."""
        if answer.problem or answer.probabilities is None:
            self.problems.append(answer.problem or "")
            return
        heading = str(answer.label) if under is None else under
        if len(self.tiles[heading]) >= self._each:
            self.more[heading] += 1
            return
        ranked = sorted(zip(self.classes, answer.probabilities.tolist(), strict=True), key=lambda one: -one[1])[:2]
        note = "" if str(answer.label) in self.classes or under is None else str(answer.label)
        self.tiles[heading].append(Tile(_name(answer.source), _thumbnail(answer.source), ranked, note))

    def checked(self, check: Check, sources: Sequence[Source]) -> None:
        """Show a check, too, whose suspects are places in ``sources``."""
        self.check = check
        for one in check.suspects[:MOST]:
            source, bars = sources[one.row], [(str(one.looks_like), one.probability)]
            self.suspects.append(Tile(_name(source), _thumbnail(source), bars, f"labelled {one.given}"))

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
        counts = zip(self.classes, self.check.confusion.tolist(), strict=True) if self.check else ()
        return environment.get_template("answers.html.j2").render(
            groups=[(label, self.tiles.get(label, []), self.more.get(label, 0)) for label in labels],
            problems=self.problems[:LISTED],
            more_problems=max(0, len(self.problems) - LISTED),
            total=sum(map(len, self.tiles.values())) + sum(self.more.values()),
            classes=self.classes,
            check=self.check,
            confusion=[(name, i, row, sum(row) or 1) for i, (name, row) in enumerate(counts)],
            suspects=self.suspects,
            style=Markup("".join((here / name).read_text() for name in ("palette.css", "answers.css"))),
            version=__version__,
        )


def _name(source: Source) -> str:
    return str(source) if isinstance(source, str | Path) else ""


def _thumbnail(source: Source) -> str | None:
    try:
        image = read_image(source, at_least=2 * THUMBNAIL)
    except DataError:
        return None
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
