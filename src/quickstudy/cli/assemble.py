"""What ``quickstudy train`` joins: the options of a choice, training, the final test, and what the report shows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quickstudy import registry
from quickstudy.cli.options import Group, make_options, options_of
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.recipes import Choice, held_out
from quickstudy.report.tested import keep_test
from quickstudy.training import distributed
from quickstudy.training.evaluation import BLOCK, called, evaluate
from quickstudy.training.loop import train
from quickstudy.training.results import Result
from quickstudy.training.runs import Run, holds_run, locked


@dataclass(frozen=True)
class CommandOptions:
    """Options of ``train`` that mean a little more, or less, on the command line.

    Args:
        out: the run folder (None: ``runs/LEARNER-TASKS-sSEED``).
        seed: of the initial weights, the tasks and dropout.
        optimizer: of the outer steps: ``adam``, ``adam0`` (without momentum, for adversaries), ``adamw`` or ``sgd``.
        schedule: of the outer step size, over all steps: ``constant``, ``linear`` or ``cosine`` to zero.
    """

    out: str | None = None
    seed: int = 0
    optimizer: str = "adam"
    schedule: str = "constant"


def options_class(choice: Choice, way: int = 5, shot: int = 1, **known: Any) -> type[Any]:
    """A dataclass of every option there is for a choice; the preset's values for this way and shot as defaults.

    Args:
        choice: what is trained on what.
        way: classes per task.
        shot: support examples per class.
        known: what else the recipe may know (``Choice.known``).

    Raises:
        UsageError: an unknown name or preset, tasks that the learner cannot learn, or a recipe that sets what nobody
            takes.
    """
    groups = [group.options for group in option_groups(choice).values()]
    return make_options("Options", groups, choice.defaults(way, shot, **known))


def option_groups(choice: Choice) -> dict[str, Group]:
    """Every option there is for a choice, by what it is an option of.

    Raises:
        UsageError: an unknown name.
    """
    found: dict[str, Group] = {}
    for name, (target, leave_out) in choice.groups().items():
        title = {"model": "net", "training tasks": "training"}.get(name, name)
        own = options_of(CommandOptions) if name == "training" else {}  # some are wider in Python
        before = found[title].options if title in found else {}
        found[title] = Group(_about(choice, title), {**before, **options_of(target, leave_out=leave_out), **own})
    return found


def _about(choice: Choice, title: str) -> str:
    if title in ("training", "test"):
        return {"training": "How it is trained.", "test": "The final test, on the test split."}[title]
    if title == "rule":
        return "The update rule that is learned."
    kind = "nets" if title == "net" else "learners" if title == "learner" else "tasks"
    name: str = getattr(choice, title)
    return f"{name}: {registry.line(kind, name)}"


def train_and_test(
    learner: MetaLearner,
    tasks: Any,
    training: Mapping[str, Any],
    test: dict[str, Any],
    *,
    out: str,
    say: Callable[[str], None],
    resume: bool = False,
    command: str | None = None,
) -> tuple[Run, Result] | None:
    """Train (or go on), test the best checkpoint on the test split, and keep a few test tasks for the report.

    Under ``torchrun`` every process comes here; all but the first get None. A finished run that has been trained and
    tested already stays as it is; its result is the one of before.
    """
    run, step, tested = None, 0, list[Result]()
    distributed.start(distributed.pick_device(training.get("device", "auto")))
    first = distributed.rank() == 0
    # Built before the training: what cannot be tested is said at once, not after hours.
    validation, test_tasks = held_out(tasks, test)
    distributed.check_enough(test["test_tasks"], BLOCK, "test_tasks")
    if test["test_steps"] is not None and learner.adapt_steps is None:
        raise UsageError(f"{type(learner).__name__} adapts in one go; leave out test_steps.")
    options: dict[str, Any] = {**training, "out": out, "resume": resume}
    with locked(Path(out) if first else None):
        before = Run.open(out).steps() if resume and first else []
        # Not of a run that is finished, or in the way: ``train`` says so.
        finished = before[-1:] >= [training["steps"]] if resume else holds_run(Path(out))
        if first and (not finished or training.get("overwrite")):
            what = called(tasks, self_play=learner.self_play)
            say(f"training on {what}; BatchNorm: {learner.bn_mode}; run folder: {out}")
        train(learner, tasks, validation=validation, notes={"test": test, "command": command}, **options)
        if first:  # the others may be on machines that do not have the folder
            run = Run.open(out)
            step = run.load_into(learner)
            if before[-1:] == run.steps()[-1:]:
                tested = [found for record in run.results() if (found := _own_test(record, step, test)) is not None]
        if distributed.from_first(bool(tested) and (Path(out) / "report.html").exists()):
            if run is not None:
                say(
                    f"{out} is finished: its {before[-1]} outer steps are trained and tested, so nothing is added. "
                    f"`quickstudy evaluate {out}` tests it on other tasks, `quickstudy resume {out} --steps N` "
                    f"trains on."
                )
                return run, tested[-1]
            return None
        distributed.same_start_(learner)
        if first:
            say(f"testing on {test['test_tasks']} tasks")
        result = evaluate(
            learner, test_tasks, n_tasks=test["test_tasks"], steps=test["test_steps"], workers=training.get("workers")
        )
        if run is None:
            return None
        try:
            kept = None if tested else result
            keep_test(run, learner, test_tasks, kept, checkpoint=step, steps=test["test_steps"])
        except RunError:
            say(f"{result}; not all of it could be saved.")
            raise
    return run, result


def _own_test(record: Mapping[str, Any], step: int, test: Mapping[str, Any]) -> Result | None:
    """The result, if it is that of the run's own test, of the checkpoint of a step; None, too, if it is damaged."""
    wanted = {"split": "test", "checkpoint": step, "n_tasks": test["test_tasks"], "seed": 0}
    try:
        return Result.from_json(record) if all(record.get(name) == value for name, value in wanted.items()) else None
    except RunError:
        return None
