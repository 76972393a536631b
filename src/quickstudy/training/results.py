"""What an evaluation found."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from quickstudy.core.above import above
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.references import Reference
from quickstudy.core.scores import score as score_of
from quickstudy.training.confusion import Confusion


@dataclass(frozen=True)
class StepScore:
    """The score after ``step`` inner steps: mean over tasks, half-width of its 95% interval, and mean loss."""

    step: int
    mean: float
    ci95: float
    loss: float


@dataclass(frozen=True)
class Result:
    """An evaluation. ``mean`` and ``ci95`` are those of the last inner step, in units of ``metric``.

    Args:
        metric: what the score is called.
        by_step: after each of the inner steps that were scored.
        n_tasks: tasks that were scored.
        seed: of the tasks.
        bn: BatchNorm's mode.
        tasks: what they are, in a line.
        draws: how many of them are independent: the interval is over these (0: not recorded).
        shares: what the tasks of one draw have in common, by name.
        scores: of each task after the last inner step, in the order in which they were drawn.
        confusion: which class was taken for which after the last inner step, where classes have names.
        unit: what the score is counted in, where its name does not say it.
        references: what it can be held beside: chance, say, or the best possible.
        precision: of the derivatives of inner steps.
    """

    metric: str
    by_step: tuple[StepScore, ...]
    n_tasks: int
    seed: int
    bn: str
    tasks: str
    draws: int = 0
    shares: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    confusion: Confusion | None = None
    unit: str = ""
    references: tuple[Reference, ...] = ()
    precision: str = "float32"

    @property
    def mean(self) -> float:
        return self.by_step[-1].mean

    @property
    def ci95(self) -> float:
        return self.by_step[-1].ci95

    @property
    def loss(self) -> float:
        return self.by_step[-1].loss

    @property
    def accuracy(self) -> float:
        """The mean accuracy in [0, 1].

        Raises:
            UsageError: the tasks are no classification.
        """
        if self.metric != "accuracy":
            raise UsageError(f"these tasks are scored by {self.metric}, not by accuracy; read .mean.")
        return self.mean

    @property
    def by_class(self) -> dict[str, float]:
        """The accuracy in [0, 1] by class, over all tasks that have it; empty where classes have no names."""
        return {} if self.confusion is None else self.confusion.accuracy

    def to_json(self) -> dict[str, Any]:
        """As JSON: the fields, each task's score to six digits, and ``mean``, ``ci95`` and ``by_class`` beside them."""
        fields = {name: value for name, value in asdict(self).items() if name != "confusion"}
        fields |= {"scores": [float(f"{value:.6g}") for value in self.scores], "mean": self.mean, "ci95": self.ci95}
        if self.confusion is not None:
            fields |= {"by_class": self.by_class, "confusion": self.confusion.to_json()}
        return fields

    def to_csv(self) -> str:
        """Each task's score after the last inner step, as CSV: a header, then a row for each task in its order.

        Raises:
            UsageError: no score of a task was kept (older versions did not).
        """
        if not self.scores:
            raise UsageError("this result has no score of each task: an older version made it; evaluate again.")
        rows = [f"{task},{value:.6g}" for task, value in enumerate(self.scores)]
        return "\n".join([f"task,{self.metric}", *rows]) + "\n"

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Result":
        """What ``to_json`` was given, of this version or an older one (scores and confusion aside, if it has none).

        Raises:
            RunError: the record is none of a result.
        """
        try:
            steps = [
                StepScore(int(s["step"]), *(float(s[k]) for k in ("mean", "ci95", "loss"))) for s in record["by_step"]
            ]
            confusion = record.get("confusion")
            return cls(
                metric=str(record["metric"]),
                by_step=(steps[0], *steps[1:]),
                n_tasks=int(record["n_tasks"]),
                seed=int(record["seed"]),
                bn=str(record["bn"]),
                tasks=str(record["tasks"]),
                draws=int(record.get("draws", 0)),
                shares=tuple(str(name) for name in record.get("shares", ())),
                scores=tuple(float(value) for value in record.get("scores", ())),
                unit=str(record.get("unit", "")),
                references=tuple(
                    Reference(str(r["name"]), float(r["value"]), float(r["ci95"])) for r in record.get("references", ())
                ),
                confusion=None if confusion is None else Confusion({true: {**row} for true, row in confusion.items()}),
                precision=str(record.get("precision", "float32")),
            )
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise RunError(f"this is no record of a result: {error!r}.") from error

    def __repr__(self) -> str:
        return f"<Result {self}>"

    def _repr_html_(self) -> str:
        """Notebooks: the score, and how it came about step by step."""
        return above("report.notebook:result_html")(self)

    def __str__(self) -> str:
        known = score_of(self.metric)
        called = f"{self.metric} {known.told(self.mean, self.ci95)}"
        unit = self.unit or known.unit
        drawn = f" in {self.draws} draws of {' and '.join(self.shares)}" if self.shares else ""
        rounded = "" if self.precision == "float32" else f"; {self.precision}"
        return (
            f"{called}{unit and f' {unit}'} (95% interval, {self.n_tasks} tasks{drawn}; BatchNorm: {self.bn}{rounded}) "
            f"on {self.tasks}{(self.references and '; ') or ''}{self.beside}"
        )

    @property
    def beside(self) -> str:
        """The references in a line; empty where there are none."""
        return ", ".join(f"{each.name} {each.text(self.metric)}" for each in self.references)
