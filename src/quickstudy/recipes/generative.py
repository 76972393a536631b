"""Recipes of the learners that generate solvers, tasks or examples. All are ours."""

from collections.abc import Mapping

from quickstudy.recipes.gradient import COSINE, maml, quick_steps
from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting, filters


def hypernet(s: Setting) -> Recipe:
    """``paper`` only learns for longer; on images from more tasks at once, with more channels."""
    if s.regression:
        return Recipe(
            learner={"inner_lr": 0.001},  # what is generated lies where curvature is large
            training={
                "steps": s.pick(demo=2000, quick=10000, paper=70000),
                "meta_batch": 25,
                "meta_lr": 1e-3,
                **COSINE,
            },
        )
    outer = {"steps": 60000, "meta_batch": 16} if s.paper else {"steps": quick_steps(s), "meta_batch": 8}
    return Recipe(
        learner={"inner_lr": 0.1},
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={**outer, "meta_lr": 2e-3, **COSINE},
        test_query=15,
    )


def solver_gan(s: Setting) -> Recipe:
    """Curves are learned from 1 to 10 points."""
    if s.regression:
        real = {"real_steps": 10, "real_lr": 0.02}
        return hypernet(s).but(
            learner={"draws": 20, "train_draws": 4, "adversarial": 1.0, **real},
            tasks={"shot": (1, 10)} if s.tasks == "sinusoids" else {},
        )
    return hypernet(s).but(learner={"real_lr": 0.1, **({"chunk": 4} if s.paper else {})})


def task_gan(s: Setting) -> Recipe:
    """Adam without momentum: with it the classes become few."""
    steps = s.pick(demo=600, quick=3000, paper=30000)
    return Recipe(
        tasks={"query": 3},
        training={"steps": steps, "meta_batch": 8, "meta_lr": 5e-4, "optimizer": "adam0"},
    )


def metagan(s: Setting) -> Recipe:
    """MAML's. A relation network asks for others (see the page of this learner).

    ``quick``, ``demo``: with less weight on real or fake, which else keeps short trainings from the classes.
    """
    return maml(s) if s.paper else maml(s).but(learner={"adversarial": 0.1})


RECIPES: Mapping[str, MakeRecipe] = {
    "hypernet": hypernet,
    "solver-gan": solver_gan,
    "task-gan": task_gan,
    "metagan": metagan,
}
