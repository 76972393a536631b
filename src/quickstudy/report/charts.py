"""Charts as inline SVG that follow the page's colours and fonts.

matplotlib draws with sentinel colours; each becomes a CSS variable of the page, so that one picture serves light and
dark. Text stays text. Charts are drawn about as wide as a phone, so that their letters stay readable there.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

VARIABLES = {
    "#a1b000": "--ink-2",
    "#a1b001": "--rule",
    "#a1b010": "--c0",
    "#a1b011": "--c1",
    "#a1b012": "--c2",
    "#a1b013": "--c3",
    "#a1b014": "--c4",
    "#a1b015": "--c5",
}
TEXT, RULE, *SERIES = VARIABLES
DASHES: tuple[tuple[float, ...], ...] = ((), (6.0, 2.0), (2.0, 1.6), (7.0, 2.0, 1.6, 2.0), (10.0, 2.5), (3.0, 2.5))
SIZE = (4.1, 2.6)
"""Inches of 72 points: 295 points, so that on a phone a point is about a pixel."""
SMALL = (3.3, 2.5)
"""For charts that stand three in a row."""


@dataclass(frozen=True)
class Line:
    """One series of a chart; ``look`` picks its colour and dashes."""

    x: Sequence[int] | Sequence[float]
    y: Sequence[float]
    look: int
    band: Sequence[float] | None = None
    """Half-widths of an interval around y."""
    bars: bool = False
    """Draw the interval as bars instead of a band."""
    marker: bool = False
    width: float = 1.8
    opacity: float = 1.0
    solid: bool = False


def color(look: int) -> str:
    """The CSS variable of a look."""
    return VARIABLES[SERIES[look % len(SERIES)]]


def dashes(look: int) -> tuple[float, ...]:
    """The dash pattern of a look, as SVG's ``stroke-dasharray``: so that colour is not all that tells lines apart."""
    return DASHES[(look + look // len(SERIES)) % len(DASHES)]


def line_chart(
    key: str,
    label: str,
    lines: Sequence[Line],
    *,
    x_label: str,
    percent: bool = False,
    reference: float | None = None,
) -> Markup:
    """Lines over steps, with bands where they have one.

    Args:
        key: unique on the page, letters, digits and hyphens.
        label: what a person who cannot see the chart is told.
        lines: what to draw.
        x_label: of the horizontal axis.
        percent: y is a fraction.
        reference: a level to mark with a dotted line (chance, say).
    """

    def draw(axes: Axes) -> None:
        for line in lines:
            _draw(axes, line)
        if reference is not None:
            axes.axhline(reference, color=TEXT, linewidth=1.1, dashes=(1.0, 2.0))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.set_xlabel(x_label)
        if all(min(line.x) > 0 for line in lines):
            axes.set_xlim(left=0)
        _scale_y(axes, [v for line in lines for v in line.y if math.isfinite(v)], percent)

    return _svg(key, label, draw, SIZE)


def curve_chart(key: str, label: str, lines: Sequence[Line], points: Sequence[tuple[float, float]]) -> Markup:
    """Functions of one number and the points they were fitted to."""

    def draw(axes: Axes) -> None:
        for line in lines:
            _draw(axes, line)
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            linestyle="none",
            marker="o",
            markersize=6.5,
            color=TEXT,
            markeredgecolor=RULE,
            zorder=5,
        )
        axes.set_xlabel("x")
        axes.set_ylabel("y", rotation=0)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))

    return _svg(key, label, draw, SMALL)


def _draw(axes: Axes, line: Line) -> None:
    c = SERIES[line.look % len(SERIES)]
    pattern = () if line.solid else dashes(line.look)
    style: dict[str, Any] = {"dashes": tuple(d / line.width for d in pattern)} if pattern else {}
    if line.band is not None and line.bars:
        axes.errorbar(line.x, line.y, yerr=line.band, color=c, linestyle="none", linewidth=1.4, capsize=3)
    elif line.band is not None:
        low = [v - b for v, b in zip(line.y, line.band, strict=True)]
        high = [v + b for v, b in zip(line.y, line.band, strict=True)]
        axes.fill_between(line.x, low, high, color=c, alpha=0.18, linewidth=0)
    marker = "o" if line.marker or len(line.x) == 1 else ""
    axes.plot(line.x, line.y, color=c, linewidth=line.width, alpha=line.opacity, marker=marker, markersize=4.5, **style)


def _scale_y(axes: Axes, values: list[float], percent: bool) -> None:
    if percent:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.02), min(high, 1.02))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    elif values and min(values) > 0 and max(values) > 20 * min(values):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(_plain))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _percent(value: float, _: Any) -> str:
    return f"{100 * value:g}%"


def _plain(value: float, _: Any) -> str:
    return f"{value:g}"


def _thousands(value: float, _: Any) -> str:
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:g}"


def _svg(key: str, label: str, draw: Callable[[Axes], None], size: tuple[float, float]) -> Markup:
    settings: dict[Any, Any] = {
        "svg.fonttype": "none",
        "svg.hashsalt": key,
        "font.size": 9.5,
        "font.family": "sans-serif",
        "text.color": TEXT,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.labelcolor": TEXT,
        "axes.edgecolor": RULE,
        "axes.formatter.useoffset": False,
        "axes.unicode_minus": True,
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
        "xtick.major.size": 3.0,
        "ytick.major.size": 0.0,
        "ytick.minor.size": 0.0,
        "lines.solid_capstyle": "round",
        "text.parse_math": False,
    }
    out = io.StringIO()
    with mpl.rc_context(settings):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        FigureCanvasSVG(figure).print_svg(out, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Markup(_inline(out.getvalue(), key, label))


def _inline(svg: str, key: str, label: str) -> str:
    """A stand-alone SVG file as a part of the page: own ids, the page's colours and font, no foreign names."""
    view = re.search(r'viewBox="([^"]+)"', svg)
    assert view is not None, "matplotlib writes a viewBox"
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{key}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", body)
    body = re.sub(r'(?:xlink:)?href="#([^"]+)"', rf'href="#{key}-\1"', body)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"font: ([\d.]+)px [^;\"]+", r"font-size: \1px", body)
    for sentinel, variable in VARIABLES.items():
        body = body.replace(sentinel, f"var({variable})")
    return f'<svg class="chart" viewBox="{view[1]}" role="img" aria-label="{escape(label)}">{body}'
