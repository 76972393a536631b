"""A page of optimizers compared: their curves and a table."""

from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from quickstudy.apply.comparison import Row
from quickstudy.core.scores import score
from quickstudy.report.charts import Line, color, dashes, line_chart
from quickstudy.version import __version__


def optimized_page(rows: Sequence[Row], *, steps: int, seeds: int) -> str:
    """One self-contained HTML page.

    Args:
        rows: of one family, the best first.
        steps: of each training.
        seeds: that it was judged on.
    """
    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    best = ", ".join(f"{row.optimizer} {row.final:.4f}" for row in rows)
    chart = line_chart(
        "optimizers",
        f"Relative loss against steps of {len(rows)} optimizers on {rows[0].family}; at the end {best}",
        [Line(row.at, row.curve, i) for i, row in enumerate(rows)],
        x_label="step",
        references=[1.0],
    )
    return environment.get_template("optimized.html.j2").render(
        rows=rows,
        family=rows[0].family,
        steps=steps,
        seeds=seeds,
        chart=chart,
        color=color,
        dashes=[" ".join(f"{d:g}" for d in dashes(look)) for look in range(len(rows))],
        interval=interval,
        style=Markup("".join((here / name).read_text() for name in ("palette.css", "report.css"))),
        version=__version__,
    )


def interval(value: float, ci95: float) -> str:
    """A loss with half the width of its interval; of one seed there is none.

    >>> interval(0.5, 0.02), interval(0.5, float('nan'))
    ('0.500 ± 0.020', '0.5000')
    """
    return score("final_loss").told(value, ci95)
