"""Which recipe is whose. A learner from elsewhere may bring one, or gets one that says little.

A class that is not in the table brings its own in an attribute ``recipe``: a :class:`Recipe`, or a static method from a
:class:`Setting` to one.
"""

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from quickstudy import registry
from quickstudy.core.errors import UsageError
from quickstudy.recipes import agents, generative, gradient, in_context, memory, metric, optimizers
from quickstudy.recipes.folder import on_folder
from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting

RECIPES: Mapping[str, MakeRecipe] = {
    **gradient.RECIPES,
    **metric.RECIPES,
    **in_context.RECIPES,
    **memory.RECIPES,
    **generative.RECIPES,
    **optimizers.RECIPES,
    **agents.RECIPES,
}
USUAL_TASKS: Mapping[str, str] = {
    "classification": "omniglot",
    "regression": "sinusoids",
    "sequence": "copy",
    "problems": "problems",
    "environments": "navigation",
    "games": "games",
}
"""By kind: what a learner of that kind is trained on, if nothing else is said."""
OTHERWISE = Recipe(training={"steps": 1000})
"""Of a learner that brings none: steps enough to see whether it learns; else its own and ``train``'s defaults."""


def usual_tasks(learner: str) -> str:
    """What a learner is trained on, if nothing else is said.

    Raises:
        UsageError: an unknown learner, or one of a kind of tasks that quickstudy has none of.
    """
    learns: tuple[str, ...] = registry.load("learners", learner).learns
    usual = agents.TRAINED_ON.get(learner) or next((USUAL_TASKS[kind] for kind in learns if kind in USUAL_TASKS), None)
    if usual is None:
        raise UsageError(f"{learner} is for {' and '.join(learns)}: say which tasks.")
    return usual


def recipe_of(learner: str, setting: Setting) -> Recipe:
    """The recipe of a learner, by name, on the setting's tasks.

    Tasks from elsewhere need not have all the options of ours: it is then without those that they lack.

    Raises:
        UsageError: an unknown name, tasks that the learner cannot learn, or a recipe that is none.
    """
    cls, tasks = registry.load("learners", learner), registry.load("tasks", setting.tasks)
    if setting.kind not in cls.learns:
        raise UsageError(f"{learner} is for {' and '.join(cls.learns)}; {setting.tasks}: {setting.kind}.")
    found: Any = RECIPES.get(learner, getattr(cls, "recipe", OTHERWISE))
    recipe = found(setting) if callable(found) else found
    if not isinstance(recipe, Recipe):
        raise UsageError(f"{cls.__name__}.recipe must give a quickstudy.recipes.Recipe, got {type(recipe).__name__}.")
    if setting.tasks == "folder":
        return on_folder(recipe, setting, cls)
    return recipe if tasks.__module__.startswith("quickstudy.") else _fitting(recipe, tasks)


def _fitting(recipe: Recipe, tasks: type[Any]) -> Recipe:
    has = inspect.signature(tasks).parameters
    few = {name: value for name, value in recipe.tasks.items() if name in has}
    return replace(recipe, tasks=few, test_query=recipe.test_query if "query" in has else None)
