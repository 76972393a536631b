"""From names and options to a learner and its tasks: what ``quickstudy train`` and ``quickstudy.preset`` set up.

Options come from the signatures of what was chosen (the learner, the tasks, the net, and ``train`` itself), so a new
learner brings its own. A preset is a set of defaults; what is given explicitly wins.
"""

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args, get_type_hints

from quickstudy import registry
from quickstudy.core.draws import seeded
from quickstudy.core.errors import QuickstudyError, UsageError
from quickstudy.core.learner import MetaLearner
from quickstudy.core.seeding import fold
from quickstudy.core.words import meant
from quickstudy.recipes.options import TestOptions, TrainingTaskOptions, matching
from quickstudy.recipes.recipe import Recipe, Setting
from quickstudy.recipes.table import recipe_of, usual_tasks
from quickstudy.rules import UpdateRule
from quickstudy.training.loop import train

# What follows from the tasks or from each other, and is therefore no option.
LEAVE_OUT: Mapping[str, Collection[str]] = {
    "tasks": ("split",),
    "nets": ("in_channels", "in_features", "out_features", "size"),
    "rules": (),
    "learners": ("loss", "in_features", "out_features", "x_shape"),
    "train": ("learner", "tasks", "validation", "resume", "progress", "notes"),
}
_WITHOUT = inspect.Parameter.empty


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
            UsageError: an unknown name or preset, or tasks that the learner cannot learn.
        """
        chosen = tasks or usual_tasks(learner)
        usual: str = getattr(registry.load("tasks", chosen), "default_net", "conv4")
        choice = Choice(learner, chosen, net or usual, preset or "quick")
        return choice if net else Choice(learner, chosen, choice.recipe().net or usual, choice.preset)

    @property
    def takes_net(self) -> bool:
        """Whether the learner is built around a network that can be chosen."""
        return "model" in inspect.signature(registry.load("learners", self.learner)).parameters

    def parts(self) -> dict[str, tuple[str, str]]:
        """What the learner is built around, chosen by name: ``{argument: (kind, name)}``.

        A network (``model``) is chosen; an update rule (``rule``) comes with the name of the learner.
        """
        found = {"model": ("nets", self.net)} if self.takes_net else {}
        rule = fixed_options(self.learner).get("rule")
        hint = get_type_hints(registry.load("learners", self.learner).__init__).get("rule") if rule else None
        if rule and UpdateRule in (hint, *get_args(hint)):  # else it is a word of the learner's own
            found["rule"] = ("rules", rule)
        return found

    def groups(self) -> dict[str, tuple[Callable[..., Any], Collection[str]]]:
        """Whose arguments are options, and which of them are none. Of several of one name the first one's counts."""
        learner, tasks = registry.load("learners", self.learner), registry.load("tasks", self.tasks)
        registry.load("nets", self.net)  # an unknown one is an error, needed or not
        parts = self.parts()
        return {
            "tasks": (tasks, LEAVE_OUT["tasks"]),
            **{argument: (registry.load(kind, name), LEAVE_OUT[kind]) for argument, (kind, name) in parts.items()},
            "learner": (learner, (*LEAVE_OUT["learners"], *parts, *fixed_options(self.learner))),
            "training": (train, LEAVE_OUT["train"]),
            "training tasks": (TrainingTaskOptions, ()),
            "test": (TestOptions, ()),
        }

    def inapplicable(self) -> dict[str, str]:
        """Options that mean nothing for these tasks or this learner, and why."""
        learner, tasks = registry.load("learners", self.learner), registry.load("tasks", self.tasks)
        has = inspect.signature(tasks).parameters
        found = {name: f"{self.tasks} has no {name.partition('_')[2]}" for name in ("train_way", "test_query")}
        found = {name: why for name, why in found.items() if name.partition("_")[2] not in has}
        in_one_go = learner.adapt_steps is MetaLearner.adapt_steps
        return {**found, **({"test_steps": f"{learner.__name__} adapts in one go"} if in_one_go else {})}

    def recipe(
        self, way: int = 5, shot: int = 1, *, steps: int | None = None, room: Mapping[str, int] | None = None
    ) -> Recipe:
        """The recipe of the learner on these tasks.

        Args:
            way: classes per task, where there are classes.
            shot: support examples per class.
            steps: outer steps, where they are asked for: what changes over the training follows them.
            room: what there is of the tasks (``room`` of this class).

        Raises:
            UsageError: an unknown name or preset, or tasks that the learner cannot learn.
        """
        kind: str = registry.load("tasks", self.tasks).kind
        has = room or {}
        way = min(way, max(2, has.get("way", way)))
        setting = Setting(
            preset=self.preset, tasks=self.tasks, kind=kind, way=way, shot=shot, steps=steps, room=has.get("examples")
        )
        recipe = recipe_of(self.learner, setting)
        return recipe.but(tasks={"way": way}) if "way" in has else recipe

    def room(self, given: Mapping[str, Any]) -> dict[str, int] | None:
        """How many classes and examples the tasks have, where they can say so before they are built (None: not)."""
        count: Any = getattr(registry.load("tasks", self.tasks), "room", None)
        if count is None:
            return None
        try:
            return count(**{name: value for name, value in matching(count, given).items() if value is not None})
        except (QuickstudyError, TypeError):  # what is wrong, or lacking, is said when they are built
            return None

    def defaults(self, way: int = 5, shot: int = 1, **known: Any) -> dict[str, Any]:
        """What the recipe sets for this way and shot (and what else ``recipe`` may know), by option.

        Raises:
            UsageError: as ``recipe``, or a recipe that sets what nobody takes.
        """
        recipe, groups = self.recipe(way, shot, **known), self.groups()
        of_nets = {net: (registry.load("nets", net), LEAVE_OUT["nets"]) for net in recipe.net_options}
        for target, said in (
            (groups["tasks"], recipe.tasks),
            (groups["learner"], recipe.learner),
            (groups["training"], recipe.training),
            *((of_nets[net], said) for net, said in recipe.net_options.items()),
        ):
            for name in set(said) - set(_arguments(*target)):
                raise UsageError(
                    f"the recipe of {self.learner} for {self.tasks} sets {name}={said[name]!r}, but "
                    f"{target[0].__name__} has no option {name}."
                )
        of_net = recipe.net_options.get(self.net, {}) if self.takes_net else {}
        rest = {f.name: getattr(recipe, f.name) for group in (TrainingTaskOptions, TestOptions) for f in fields(group)}
        return {**recipe.tasks, **of_net, **recipe.learner, **recipe.training, **rest}

    def known(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What else the recipe may know of what is given (see ``recipe``)."""
        return {"steps": given.get("steps"), "room": self.room(given)}

    def options(self, given: Mapping[str, Any] | None = None, *, way: int = 5, shot: int = 1) -> dict[str, Any]:
        """Every option: what is given, else what the recipe sets for this way and shot, else its own default.

        Raises:
            UsageError: as ``defaults``; an option that there is not, or one that must be given.
        """
        found: dict[str, Any] = {}
        for group in self.groups().values():
            found = {**_arguments(*group), **found}
        unknown = sorted(set(given or {}) - set(found))
        if unknown:
            net = f" with {self.net}" if self.takes_net else ""
            raise UsageError(
                f"{self.learner} on {self.tasks}{net} has no option {' or '.join(unknown)}; there are "
                f"{', '.join(sorted(found))}.{meant(unknown[0], found)}"
            )
        found |= {**self.defaults(way, shot, **self.known(given or {})), **(given or {})}
        missing = [name for name, value in found.items() if value is _WITHOUT]
        if missing:
            raise UsageError(f"{self.learner} on {self.tasks} must be given {' and '.join(missing)}.")
        return found

    def build(self, options: Mapping[str, Any]) -> tuple[MetaLearner, Any]:
        """The learner, its weights drawn from the seed, and its training tasks."""
        self.recipe()  # which says whether the learner can learn them
        learner_class, tasks_class = registry.load("learners", self.learner), registry.load("tasks", self.tasks)
        tasks = tasks_class(split="train", **matching(tasks_class, {**options, **self._training_shape(options)}))
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
        with seeded(fold(options["seed"], "init")):
            parts: dict[str, Any] = {}
            for argument, (kind, name) in self.parts().items():
                cls = registry.load(kind, name)
                parts[argument] = cls(**matching(cls, {**options, **(fitting if kind == "nets" else {})}))
            learner = learner_class(
                **{**matching(learner_class, {**options, **facts}), **fixed_options(self.learner), **parts}
            )
        return learner, tasks

    def _training_shape(self, options: Mapping[str, Any]) -> dict[str, int]:
        """What the shape of training tasks changes."""
        more = options.get("train_way")
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


def fixed_options(learner: str) -> Mapping[str, Any]:
    """What the name of a learner fixes of its class's options: several names may be of one class."""
    return registry.entry("learners", learner).options


def _arguments(target: Callable[..., Any], leave_out: Collection[str]) -> dict[str, Any]:
    """Options and their defaults (``Parameter.empty``: there is none)."""
    parameters = inspect.signature(target).parameters
    return {name: parameter.default for name, parameter in parameters.items() if name not in leave_out}
