"""Recipes of the learners with a memory."""

from collections.abc import Mapping

from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting, filters


def ntm(s: Setting) -> Recipe:
    """The network's sizes are the paper's in every preset, steps and step size ours."""
    quick, meta_lr = {"copy": (5000, 1e-3), "repeat-copy": (12000, 3e-3)}.get(s.tasks, (20000, 1e-3))
    return Recipe(
        training={
            "steps": s.pick(demo=3000, quick=quick, paper=50000),
            "meta_batch": 16,
            "meta_lr": meta_lr,
            "schedule": "cosine",
            "clip": 10.0,
            "validate_every": 1000,
            "validation_tasks": 100,
        }
    )


def mann(s: Setting) -> Recipe:
    """``paper``: section 4.2, with ``--net flat``; its steps ours. ``quick``, ``demo``: ours."""
    query = max(1, 10 - s.shot)
    if s.paper:
        size = {"size": 20} if s.tasks in ("omniglot", "glyphs") else {}
        outer = {"steps": 100000, "meta_batch": 16, "meta_lr": 1e-4, "clip": 10.0}
        return Recipe(tasks={"query": query, **size}, training=outer, test_query=15)
    steps = 600 if s.preset == "demo" else 3000
    return Recipe(
        learner={"sharpen": True},
        tasks={"query": query},
        net_options=filters(s.channels),
        training={"steps": steps, "meta_batch": 4, "meta_lr": 3e-3, "schedule": "cosine", "clip": 10.0},
        test_query=15,
    )


RECIPES: Mapping[str, MakeRecipe] = {"ntm": ntm, "mann": mann}
