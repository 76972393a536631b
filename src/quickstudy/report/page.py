"""From run folders to one self-contained HTML file."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from quickstudy.core.errors import QuickstudyError, RunError, UsageError
from quickstudy.core.files import reason, write_atomic
from quickstudy.core.picture import Picture
from quickstudy.core.scores import score
from quickstudy.core.words import duration
from quickstudy.report import content, drawings
from quickstudy.report.charts import color, dashes
from quickstudy.report.content import Story
from quickstudy.report.curves import Chart, by_step, comparison, learning
from quickstudy.report.examples import DrawnTasks, load_examples
from quickstudy.report.paired import differences, seeds
from quickstudy.report.pictured import pictures_of
from quickstudy.report.words import capital
from quickstudy.training.runs import Run
from quickstudy.version import __version__


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
    environment.filters |= {"duration": duration, "capital": capital}
    names = _distinct_names(runs, stories)
    page = environment.get_template("report.html.j2").render(
        sections=sections,
        names=names,
        tables=tables,
        comparison=comparison(stories, names) if len(stories) > 1 else [],
        differences=differences(runs, stories),
        seeds=seeds(runs, stories, names),
        beside=_beside(stories),
        compared=_compared(stories),
        scores=[*dict.fromkeys(score(s.headline.metric).named(s.unit) for s in stories if s.headline)],
        style=Markup("".join((Path(__file__).parent / name).read_text() for name in ("palette.css", "report.css"))),
        version=__version__,
        score=score,
        color=color,
        dashes=_dash_array,
        is_ink=drawings.is_ink,
    )
    return page.strip() + "\n"


def _dash_array(look: int) -> str:
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
        learning=learning(story, key),
        steps=by_step(story, best, key) if best and len(best.by_step) > 1 else None,
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


def _compared(stories: list[Story]) -> str:
    """What several runs have in common, for a title."""
    said = [[*dict.fromkeys(part)] for part in zip(*((s.learner, s.tasks) for s in stories), strict=True)]
    learners, tasks = (
        " and ".join(filter(None, (", ".join(part[:-1]), part[-1]))) if len(part) < 4 else f"{len(part)} {many}"
        for part, many in zip(said, ("learners", "kinds of tasks"), strict=True)
    )
    return f"{len(stories)} runs compared: {learners} on {tasks}"


def _beside(stories: list[Story]) -> list[str]:
    """What the scores can be held beside, a line for each kind of test tasks."""
    found = {s.headline.tasks: s.headline.result for s in stories if s.headline and s.headline.result.beside}
    return [f"For comparison, on {tasks}: {result.beside}." for tasks, result in found.items()]


def _distinct_names(runs: Sequence[Run], stories: list[Story]) -> list[str]:
    """The folders' names; with their parent's, or a number, where two share one."""
    count = Counter(story.name for story in stories)
    longer = [
        f"{run.path.resolve().parent.name}/{story.name}" if count[story.name] > 1 and run.path else story.name
        for run, story in zip(runs, stories, strict=True)
    ]
    again = Counter(longer)
    return [f"{name} ({i + 1})" if again[name] > 1 else name for i, name in enumerate(longer)]
