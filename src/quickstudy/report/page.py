"""From run folders to one self-contained HTML file."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import jinja2
from markupsafe import Markup

from quickstudy.core.errors import QuickstudyError, RunError, UsageError
from quickstudy.core.files import reason, write_atomic
from quickstudy.core.picture import Picture
from quickstudy.core.scores import score
from quickstudy.core.words import duration
from quickstudy.report import content, drawings
from quickstudy.report.charts import Line, color, dashes, line_chart
from quickstudy.report.content import Evaluation, Series, Story
from quickstudy.report.examples import DrawnTasks, load_examples
from quickstudy.report.paired import differences, seeds
from quickstudy.report.pictured import pictures_of
from quickstudy.training.runs import Run
from quickstudy.version import __version__

TRAINING, VALIDATION = 1, 0
"""Looks (see ``charts``) of the two learning curves."""


@dataclass(frozen=True)
class Chart:
    """A picture with its heading and the keys to its lines: (look, name, kind ``plain`` | ``thin`` | ``dots``)."""

    svg: Markup
    heading: str
    keys: list[tuple[int, str, str]]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One run as the template takes it."""

    key: str
    story: Story
    learning: list[Chart]
    steps: Chart | None
    step_rows: list[dict[str, str]]
    drawn: DrawnTasks | None
    drawings: list[drawings.Drawing]
    undrawn: str
    """Why there are no drawings."""
    pictures: list[tuple[Picture, float]]
    """What the learner does, drawn; each with its width in points (PNG: 0)."""
    unpictured: str
    """Why there are none, where there should be some."""


@dataclass(frozen=True)
class Table:
    """A table for a page of several runs."""

    heading: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def write_report(
    runs: Run | str | Path | Sequence[Run | str | Path], out: Path | None = None, *, tables: Sequence[Table] = ()
) -> Path:
    """Write one page about a run, or about several compared: a function of their folders alone.

    A folder that has no pictures yet of what its learner does, though it can be rebuilt, gets them.

    Args:
        runs: one or several, or their folders.
        out: the HTML file (None: ``report.html`` in the folder of a single run).
        tables: what else is said of several runs together.

    Returns:
        Where the page is.

    Raises:
        UsageError: no run, or nowhere to write to.
        RunError: a run holds what no page can be made of, or the page cannot be written.
    """
    several = [runs] if isinstance(runs, Run | str | Path) else runs
    runs = [run if isinstance(run, Run) else Run.open(run) for run in several]
    if not runs:
        raise UsageError("a report needs at least one run.")
    named = out is not None
    if out is None:
        if len(runs) > 1 or runs[0].path is None:
            raise UsageError("for several runs, or one in memory, say where the report goes: out=Path('report.html').")
        out = runs[0].path / "report.html"
    try:
        page = _render(runs, tables).encode(errors="backslashreplace")
    except QuickstudyError:
        raise
    except Exception as error:  # a run folder may hold anything
        where = ", ".join(str(run.path) for run in runs)
        raise RunError(f"no page can be made of {where}: {type(error).__name__}: {reason(error)}.") from error
    write_atomic(out, page, anywhere=named)
    return out


def _render(runs: Sequence[Run], tables: Sequence[Table]) -> str:
    sections = [_section(run, f"r{i}") for i, run in enumerate(runs)]
    stories = [section.story for section in sections]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"duration": duration, "capital": _capital}
    names = _distinct_names(runs, stories)
    page = environment.get_template("report.html.j2").render(
        sections=sections,
        names=names,
        tables=tables,
        comparison=_comparison(stories, names) if len(stories) > 1 else [],
        differences=differences(runs, stories),
        seeds=seeds(runs, stories, names),
        style=Markup("".join((Path(__file__).parent / name).read_text() for name in ("palette.css", "report.css"))),
        version=__version__,
        score=score,
        color=color,
        dashes=_dashes,
        is_ink=drawings.is_ink,
    )
    return page.strip() + "\n"


def _dashes(look: int) -> str:
    return " ".join(f"{d:g}" for d in dashes(look))


def _section(run: Run, key: str) -> Section:
    story = content.read_story(run)
    drawn, undrawn = None, "No examples.safetensors in the run folder; testing the run writes it."
    try:
        drawn = load_examples(run.path) if run.path else None
        drawn_tasks = drawings.draw_tasks(drawn, key) if drawn else []
    except RunError as error:
        drawn_tasks, undrawn = [], str(error)
    best = story.headline
    pictures, unpictured = pictures_of(run)
    return Section(
        key=key,
        story=story,
        learning=_learning(story, key),
        steps=_by_step(story, best, key) if best and len(best.by_step) > 1 else None,
        step_rows=drawings.step_rows(best.metric, best.by_step) if best else [],
        drawn=drawn,
        drawings=drawn_tasks,
        undrawn=undrawn,
        pictures=[(picture, _points(picture)) for picture in pictures],
        unpictured=unpictured,
    )


def _points(picture: Picture) -> float:
    """The width that an SVG says it has, within reason."""
    found = re.search(rb'viewBox="0 0 (\d{1,5})', picture.image) if picture.kind == "svg" else None
    return min(float(found[1]), 3000.0) if found else 0.0


def _learning(story: Story, key: str) -> list[Chart]:
    """Score and loss against outer steps; where the loss is the score, the norm of the meta-gradient in its stead."""
    names = dict.fromkeys([story.metric, "loss" if score(story.metric).percent else "grad_norm"])
    charts: list[Chart] = []
    for i, name in enumerate(names):
        found = [(look, label, story.curves.get(f"{label}/{name}")) for look, label in _LABELS]
        present = [(look, label, series) for look, label, series in found if series]
        if not present:
            continue
        lines = [
            replace(
                _line(series, look, marker=look == VALIDATION), solid=True, width=2.2 if look == VALIDATION else 1.3
            )
            for look, _, series in present
        ]
        heading = _capital(score(name).words)
        spread = any(series.ci95 and len(series.steps) > 1 for _, _, series in present)
        charts.append(
            Chart(
                line_chart(
                    f"{key}-learning{i}",
                    f"{heading} against outer steps of {story.name}: " + "; ".join(_in_words(p, name) for p in present),
                    lines,
                    x_label="outer step",
                    percent=score(name).percent,
                    reference=story.chance if name == story.metric else None,
                ),
                heading,
                [
                    (look, "training", "thin") if look == TRAINING else (look, "validation", "dots")
                    for look, _, _ in present
                ],
                "Band: 95% interval over validation tasks." if spread else "",
            )
        )
    return charts


_LABELS = ((TRAINING, "train"), (VALIDATION, "validation"))


def _in_words(found: tuple[int, str, Series], name: str) -> str:
    _, label, series = found
    first, last = (score(name).text(v) for v in (series.values[0], series.values[-1]))
    return f"{label} from {first} at step {series.steps[0]} to {last} at step {series.steps[-1]}"


def _by_step(story: Story, best: Evaluation, key: str) -> Chart:
    line = Line(
        [s.step for s in best.by_step],
        [s.mean for s in best.by_step],
        VALIDATION,
        band=[s.ci95 for s in best.by_step],
        bars=len(best.by_step) <= 12,
        marker=len(best.by_step) <= 12,
        width=2.2,
    )
    name = _capital(score(best.metric).words)
    first = score(best.metric).text(best.by_step[0].mean)
    svg = line_chart(
        f"{key}-steps",
        f"{name} by inner step: {first} before adapting, {score(best.metric).text(best.mean)} after "
        f"{best.inner_steps} steps",
        [line],
        x_label="inner step",
        percent=score(best.metric).percent,
        reference=story.test_chance,
    )
    return Chart(svg, f"{name} by inner step", [], f"{'Bars' if line.bars else 'Band'}: 95% interval over tasks.")


def _comparison(stories: list[Story], names: list[str]) -> list[Chart]:
    """For each metric a chart of validation and one of training, the runs overlaid."""
    charts: list[Chart] = []
    for metric in dict.fromkeys(story.metric for story in stories):
        for kind in ("validation", "train"):
            found = [(i, s.curves[f"{kind}/{metric}"]) for i, s in enumerate(stories) if f"{kind}/{metric}" in s.curves]
            if not found:
                continue
            heading = f"{'Training' if kind == 'train' else 'Validation'}: {score(metric).words}"
            svg = line_chart(
                f"all-{len(charts)}",
                f"{heading} of {len(found)} runs against outer steps: " + ", ".join(names[i] for i, _ in found),
                [_line(series, i, marker=kind == "validation") for i, series in found],
                x_label="outer step",
                percent=score(metric).percent,
            )
            charts.append(Chart(svg, heading, [(i, names[i], "plain") for i, _ in found]))
    return charts


def _line(series: Series, look: int, *, marker: bool) -> Line:
    return Line(series.steps, series.values, look, band=series.ci95, marker=marker and len(series.steps) <= 30)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _distinct_names(runs: Sequence[Run], stories: list[Story]) -> list[str]:
    """The folders' names; with their parent's, or a number, where two share one."""
    count = Counter(story.name for story in stories)
    longer = [
        f"{run.path.resolve().parent.name}/{story.name}" if count[story.name] > 1 and run.path else story.name
        for run, story in zip(runs, stories, strict=True)
    ]
    again = Counter(longer)
    return [f"{name} ({i + 1})" if again[name] > 1 else name for i, name in enumerate(longer)]
