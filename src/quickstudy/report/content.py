"""What the page says of one run, read from its folder; nothing here knows about HTML or charts."""

import re
from dataclasses import dataclass
from typing import Any

from quickstudy.core.errors import RunError
from quickstudy.core.references import Reference
from quickstudy.core.scores import score
from quickstudy.report.citation import citation
from quickstudy.report.words import about, called, heading, own_class, settings
from quickstudy.training.results import Result, StepScore
from quickstudy.training.runs import Run

UP_TO = "up to "
"""Before the way and shot of tasks that draw theirs for each batch."""
NOT_SCORES = ("loss", "ci95", "grad_norm")


@dataclass(frozen=True)
class Series:
    """One thing that was logged, against outer steps."""

    steps: list[int]
    values: list[float]
    ci95: list[float] | None = None


@dataclass(frozen=True)
class Evaluation:
    """One line of ``results.jsonl``."""

    metric: str
    by_step: list[StepScore]
    n_tasks: int
    seed: int
    bn: str
    tasks: str
    split: str
    checkpoint: int | None
    result: Result

    @property
    def mean(self) -> float:
        return self.by_step[-1].mean

    @property
    def ci95(self) -> float:
        return self.by_step[-1].ci95

    @property
    def inner_steps(self) -> int:
        return self.by_step[-1].step


@dataclass(frozen=True)
class Story:
    """A run in the words of the page."""

    name: str
    heading: str
    """What learned what, in words."""
    learner: str
    tasks: str
    training_curve: str
    """What the training's scores are of, where it is something else than a test's."""
    shape: str
    """``5-way 1-shot``, or what of it is known; of validation and test, where training has another way."""
    train_way: int | None
    chance: float | None
    """Of the test's way, where the run says which that is."""
    bn: str
    metric: str
    curves: dict[str, Series]
    """``train/accuracy``, ``validation/loss``, ... as logged."""
    headline: Evaluation | None
    evaluations: list[Evaluation]
    unread: int
    """Lines of results.jsonl that are no evaluations."""
    unread_metrics: int
    """Lines of metrics.jsonl that are damaged."""
    steps_done: int
    steps_planned: int | None
    meta_batch: int | None
    seconds: float | None
    ending: str
    """Why the run is shorter than planned; empty where it is not."""
    command: str | None
    citation: str
    about: str
    """What the learner is, and the tasks, in a sentence each, as far as they are quickstudy's own."""
    parameters: int | None
    machine: str
    settings: list[tuple[str, list[tuple[str, str]]]]

    @property
    def tested_as_trained(self) -> bool:
        """Whether the headline's tasks have the way and shot of training (as far as their description says)."""
        said = self.headline.tasks if self.headline else self.shape
        return re.search(rf"(?<!\d){re.escape(self.shape)}", said) is not None

    @property
    def title(self) -> str:
        """The heading, with the way and shot where the test has those of training."""
        return f"{self.heading}, {self.shape}" if self.shape and self.tested_as_trained else self.heading

    @property
    def trained_on_another_way(self) -> bool:
        """Whether training's tasks have more or fewer classes than those of validation and test."""
        return bool(self.train_way) and not self.shape.removeprefix(UP_TO).startswith(f"{self.train_way}-way")

    @property
    def unit(self) -> str:
        """What the headline's score is counted in, where its name does not say it."""
        return self.headline.result.unit if self.headline else ""

    @property
    def references(self) -> tuple[Reference, ...]:
        """What the headline's score can be held beside; of older runs chance, where the test has training's way."""
        told = self.headline.result.references if self.headline else ()
        return told or (self._chance if self.tested_as_trained else ())

    @property
    def training_references(self) -> tuple[Reference, ...]:
        """The same of the training's own curves."""
        return self.references if self.headline and self.tested_as_trained else self._chance

    @property
    def _chance(self) -> tuple[Reference, ...]:
        return () if self.chance is None else (Reference("chance", self.chance),)


def read_story(run: Run) -> Story:
    """Everything but the drawn tasks."""
    config, records, damaged = run.config, run.metrics(), run.unread()
    training: dict[str, Any] = config.get("training") or {}
    machine: dict[str, Any] = config.get("machine") or {}
    options: dict[str, Any] = (config.get("tasks") or {}).get("options") or {}
    evaluations = [_evaluation(record) for record in run.results()]
    read = [e for e in evaluations if e is not None]
    headline = _headline(read)
    curves = _curves(records)
    seconds = [float(r["seconds"]) for r in records if _is_number(r.get("seconds"))]
    way = (config.get("test") or {}).get("test_way") or options.get("way")
    steps_done = max((int(r["step"]) for r in records if "step" in r), default=0)
    metric = headline.metric if headline else _metric(curves)
    shape = " ".join(f"{_number(n)}-{name}" for name, n in (("way", way), ("shot", options.get("shot"))) if n)
    return Story(
        name=run.path.resolve().name if run.path else "run in memory",
        heading=heading(config.get("learner"), config.get("tasks")),
        learner=called(config.get("learner")),
        tasks=called(config.get("tasks")),
        training_curve=getattr(own_class(config.get("learner")), "training_curve", ""),
        shape=UP_TO + shape if options.get("fixed") is False else shape,
        train_way=trained if isinstance(trained := options.get("way"), int) else None,
        chance=1 / way if metric == "accuracy" and isinstance(way, int) and way > 0 else None,
        bn=str(config.get("bn", "not recorded")),
        metric=metric,
        curves=curves,
        headline=headline,
        evaluations=read,
        unread=len(evaluations) - len(read) + damaged.get("results.jsonl", 0),
        unread_metrics=damaged.get("metrics.jsonl", 0),
        steps_done=steps_done,
        steps_planned=training.get("steps"),
        meta_batch=training.get("meta_batch"),
        seconds=seconds[-1] if seconds else None,
        ending=_ending(
            steps_done, training, curves.get(f"validation/{metric}"), lower=not score(metric).larger_is_better
        ),
        command=config.get("command"),
        citation=citation(run),
        about=" ".join(filter(None, (about(config.get(part)) for part in ("learner", "tasks")))),
        parameters=count if isinstance(count := config.get("parameters"), int) else None,
        machine=", ".join(str(name) for part in ("processor", "gpu") if (name := machine.get(part))),
        settings=settings(config),
    )


def _evaluation(record: Any) -> Evaluation | None:
    try:
        result = Result.from_json(record)
    except RunError:
        return None
    return Evaluation(
        metric=result.metric,
        by_step=[*result.by_step],
        n_tasks=result.n_tasks,
        seed=result.seed,
        bn=result.bn,
        tasks=result.tasks,
        split=str(record.get("split", "")),
        checkpoint=record.get("checkpoint"),
        result=result,
    )


def _headline(evaluations: list[Evaluation]) -> Evaluation | None:
    """The last evaluation on the tasks of the run's first test (without a test: of its first evaluation)."""
    tests = [e for e in evaluations if e.split == "test"] or evaluations
    return next((e for e in reversed(tests) if e.tasks == tests[0].tasks), None)


def _number(n: Any) -> str:
    """A number, or a range of them."""
    return "- to ".join(map(str, n)) if isinstance(n, list) else str(n)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and abs(value) < 1e300  # not inf, not nan, and none that no axis takes


def _curves(records: list[dict[str, Any]]) -> dict[str, Series]:
    names = dict.fromkeys(name for record in records for name in record if "/" in name and "step" in record)
    curves: dict[str, Series] = {}
    for name in names:
        having = [r for r in records if _is_number(r.get(name)) and "step" in r]
        if not having:
            continue
        spread = f"{name.partition('/')[0]}/ci95"
        own_ci = not name.endswith(NOT_SCORES) and all(_is_number(r.get(spread)) for r in having)
        ci95 = [float(r[spread]) for r in having] if own_ci else None
        curves[name] = Series([int(r["step"]) for r in having], [float(r[name]) for r in having], ci95)
    return curves


def _metric(curves: dict[str, Series]) -> str:
    scores = [name.partition("/")[2] for name in curves]
    return next((s for s in ("accuracy", *scores) if s in scores and s not in NOT_SCORES), "loss")


def _ending(done: int, training: dict[str, Any], validation: Series | None, *, lower: bool) -> str:
    planned, patience = training.get("steps"), training.get("patience")
    if not isinstance(planned, int) or done >= planned:
        return ""
    if done == 0:
        return f"No outer step of {planned:,} has been logged yet"
    if patience and validation and validation.values:
        values = [-v if lower else v for v in validation.values]
        stale = len(values) - 1 - values.index(max(values))
        if stale >= patience:
            return f"Stopped early after {done:,} of {planned:,} outer steps: {stale} validations without a better one"
    return f"Interrupted, or still running: {done:,} of {planned:,} outer steps are logged"
