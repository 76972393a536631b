"""Recipes of the learned optimizers. All are ours, for two cores (the papers' train for GPU- or TPU-months)."""

from collections.abc import Mapping

from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting


def network(s: Setting) -> Recipe:
    """A rule that is a network. ``paper``: with the long unrolls of the papers."""
    steps = s.steps or s.pick(demo=100, quick=400, paper=20000)
    horizon = s.pick(demo=(10, 40), quick=(20, 100), paper=(20, 1000))
    return Recipe(
        learner={
            "curriculum": 0 if s.preset == "demo" else steps // 2,
            "eval_steps": horizon[1],  # beyond what it was trained for, a rule may diverge
        },
        tasks={"horizon": horizon},
        training={
            "steps": steps,
            "meta_batch": 8,
            "meta_lr": 3e-3,
            "schedule": "cosine",
            "clip": 1.0,
            "validation_tasks": 50,
            "validate_every": max(50, steps // 10),
            "log_every": 10,
        },
        test_tasks=100,
    )


def adam(s: Setting) -> Recipe:
    """A rule of a few numbers bears larger outer steps."""
    return network(s).but(training={"meta_lr": 0.03})


RECIPES: Mapping[str, MakeRecipe] = {
    "adam-optimizer": adam,
    "lstm-optimizer": network,
    "mlp-optimizer": network,
    "hyper-optimizer": network,
}
