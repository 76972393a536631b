"""Recipes of the learners that read the support examples as a set or a sequence. All but SNAIL's sizes are ours."""

from collections.abc import Mapping

from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting, filters

COSINE = {"schedule": "cosine", "clip": 10.0}


def images(s: Setting) -> Recipe:
    """What they share on images."""
    return Recipe(
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={
            "steps": s.pick(demo=600, quick=3000, paper=20000),
            "meta_batch": 2,
            "meta_lr": 2e-3,
            "schedule": "cosine",
        },
        train_way=s.train_way(20),
        test_query=15,
    )


def cnp(s: Setting) -> Recipe:
    """On images, what they share; on curves, wider networks and batches of fewer tasks than MAML's."""
    if not s.regression:
        return images(s)
    steps = s.pick(demo=2000, quick=10000, paper=100000)
    return Recipe(
        net_options={"mlp": {"hidden": (64, 64)}},
        training={"steps": steps, "meta_batch": 16, "meta_lr": 1e-3, **COSINE},
    )


def anp(s: Setting) -> Recipe:
    """The neural process's, with larger outer steps on curves. ``paper``: wider."""
    if not s.regression:
        return images(s)
    return cnp(s).but(learner={"width": 128 if s.paper else 64}, training={"meta_lr": 2e-3})


def incontext(s: Setting) -> Recipe:
    """``paper`` on ``tabular`` is how the shipped checkpoint was trained."""
    if s.tasks == "tabular":
        return Recipe(
            learner={"table": True, "whitened": 2},
            tasks={"way": 10, "shot": 20},
            net="flat",
            training={
                "steps": s.pick(demo=200, quick=1000, paper=5000),
                "meta_batch": 16,
                "meta_lr": 3e-3,
                "optimizer": "adamw",
                "schedule": "cosine",
                "clip": 1.0,
                "validation_tasks": 500,
            },
            test_tasks=500,
        )
    if s.regression:
        steps = s.pick(demo=2000, quick=8000, paper=50000)
        return Recipe(
            learner={"layers": 4}, training={"steps": steps, "meta_batch": 16, "schedule": "cosine", "clip": 1.0}
        )
    return images(s).but(learner={"layers": 2}, training={"clip": 1.0})


def snail(s: Setting) -> Recipe:
    """``paper``: the sizes of appendix C.1; its steps, and ``quick`` and ``demo``, are ours."""
    small = {} if s.paper else {"keys": (64, 128, 128), "values": (32, 64, 64), "tc_filters": 64}
    if s.regression:
        steps = s.pick(demo=3000, quick=15000, paper=70000)
        return Recipe(learner={"length": 11, **small}, training={"steps": steps, "meta_batch": 25, **COSINE})
    quick = {"meta_batch": 8, "meta_lr": 2e-3, **COSINE}
    return Recipe(
        learner={"length": s.way * s.shot + 1, **small},
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={
            "steps": s.pick(demo=1000, quick=5000, paper=50000),
            **({"meta_batch": 32, **COSINE} if s.paper else quick),
        },
        test_query=15,
    )


RECIPES: Mapping[str, MakeRecipe] = {"cnp": cnp, "anp": anp, "incontext": incontext, "snail": snail}
