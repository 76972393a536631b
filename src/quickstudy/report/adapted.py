"""A page of a person's own images: what a learner was adapted to, and what it took the others for, as it saw them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from quickstudy.apply.few_images import Adapted
from quickstudy.report.drawings import is_ink, picture
from quickstudy.version import __version__

MOST = 1000
"""Query images that are shown, so that the page can still be opened."""


@dataclass(frozen=True)
class Tile:
    """An image, and what is said of it."""

    address: str | None
    ink: bool
    name: str
    caption: str = ""


def adapted_page(adapted: Adapted, tasks: Any, *, invert: bool, bn: str) -> str:
    """One self-contained HTML page.

    Args:
        adapted: what came of it.
        tasks: whose ``read_image`` prepared the images.
        invert: whether they were inverted.
        bn: BatchNorm's mode.
    """

    def tile(path: Path, name: str, caption: str = "") -> Tile:
        x = tasks.read_image(path)
        x = 1 - x if invert else x
        ink = is_ink(x[None])
        return Tile(picture(x, ink, min(0.0, float(x.min())), max(1.0, float(x.max()))), ink, name, caption)

    answers: dict[str, list[Tile]] = {name: [] for name in adapted.support}
    for p, path in list(zip(adapted.predictions, adapted.queries, strict=True))[:MOST]:
        answers[p.label].append(tile(path, p.path, f"{100 * p.probabilities[p.label]:.0f}% {p.path}"))
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    return environment.get_template("adapted.html.j2").render(
        classes={name: [tile(path, name) for path in files] for name, files in adapted.support.items()},
        answers=answers,
        total=len(adapted.queries),
        hidden=max(0, len(adapted.queries) - MOST),
        bn=bn,
        style=Markup("".join((here / name).read_text() for name in ("palette.css", "report.css"))),
        version=__version__,
    )
