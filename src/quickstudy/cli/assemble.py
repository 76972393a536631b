"""From names and options to a learner and its tasks: what ``quickstudy train`` sets up.

Options come from the signatures of what was chosen (the learner, the tasks, the net, and ``train`` itself), so a new
learner brings its own. A preset is a set of defaults; what is given explicitly wins.
"""

import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch

from quickstudy import registry
from quickstudy.cli.options import make_options, options_of
from quickstudy.cli.terminal import ProgressLine
from quickstudy.core.errors import UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.core.seeding import fold
from quickstudy.core.support_query import SupportQueryLearner
from quickstudy.report import make_pictures, save_examples
from quickstudy.training import distributed
from quickstudy.training.evaluation import Result, evaluate
from quickstudy.training.loop import train
from quickstudy.training.runs import Run

PRESETS = ("demo", "quick", "paper")

# What follows from the tasks, and is therefore no option.
_TASKS_LEAVE_OUT = ("split",)
_NET_LEAVE_OUT = ("in_channels", "in_features", "out_features", "size")
_LEARNER_LEAVE_OUT = ("loss", "in_features", "out_features", "x_shape")


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


@dataclass(frozen=True)
class TrainingTaskOptions:
    """How training tasks differ from those of validation and test.

    Args:
        train_way: classes per training task (None: as way); validation and test keep to way. More ways train features
            harder.
    """

    train_way: int | None = None


@dataclass(frozen=True)
class TestOptions:
    """How the trained learner is tested.

    Args:
        test_tasks: tasks of the final test, at least 2.
        test_steps: inner steps in the final test (None: the learner's own).
        test_query: query examples per class in the final test (None: as in training).
    """

    __test__ = False  # pytest: this is no test

    test_tasks: int = 1000
    test_steps: int | None = None
    test_query: int | None = None


@dataclass(frozen=True)
class Choice:
    """What is trained on what, and the names of its options.

    Args:
        learner: by name, as the others.
        tasks: what it is trained on.
        net: the network that it takes, if it takes one: its constructor then has an argument ``model``. A learner that
            makes its networks itself asks for what they must fit: ``in_features``, ``out_features``, ``x_shape``.
        preset: whose defaults are taken.
    """

    learner: str
    tasks: str
    net: str
    preset: str

    @staticmethod
    def of(learner: str, tasks: str | None = None, net: str | None = None, preset: str | None = None) -> "Choice":
        """The choice with what suits the learner and the tasks, where nothing else is said.

        Raises:
            UsageError: an unknown name.
        """
        cls = registry.load("learners", learner)
        chosen: str = tasks or cls.default_tasks
        usual: str = getattr(registry.load("tasks", chosen), "default_net", "conv4")
        usual = cls.suits.get(chosen, usual)
        return Choice(learner, chosen, net or usual, preset or "quick")

    @property
    def takes_net(self) -> bool:
        """Whether the learner is built around a network that can be chosen."""
        return "model" in inspect.signature(registry.load("learners", self.learner)).parameters

    def options(self, way: int = 5, shot: int = 1) -> type[Any]:
        """A dataclass of every option there is for this choice; the preset's values for this way and shot as defaults.

        Raises:
            UsageError: an unknown name or preset.
        """
        if self.preset not in PRESETS:
            raise UsageError(f"there is no preset {self.preset!r}: {', '.join(PRESETS)}.")
        learner, tasks, net = self._classes()
        groups = [
            options_of(tasks, leave_out=_TASKS_LEAVE_OUT),
            options_of(net, leave_out=_NET_LEAVE_OUT) if self.takes_net else {},
            options_of(learner, leave_out=_LEARNER_LEAVE_OUT),
            options_of(CommandOptions),
            options_of(train, leave_out=("resume",)),
            options_of(TrainingTaskOptions),
            options_of(TestOptions),
        ]
        recipe = getattr(learner, "recipe", None)
        defaults = {} if recipe is None else recipe(self.preset, self.tasks, way, shot)
        known = set().union(*groups)
        if self.net != "conv4":
            defaults = {name: value for name, value in defaults.items() if name in known}
        return make_options("Options", groups, defaults)

    def build(self, options: Mapping[str, Any]) -> tuple[MetaLearner, Any]:
        """The learner, its weights drawn from the seed, and its training tasks."""
        learner_class, tasks_class, net_class = self._classes()
        tasks = tasks_class(split="train", **_matching(tasks_class, {**options, **self._training_shape(options)}))
        if tasks.kind not in learner_class.learns:
            raise UsageError(f"{self.learner} is for {' and '.join(learner_class.learns)}; {self.tasks}: {tasks.kind}.")
        shape: tuple[int, ...] = tasks.x_shape
        fitting = {
            "in_channels": shape[0],
            "in_features": math.prod(shape),
            "out_features": None if learner_class.embeds else tasks.outputs,
            "size": shape[-1],
        }
        facts = {
            "loss": learner_class.learns[tasks.kind],
            "in_features": math.prod(shape),
            "out_features": tasks.outputs,
            "x_shape": shape,
        }
        with torch.random.fork_rng([]):
            torch.manual_seed(fold(options["seed"], "init"))
            net = {"model": net_class(**_matching(net_class, {**options, **fitting}))} if self.takes_net else {}
            learner = learner_class(**net, **_matching(learner_class, {**options, **facts}))
        return learner, tasks

    def _training_shape(self, options: Mapping[str, Any]) -> dict[str, int]:
        """What the shape of training tasks changes."""
        more = options["train_way"]
        if more is None:
            return {}
        if "way" not in options:
            raise UsageError(f"{self.tasks} are no classes; leave out train_way.")
        if more < options["way"] and not registry.load("learners", self.learner).any_way:
            raise UsageError(
                f"train_way={more} is less than way={options['way']}, but {self.learner} trains one output per class; "
                f"use train_way >= way, or leave it out."
            )
        return {"way": more}

    def _classes(self) -> tuple[type[Any], type[Any], type[Any]]:
        kinds = (("learners", self.learner), ("tasks", self.tasks), ("nets", self.net))
        learner, tasks, net = (registry.load(kind, name) for kind, name in kinds)
        return learner, tasks, net


def _matching(target: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in inspect.signature(target).parameters if name in options}


def split_options(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What ``train`` takes, and what the final test takes: its options, and ``test_way`` where training has another."""
    training = {name: options[name] for name in inspect.signature(train).parameters if name in options}
    test = {field.name: options[field.name] for field in fields(TestOptions)}
    return training, {**test, "test_way": None if options["train_way"] is None else options["way"]}


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

    Under ``torchrun`` every process comes here; all but the first get None.
    """
    first = int(os.environ.get("RANK", "0")) == 0
    described = registry.describe(tasks)
    # Built before the training: what cannot be tested is said at once, not after hours.
    # (A run may be older than test_way.)
    way = {} if test.get("test_way") is None else {"way": test["test_way"]}
    query = {} if test["test_query"] is None else {"query": test["test_query"]}
    held_out = registry.build(described, split="test", **way, **query)
    if test["test_tasks"] < 2 or (test["test_steps"] or 0) < 0:
        raise UsageError(
            f"test_tasks must be >= 2 and test_steps >= 0, got {test['test_tasks']} and {test['test_steps']}."
        )
    if test["test_steps"] is not None and learner.adapt_steps is None:
        raise UsageError(f"{type(learner).__name__} adapts in one go; leave out test_steps.")
    line = ProgressLine()
    if first:
        say(f"training on {tasks.describe()}; BatchNorm: {learner.bn_mode}; run folder: {out}")
    options: dict[str, Any] = {**training, "out": out, "resume": resume}
    try:
        train(
            learner,
            tasks,
            validation=registry.build(described, split="val", **way),
            progress=line if first else None,
            notes={"test": test, "command": command},
            **options,
        )
    finally:
        line.close()
    distributed.sum_([torch.zeros(1)])  # wait until the first process has written the last checkpoint
    if first:
        say(f"testing on {test['test_tasks']} tasks")
    run = Run.open(out)
    step = run.load_into(learner)
    result = evaluate(
        learner, held_out, n_tasks=test["test_tasks"], steps=test["test_steps"], workers=training.get("workers")
    )
    if not first:
        return None
    run.add_result({**result.to_json(), "split": "test", "checkpoint": step})
    if isinstance(learner, SupportQueryLearner):
        save_examples(run, learner, held_out, steps=test["test_steps"])
    make_pictures(run, learner, held_out)
    return run, result
