"""Charts as inline SVG that follow the page's colours and fonts (see ``quickstudy.report.svg``).

Charts are drawn about as wide as a phone, so that their letters stay readable there.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from quickstudy.report.svg import DASHES, RULE, SERIES, TEXT, VARIABLES, canvas, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTERS = 9.5
"""Points; a point is about a pixel on a phone, more elsewhere."""
SIZE = (295, 187)
"""Points, so that on a phone a point is about a pixel."""
SMALL = (238, 180)
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
    references: Sequence[float] = (),
) -> Markup:
    """Lines over steps, with bands where they have one.

    Args:
        key: unique on the page, letters, digits and hyphens.
        label: what a person who cannot see the chart is told.
        lines: what to draw.
        x_label: of the horizontal axis.
        percent: y is a fraction.
        references: levels to mark with dotted lines (chance, say).
    """

    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def draw(axes: "Axes") -> None:
        for line in lines:
            _draw(axes, line)
        for level in references:
            axes.axhline(level, color=TEXT, linewidth=1.1, dashes=(1.0, 2.0))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.set_xlabel(x_label)
        if all(min(line.x) > 0 for line in lines):
            axes.set_xlim(left=0)
        _scale_y(axes, [v for line in lines for v in line.y if math.isfinite(v)], percent)

    return _svg(key, label, draw, SIZE)


def curve_chart(key: str, label: str, lines: Sequence[Line], points: Sequence[tuple[float, float]]) -> Markup:
    """Functions of one number and the points they were fitted to."""

    from matplotlib.ticker import MaxNLocator

    def draw(axes: "Axes") -> None:
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


def _draw(axes: "Axes", line: Line) -> None:
    c = SERIES[line.look % len(SERIES)]
    pattern = () if line.solid else dashes(line.look)
    style: dict[str, Any] = {"dashes": tuple(d / line.width for d in pattern)} if pattern else {"linestyle": "-"}
    if line.band is not None and line.bars:
        axes.errorbar(line.x, line.y, yerr=line.band, color=c, linestyle="none", linewidth=1.4, capsize=3)
    elif line.band is not None:
        low = [v - b for v, b in zip(line.y, line.band, strict=True)]
        high = [v + b for v, b in zip(line.y, line.band, strict=True)]
        axes.fill_between(line.x, low, high, color=c, alpha=0.18, linewidth=0)
    marker = "o" if line.marker or len(line.x) == 1 else ""
    axes.plot(line.x, line.y, color=c, linewidth=line.width, alpha=line.opacity, marker=marker, markersize=4.5, **style)


def _scale_y(axes: "Axes", values: list[float], percent: bool) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

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


def _svg(key: str, label: str, draw: Callable[["Axes"], None], size: tuple[int, int]) -> Markup:
    with canvas(*size, letters=LETTERS) as figure:
        draw(figure.add_subplot())
    return inline(figure, key=key, label=label)
