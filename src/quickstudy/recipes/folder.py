"""What changes where the images are a person's own: few of each class, and a person who waits.

The recipes of the learners are for data sets of thousands of classes. On a folder (``quickstudy train LEARNER --tasks
folder``) a task has at most as many examples of a class as there are, BatchNorm goes by the support set, so that an
answer does not depend on what else is asked, and training ends in minutes.
"""

from dataclasses import replace
from inspect import signature
from typing import Any

from quickstudy.recipes.recipe import Recipe, Setting

STEPS, VALIDATION_TASKS, TEST_TASKS = 1000, 50, 300
"""At most, but with the preset ``paper``."""
QUERY, TEST_QUERY = 5, 15
"""Per class, if there are as many."""


def on_folder(recipe: Recipe, s: Setting, learner: type[Any]) -> Recipe:
    """A learner's recipe, made to fit."""
    rest = max(1, s.room - s.shot) if s.room else TEST_QUERY
    query = min(rest, recipe.tasks.get("query", QUERY))
    own = recipe.but(
        learner={"bn": "support"} if "bn" in signature(learner).parameters else {},
        tasks={"query": query},
    )
    own = replace(own, test_query=min(rest, recipe.test_query or TEST_QUERY))
    if s.paper:
        return own
    steps = min(STEPS, int(recipe.training["steps"]))
    training = {"steps": steps, "validate_every": max(50, steps // 10), "validation_tasks": VALIDATION_TASKS}
    return replace(own.but(training=training), test_tasks=TEST_TASKS)
