"""matplotlib's figures as SVG in the page's colours and font.

It draws with sentinel colours; each becomes a CSS variable, so that one image serves light and dark. Text stays text.
A chart of the page is inline and takes the page's variables. A picture is a file of its own that brings them along, for
it is also opened alone; in both the browser says whether it is dark.
"""

import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from markupsafe import Markup, escape
from torch import Tensor

from quickstudy.core.picture import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

VARIABLES = {
    "#a1b000": "--ink-2",
    "#a1b001": "--rule",
    "#a1b002": "--ink",
    "#a1b003": "--card",
    "#a1b010": "--c0",
    "#a1b011": "--c1",
    "#a1b012": "--c2",
    "#a1b013": "--c3",
    "#a1b014": "--c4",
    "#a1b015": "--c5",
}
TEXT, RULE, INK, CARD, *SERIES = VARIABLES
DASHES: tuple[tuple[float, ...], ...] = ((), (6.0, 2.0), (2.0, 1.6), (7.0, 2.0, 1.6, 2.0), (10.0, 2.5), (3.0, 2.5))
LETTERS = 11.0
"""Points of a picture's letters; the page never shows a point smaller than 0.92 pixels."""
NARROW = 270
"""Points that a picture may be wide for it not to scroll on a phone of 320 pixels."""


@contextmanager
def canvas(width: int | float, height: int | float, *, letters: float = LETTERS) -> Generator["Figure"]:
    """A figure of so many points, to be drawn on in the house's style inside the ``with``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_style(letters)):
        yield Figure(figsize=(width / 72, height / 72), layout="constrained")


def tinted(
    axes: "Axes", values: Float[Tensor, "rows columns"], color: str, *, origin: str = "upper", **options: Any
) -> "AxesImage":
    """``imshow`` of values from 0 (nothing) to 1 (the colour, one of ``VARIABLES``); cells keep their edges.

    The file holds an image that is but opaque or not, and colours it where it is shown: light or dark.
    """
    import numpy as np

    opacity = (255 * values.detach().float().cpu().clamp(0, 1)).round().byte().numpy()
    rgba = np.concatenate([np.zeros((*opacity.shape, 3), np.uint8), opacity[..., None]], -1)
    image = axes.imshow(rgba, interpolation="none", origin=origin, **options)  # pyright: ignore[reportArgumentType]
    image.set_gid(f"tint{VARIABLES[color]}_{len(axes.images)}_{axes.figure.axes.index(axes)}")  # pyright: ignore
    axes.grid(False)
    return image


def inline(figure: "Figure", *, key: str, label: str) -> Markup:
    """A part of the page.

    Args:
        figure: drawn on a ``canvas``.
        key: unique on the page, letters, digits and hyphens.
        label: what a person who cannot see it is told.
    """
    width, height, body = _body(figure, key)
    view = f'viewBox="0 0 {width} {height}"'
    return Markup(f'<svg class="chart" {view} role="img" aria-label="{escape(label)}">{body}')


def picture(figure: "Figure", *, name: str, caption: str) -> Picture:
    """A file that can be read alone, light and dark; the caption is in it, so that it is never apart from it."""
    width, height, body = _body(figure, name)
    style = (Path(__file__).parent / "palette.css").read_text()
    return Picture(
        name,
        caption,
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"\n<desc>{escape(caption)}</desc>\n<style>\n{style}{_ALONE}\n</style>{body}\n".encode(),
    )


_ALONE = (
    ":root { background: var(--card); "
    'font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif; }'
)


def _body(figure: "Figure", key: str) -> tuple[str, str, str]:
    """Width, height, and what is inside the ``<svg>`` with its end: own ids, no foreign names, colours by variable."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    out = io.StringIO()
    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key, "image.composite_image": False}):
        FigureCanvasSVG(figure).print_svg(out, metadata=nothing)
    svg = out.getvalue()
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert view is not None, "matplotlib writes a viewBox"
    body = svg[svg.index(">", svg.index("<svg")) + 1 :].strip()
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href=", "href=")
    body = re.sub(r'(<image [^>]*\bid="tint(--[\w-]+?)_[^>]*/>)', r'<g filter="url(#tint\2)">\1</g>', body)
    body = "".join(_filter(variable) for variable in VARIABLES.values() if f"#tint{variable})" in body) + body
    body = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", body)
    body = re.sub(r'href="#([^"]+)"', rf'href="#{key}-\1"', body)
    body = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", body)
    body = re.sub(r"font-family: [^;\"]+;? ?", "", body)
    for sentinel, variable in VARIABLES.items():
        body = body.replace(sentinel, f"var({variable})")
    return view[1], view[2], body


def _filter(variable: str) -> str:
    flood = f'<feFlood style="flood-color: var({variable})"/>'
    return f'<filter id="tint{variable}">{flood}<feComposite in2="SourceAlpha" operator="in"/></filter>\n'


def _style(letters: float) -> dict[Any, Any]:
    from cycler import cycler

    dashed = [(0, pattern) if pattern else "-" for pattern in DASHES]
    sizes = dict.fromkeys(("axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize"), "medium")
    boxes = ("boxprops", "whiskerprops", "capprops", "medianprops")
    return {
        **sizes,
        **{f"boxplot.{part}.color": TEXT for part in boxes},
        "boxplot.medianprops.color": SERIES[1],
        "boxplot.medianprops.linewidth": 2.0,
        "font.size": letters,
        "font.family": "sans-serif",
        "text.color": TEXT,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.labelcolor": TEXT,
        "axes.titlecolor": TEXT,
        "axes.edgecolor": RULE,
        "axes.formatter.useoffset": False,
        "axes.unicode_minus": True,
        "axes.prop_cycle": cycler(color=SERIES) + cycler(linestyle=dashed),
        "xtick.color": TEXT,
        "ytick.color": TEXT,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": RULE,
        "grid.linewidth": 0.8,
        "legend.frameon": False,
        "legend.fontsize": "medium",
        "xtick.major.size": 3.0,
        "ytick.major.size": 0.0,
        "ytick.minor.size": 0.0,
        "lines.solid_capstyle": "round",
        "text.parse_math": False,
    }
