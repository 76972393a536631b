"""``quickstudy evaluate``: its options are its own, and those of the tasks that the run was trained on."""

from dataclasses import dataclass
from inspect import Parameter, signature
from json import dumps
from pathlib import Path
from typing import Annotated, Any

from tyro import conf

from quickstudy import registry
from quickstudy.cli.options import Group, options_of, parse_groups
from quickstudy.cli.terminal import result_text, say, tell
from quickstudy.cli.trained import threads, trained_learner
from quickstudy.core.entry import summary
from quickstudy.core.errors import QuickstudyError, RunError, UsageError
from quickstudy.core.files import write_atomic
from quickstudy.core.options import check_options
from quickstudy.core.precision import Precision
from quickstudy.report import make_pictures
from quickstudy.training.evaluation import evaluate as score
from quickstudy.training.runs import Run, holds_run


@dataclass(frozen=True)
class Options:
    """Evaluate's own.

    Args:
        n_tasks: tasks to test on, at least 2.
        seed: of the tasks.
        split: train, val, trainval or test.
        steps: inner steps (None: as in the run's own test).
        checkpoint: best, last, or an outer step.
        device: auto (a GPU if there is one), cpu, cuda, ...
        workers: threads on a CPU (None: as many as torch may use).
        out: a file for the score of each task, as CSV (None: none is written).
        precision: of the derivatives of inner steps: float32, bf16 or fp16.
        json: print the result as JSON.
    """

    n_tasks: int = 1000
    seed: int = 0
    split: str = "test"
    steps: int | None = None
    checkpoint: str = "best"
    device: str = "auto"
    workers: int | None = None
    out: str | None = None
    precision: Precision = "float32"
    json: bool = False


def evaluate(argv: list[str]) -> None:
    """Test a trained run on unseen tasks, of another shape if wanted.

    Args:
        argv: the run folder, and options; which there are depends on the run's tasks.
    """
    run = next((Run.open(word) for word in argv if not word.startswith("-") and holds_run(Path(word))), None)
    place: Any = Annotated[str, conf.Positional, conf.arg(help="the run folder.", metavar="RUN")]
    groups = {"evaluate": Group("", {"run": (place, Parameter.empty), **options_of(Options)})}
    cls, described, usual = _tasks_of(run)
    if cls is not None:
        groups["tasks"] = Group(f"As in the run's own test: {summary(cls)}", options_of(cls, leave_out=("split",)))
    said = parse_groups(
        groups,
        usual,
        argv,
        prog="quickstudy evaluate",
        description=(
            "Test a trained run on unseen tasks, of another shape if wanted.\n\nThe result is added to the run's "
            "results.jsonl. Whatever the run's tasks have can be changed (--way, --shot and --query, where there are "
            "classes); `quickstudy evaluate RUN --help` lists it."
        ),
        others=run is None,  # a folder that holds no run is what is wrong then, and not an option of its tasks
    )
    found = Run.open(said["run"])
    own = Options(**{option: said[option] for option in signature(Options).parameters})
    changed = {name: said[name] for name, value in described.items() if said[name] != value}
    tasks = found.tasks(split=own.split, **changed)
    learner, step = trained_learner(found, own.checkpoint, own.device)
    with threads(own.workers):
        result = score(learner, tasks, n_tasks=own.n_tasks, seed=own.seed, steps=own.steps, precision=own.precision)
    text = dumps(result.to_json(), indent=2, ensure_ascii=False) if own.json else result_text(result)
    say(text)  # first: the folder may be read-only
    if own.out is not None:
        write_atomic(Path(own.out), result.to_csv().encode(), anywhere=True)
        tell(f"written: {own.out}")
    try:
        found.add_result({**result.to_json(), "split": own.split, "checkpoint": step})
        make_pictures(found, learner, tasks)
    except RunError as error:
        tell(f"the result above, or its pictures, could not be saved: {error}")


def _tasks_of(run: Run | None) -> tuple[type[Any] | None, dict[str, Any], dict[str, Any]]:
    """The class of a run's tasks (None: not to be had), their options, and those of the run's own test."""
    described, test = (run.config.get("tasks"), run.config.get("test") or {}) if run else (None, {})
    if not isinstance(described, dict) or not isinstance(described.get("options"), dict):
        return None, {}, {}
    try:
        cls = registry.load(*registry.named_in(described))
    except QuickstudyError:  # building them says so
        return None, {}, {}
    has = options_of(cls, leave_out=("split",))
    options = {
        n: _plain(value) for n, value in described["options"].items() if n in has and _fits(cls, n, _plain(value))
    }
    of_test = {"way": test.get("test_way"), "query": test.get("test_query")}
    own = {name: value for name, value in of_test.items() if value is not None and _fits(cls, name, value)}
    steps = test.get("test_steps")
    return cls, options, {**options, **own, **({"steps": steps} if isinstance(steps, int) else {})}


def _fits(cls: type[Any], name: str, value: Any) -> bool:
    """Whether an option can have a value, which may be anybody's; building the tasks says what is wrong with it."""
    if name not in signature(cls).parameters or not isinstance(value, bool | int | float | str | tuple | None):
        return False
    try:
        check_options(cls.__init__, {name: value}, {})
    except UsageError:
        return False
    return True


def _plain(value: Any) -> Any:
    """A value out of JSON as the constructor has it."""
    return tuple(map(_plain, value)) if isinstance(value, list) else value
