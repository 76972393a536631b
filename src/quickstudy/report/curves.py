"""The page's charts of scores: over a training, over inner steps, and of several runs beside each other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from quickstudy.core.references import Reference
from quickstudy.core.scores import score
from quickstudy.report.charts import Line, line_chart
from quickstudy.report.content import Evaluation, Series, Story
from quickstudy.report.words import capital

TRAINING, VALIDATION = 1, 0
"""Looks (see ``charts``) of the two learning curves."""


@dataclass(frozen=True)
class Chart:
    """A picture with its heading and the keys to its lines: (look, name, kind ``plain`` | ``thin`` | ``dots``)."""

    svg: Markup
    heading: str
    keys: list[tuple[int, str, str]]
    note: str = ""


def learning(story: Story, key: str) -> list[Chart]:
    """Score and loss against outer steps; where the loss is the score, the norm of the meta-gradient in its stead."""
    names = dict.fromkeys([story.metric, "loss" if score(story.metric).percent else "grad_norm"])
    trained = ": ".join(filter(None, ("training", story.training_curve)))
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
        own = name == story.metric
        heading = capital(score(name).named(story.unit if own else ""))
        beside = story.training_references if own else ()
        of = " of validation" if story.trained_on_another_way else ""
        spread = any(series.ci95 and len(series.steps) > 1 for _, _, series in present)
        charts.append(
            Chart(
                line_chart(
                    f"{key}-learning{i}",
                    f"{heading} against outer steps of {story.name}: " + "; ".join(_in_words(p, name) for p in present),
                    lines,
                    x_label="outer step",
                    percent=score(name).percent,
                    references=[each.value for each in beside],
                ),
                heading,
                [
                    (look, trained, "thin") if look == TRAINING else (look, "validation", "dots")
                    for look, _, _ in present
                ],
                _note("Band: 95% interval over validation tasks." if spread else "", beside, name, of=of),
            )
        )
    return charts


def _note(spread: str, beside: Sequence[Reference], metric: str, *, of: str = "") -> str:
    """What bands and dotted lines are; these are told apart by their order."""
    downward = sorted(beside, key=lambda each: -each.value)
    told = ", ".join(f"{each.name} {each.text(metric)}" for each in downward)
    lines = f"Dotted{of}{', from above' if len(beside) > 1 else ''}: {told}." if beside else ""
    return f"{spread} {lines}".strip()


_LABELS = ((TRAINING, "train"), (VALIDATION, "validation"))


def _in_words(found: tuple[int, str, Series], name: str) -> str:
    _, label, series = found
    first, last = (score(name).text(v) for v in (series.values[0], series.values[-1]))
    return f"{label} from {first} at step {series.steps[0]} to {last} at step {series.steps[-1]}"


def by_step(story: Story, best: Evaluation, key: str) -> Chart:
    """The test's score against inner steps."""
    line = Line(
        [s.step for s in best.by_step],
        [s.mean for s in best.by_step],
        VALIDATION,
        band=[s.ci95 for s in best.by_step],
        bars=len(best.by_step) <= 12,
        marker=len(best.by_step) <= 12,
        width=2.2,
    )
    known, (first, *_) = score(best.metric), best.by_step
    name = capital(known.named(story.unit))
    svg = line_chart(
        f"{key}-steps",
        f"{name} by inner step: {known.told(first.mean, first.ci95)} before adapting, "
        f"{known.told(best.mean, best.ci95)} after {best.inner_steps} steps",
        [line],
        x_label="inner step",
        percent=known.percent,
        references=[each.value for each in story.references],
    )
    spread = f"{'Bars' if line.bars else 'Band'}: 95% interval over tasks."
    return Chart(svg, f"{name}, by inner step", [], _note(spread, story.references, best.metric))


def comparison(stories: list[Story], names: list[str]) -> list[Chart]:
    """For each metric a chart of validation and one of training, the runs overlaid."""
    charts: list[Chart] = []
    for metric in dict.fromkeys(story.metric for story in stories):
        for kind in ("validation", "train"):
            found = [(i, s.curves[f"{kind}/{metric}"]) for i, s in enumerate(stories) if f"{kind}/{metric}" in s.curves]
            if not found:
                continue
            of_these = [stories[i] for i, _ in found]
            (unit, *other) = dict.fromkeys(story.unit for story in of_these)
            (beside, *others) = dict.fromkeys(story.training_references for story in of_these)
            if others or (kind == "train" and any(story.trained_on_another_way for story in of_these)):
                beside = ()
            called = score(metric).words if other else score(metric).named(unit)
            heading = f"{'Training' if kind == 'train' else 'Validation'}: {called}"
            svg = line_chart(
                f"all-{len(charts)}",
                f"{heading} of {len(found)} runs against outer steps: " + ", ".join(names[i] for i, _ in found),
                [_line(series, i, marker=kind == "validation") for i, series in found],
                x_label="outer step",
                percent=score(metric).percent,
                references=[each.value for each in beside],
            )
            what = [stories[i].training_curve if kind == "train" else "" for i, _ in found]
            keys = [(i, ": ".join(filter(None, (names[i], w))), "plain") for (i, _), w in zip(found, what, strict=True)]
            charts.append(Chart(svg, heading, keys, _note("", beside, metric)))
    return charts


def _line(series: Series, look: int, *, marker: bool) -> Line:
    return Line(series.steps, series.values, look, band=series.ci95, marker=marker and len(series.steps) <= 30)
