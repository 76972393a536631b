"""A run is a folder that a person can read.

config.json        everything needed to repeat the run
metrics.jsonl      one line per log or validation
checkpoints/       step-00000500.safetensors (tensors) and .json (the rest; written last, so it seals the pair)
results.jsonl      one line per evaluation
report.html        what to look at
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from quickstudy import registry
from quickstudy.core.above import above
from quickstudy.core.errors import QuickstudyError, RunError, UsageError
from quickstudy.core.files import read_json, reason, remove_unfinished, write_json
from quickstudy.core.learner import MetaLearner
from quickstudy.training import _checkpoints, _records
from quickstudy.training._checkpoints import Checkpoint as Checkpoint
from quickstudy.training._checkpoints import RemovedError
from quickstudy.training._folder import holds_run as holds_run
from quickstudy.training._folder import remove_run as remove_run
from quickstudy.training._lock import locked as locked
from quickstudy.training.classes import check_classes
from quickstudy.training.results import Result
from quickstudy.training.upgrade import FORMAT, built, upgraded_config
from quickstudy.version import __version__

_KINDS = {"learner": dict, "tasks": dict, "validation": dict, "training": dict, "test": dict, "command": str}
"""Of what is in a configuration; any of it may be missing or null."""


class Run:
    """A run folder; ``path=None`` keeps metrics in memory and writes nothing."""

    def __init__(self, path: Path | None, config: dict[str, Any]) -> None:
        self.path = path
        self.config = config
        self.trained_here: MetaLearner | None = None
        """What this program trains in the run; networks of a person's own are in no folder."""
        self._history: list[dict[str, Any]] = []

    def __repr__(self) -> str:
        learner, tasks = (registry.named(self.config.get(part)) for part in ("learner", "tasks"))
        planned, where = (self.config.get("training") or {}).get("steps"), repr(str(self.path or "in memory"))
        try:
            done = max((record["step"] for record in self.metrics()), default=0)
            told = f"{done} of {planned} outer steps, {len(self.results())} results"
        except RunError as error:  # a folder may hold anything, and has to be shown all the same
            told = str(error)
        return f"<Run {where}: {learner} on {tasks}; {told}>"

    @staticmethod
    def create(path: str | Path | None, config: dict[str, Any], start: Checkpoint | None = None) -> "Run":
        """A new run, with a checkpoint to start from: there is none without its initial weights.

        Raises:
            RunError: the folder already holds a run, or what is left of one, or cannot be written.
        """
        full = {"format": FORMAT, "quickstudy": __version__, **config}
        if path is None:
            return Run(None, full)
        path = Path(path)
        if holds_run(path):
            raise RunError(f"{path} already holds a run; resume it, overwrite it, or choose another folder.")
        run = Run(path, full)
        if [step for step in run.steps() if step] or run.metrics() or run.results():
            raise RunError(
                f"{path} holds checkpoints or results, but not the config.json that says of what; put it back, or "
                f"choose another folder."
            )
        if start is not None:
            run.save(start, keep=1, best_step=None)
        write_json(path / "config.json", full)
        return run

    @staticmethod
    def open(path: str | Path) -> "Run":
        """An existing run; what an older one says, its ``config`` says in today's words.

        Raises:
            RunError: no run there, one of a later format, or one whose configuration is damaged.
            UsageError: no path.
        """
        try:
            path = Path(path)
        except TypeError as error:
            raise UsageError(f"a run is opened by its folder, a path, got {path!r:.80}.") from error
        if not holds_run(path):
            raise RunError(f"{path} holds no run (no config.json); give the folder that `train --out` wrote.")
        config = read_json(path / "config.json")
        found = config.get("format") if isinstance(config, dict) else None
        if not isinstance(found, int) or not 1 <= found <= FORMAT:
            writer = config.get("quickstudy") if isinstance(config, dict) else None
            raise RunError(
                f"{path} was written in run format {found} by quickstudy {writer}; this is quickstudy {__version__} "
                f"with format {FORMAT}. Use the version that wrote it."
            )
        for name, kind in _KINDS.items():
            if not isinstance(config.get(name), kind | None):
                raise RunError(f"{path / 'config.json'} is damaged: {name} is {config[name]!r:.60}.")
        try:
            return Run(path, upgraded_config(config))
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, QuickstudyError):
                raise
            raise RunError(f"{path / 'config.json'} is damaged: {reason(error)}.") from error

    # -- metrics and results -------------------------------------------------------------------------------------

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``."""
        self._history.append(record)
        if self.path is not None:
            _records.append(self.path / "metrics.jsonl", record)

    def metrics(self) -> list[dict[str, Any]]:
        """All records so far, in order; lines that cannot be read are passed over (see ``unread``)."""
        return _records.read(self.path / "metrics.jsonl", _is_metric)[0] if self.path else list(self._history)

    def forget_after(self, step: int) -> None:
        """Drop the records after ``step``, and a line that a kill cut short: resuming writes them again."""
        if self.path:
            _records.keep(self.path / "metrics.jsonl", _is_metric, lambda record: record["step"] <= step)

    def add_result(self, result: dict[str, Any]) -> None:
        """Append one evaluation to ``results.jsonl``."""
        if self.path is not None:
            _records.append(self.path / "results.jsonl", result)

    def results(self) -> list[dict[str, Any]]:
        """All evaluations so far, in order; lines that cannot be read are passed over (see ``unread``)."""
        return _records.read(self.path / "results.jsonl", _is_result)[0] if self.path else []

    def unread(self) -> dict[str, int]:
        """How many lines of each file are damaged, and passed over; files without any are left out."""
        kinds = {"metrics.jsonl": _is_metric, "results.jsonl": _is_result} if self.path else {}
        found = {name: _records.read((self.path or Path()) / name, is_one)[1] for name, is_one in kinds.items()}
        return {name: count for name, count in found.items() if count}

    # -- checkpoints ---------------------------------------------------------------------------------------------

    def save(self, checkpoint: Checkpoint, *, keep: int, best_step: int | None) -> Path | None:
        """Write a checkpoint; of the older ones, keep the last ``keep`` and the best."""
        return (
            None if self.path is None else _checkpoints.save(self._folder, checkpoint, keep=keep, best_step=best_step)
        )

    def steps(self) -> list[int]:
        """The outer steps at which there is a checkpoint, ascending."""
        return [] if self.path is None else _checkpoints.steps(self._folder)

    def load(self, step: int | None = None) -> Checkpoint:
        """The checkpoint at ``step`` (None: the last).

        Raises:
            RunError: there is none, or it is damaged, or cannot be read.
        """
        steps = self.steps()
        if not steps or (step is not None and step not in steps):
            raise RunError(f"{self.path} has no checkpoint{'' if step is None else f' of step {step}'}: {steps=}.")
        try:
            return _checkpoints.load(self._folder, steps[-1] if step is None else step)
        except RemovedError:  # by a training that goes on, which has written a later one before
            if step is not None or steps == self.steps():
                raise
        return self.load()

    def best_step(self) -> int | None:
        """The step of the best validation score so far (without validation: of the last checkpoint)."""
        steps = self.steps()
        if not steps:
            return None
        last = self.load()
        best = last.rest.get("best_step")
        return best if best in self.steps() else last.step

    def clean(self) -> None:
        """Remove what writers that were killed have left; for who trains here (see ``locked``)."""
        if self.path is not None:
            remove_unfinished(self.path)
            _checkpoints.clean(self._folder)

    @property
    def _folder(self) -> Path:
        assert self.path is not None, "a run in memory has no checkpoints"
        return self.path / "checkpoints"

    # -- what was trained ----------------------------------------------------------------------------------------

    def learner(self, step: int | None = None) -> MetaLearner:
        """The learner as trained (None: with the best checkpoint's weights), in evaluation mode.

        Where it was trained in this program it may have any parts; else it is built as the run folder says. One with
        parts of your own (a network that is not quickstudy's) you build, and ``run.load_into(learner)`` puts the
        weights in.

        Raises:
            RunError: it cannot be built as the configuration says, or the weights do not fit.
            UsageError: it has parts that only the program that trained it can build.
        """
        return self.trained(step)[0]

    def trained(self, step: int | None = None) -> tuple[MetaLearner, int]:
        """The learner as ``learner`` gives it, and the outer step of its weights."""
        if self.path is None and self.trained_here is not None and step is None:  # there is none but the last
            return copy.deepcopy(self.trained_here).eval(), self.metrics()[-1]["step"]
        checkpoint = self._best() if step is None else self.load(step)
        learner: MetaLearner = (
            self.built("learner", weights=checkpoint.learner)
            if self.trained_here is None
            else copy.deepcopy(self.trained_here)
        )
        load_weights(learner, checkpoint.learner)
        return learner.eval(), checkpoint.step

    def load_into(self, learner: MetaLearner, step: int | None = None) -> int:
        """Put the weights of a checkpoint (None: the best) into a learner of the same build; gives its step.

        Raises:
            RunError: the weights do not fit.
        """
        checkpoint = self._best() if step is None else self.load(step)
        load_weights(learner, checkpoint.learner)
        learner.eval()
        return checkpoint.step

    def test(self, tasks: Any, *, checkpoint: int | None = None, split: str | None = None, **options: Any) -> Result:
        """Test the trained learner, and keep the result, a few tasks and pictures for the report.

        Args:
            tasks: unseen ones, ``qs.tasks.Glyphs(split="test")`` say.
            checkpoint: the outer step of the weights (None: the best).
            split: what the result is called in the report (None: as the tasks call it, else ``test``).
            options: of ``evaluate``: n_tasks, seed, steps, device, workers, precision, progress.

        Raises:
            UsageError: as ``evaluate`` and ``learner``.
            RunError: as ``learner``; the folder cannot be written.
        """
        learner, step = self.trained(checkpoint)
        return above("report.tested:test")(self, learner, tasks, checkpoint=step, split=split, **options)

    def report(self, *others: "Run", out: str | Path | None = None) -> Path:
        """Write the page about this run, or about it and others compared.

        Args:
            others: runs beside this one.
            out: the HTML file (None: ``report.html`` in the run's folder; needed where there are others).

        Returns:
            Where the page is.

        Raises:
            UsageError: nowhere to write to.
            RunError: the page cannot be written.
        """
        return above("report.page:write_report")([self, *others], None if out is None else Path(out))

    def _best(self) -> Checkpoint:
        wanted = self.best_step()
        try:
            return self.load(wanted)
        except RemovedError:  # by a training that goes on, which has found a better one
            if wanted == self.best_step():
                raise
        return self._best()

    def tasks(self, **changes: Any) -> Any:
        """The task distribution of the run, with some options changed (``split="test"``, say).

        Raises:
            RunError: classes that the run was trained on are in another split now (see ``check_classes``).
        """
        tasks = self.built("tasks", **changes)
        check_classes(self.config, tasks, str(self.path or "this run"))
        return tasks

    def built(self, part: str, *, weights: Mapping[str, Tensor] | None = None, **changes: Any) -> Any:
        """What the configuration says of ``learner``, ``tasks`` or ``validation`` (see ``upgrade.built``).

        Raises:
            RunError: it says nothing that can be built.
            UsageError: an unknown change, or parts that only the program that made the run can build.
            DataError: the data are not at hand.
        """
        file = (self.path or Path("this run")) / "config.json"
        if self.config.get(part) is None:
            raise RunError(f"{file} says nothing of the {part}; was it written by quickstudy?")
        return built(self.config[part], FORMAT, file, weights=weights, **changes)


def load_weights(learner: MetaLearner, weights: Mapping[str, Tensor]) -> None:
    """``load_state_dict`` whose failure is a ``RunError`` that says what does not fit."""
    try:
        learner.load_state_dict(weights)
    except (RuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"the checkpoint does not fit this learner: {error}") from error


def _is_metric(record: Mapping[str, Any]) -> bool:
    return type(record.get("step")) is int


def _is_result(record: Mapping[str, Any]) -> bool:
    return True
