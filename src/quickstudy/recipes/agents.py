"""Recipes of the learners that act: in environments, and in games against each other."""

from collections.abc import Mapping

from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting


def maml_rl(s: Setting) -> Recipe:
    """``paper``: section 5.3 and the authors' code. ``quick``, ``demo``: ours, for two cores."""
    paper = Recipe(
        training={
            "steps": s.pick(demo=100, quick=200, paper=500),
            "meta_batch": 40,
            "optimizer": "sgd",
            "meta_lr": 1.0,
            "log_every": 5,
            "validate_every": 50,
            "validation_tasks": 50,
        },
        test_steps=3,
    )
    if s.paper:
        return paper
    # In the few steps that there are, a gradient of less variance gets further (docs/learners/maml-rl.md).
    return paper.but(learner={"credit": "own"}, training={"meta_batch": 20, "checkpoint_every": 50}, test_tasks=200)


def rl2(s: Setting) -> Recipe:
    """Ours (the paper's numbers of trials are for TRPO)."""
    bandits = s.tasks == "bandits"  # ten steps to a trial
    many, longer = s.pick(demo=500, quick=6000, paper=20000), s.pick(demo=100, quick=1500, paper=10000)
    steps = s.steps or (many if bandits else longer)
    recipe = Recipe(
        learner={"hidden_size": 256 if s.paper else 64, "gae_lambda": 0.9},
        training={
            "steps": steps,
            "meta_batch": 512 if bandits else 64 if s.tasks == "mdps" else 128,
            "meta_lr": 3e-3,
            "schedule": "linear",
            "clip": 1.0,
            "log_every": 20,
            "validate_every": max(100, steps // 10),
            "validation_tasks": 500,
        },
    )
    if s.tasks in ("bandits", "mdps"):
        return recipe.but(learner={"entropy_coef": 0.03, "discount": 0.95, "curriculum": steps // 2})
    return recipe.but(learner={"episodes": 2})


def lola(s: Setting) -> Recipe:
    """All ours. ``paper`` only learns for longer."""
    return Recipe(
        learner={"lookahead_lr": 1.0},
        training={
            "steps": s.pick(demo=100, quick=200, paper=1000),
            "meta_batch": 1,
            "optimizer": "sgd",
            "meta_lr": 1.0,
            "log_every": 5,
            "validate_every": 50,
            "checkpoint_every": 100,
        },
    )


def meta_agent(s: Setting) -> Recipe:
    """All ours."""
    return Recipe(
        training={
            "steps": s.pick(demo=200, quick=1000, paper=5000),
            "meta_batch": 64,
            "meta_lr": 0.02,
            "schedule": "cosine",
            "clip": 1.0,
            "log_every": 20,
            "validate_every": 100,
        }
    )


RECIPES: Mapping[str, MakeRecipe] = {"maml-rl": maml_rl, "rl2": rl2, "lola": lola, "meta-agent": meta_agent}
TRAINED_ON: Mapping[str, str] = {"rl2": "bandits"}
"""Tasks by learner, where others suit better than the usual ones of their kind."""
