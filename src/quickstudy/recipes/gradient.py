"""Recipes of the learners that adapt by gradient steps."""

from collections.abc import Mapping

from quickstudy.recipes import photographs
from quickstudy.recipes.recipe import MakeRecipe, Recipe, Setting, filters

COSINE = {"schedule": "cosine", "clip": 10.0}


def quick_steps(s: Setting) -> int:
    """Outer steps on images that two CPU cores have the time for: five shots take longer each, and need fewer."""
    return 800 if s.preset == "demo" else 4000 if s.shot == 1 else 2500


def maml(s: Setting) -> Recipe:
    """``paper``: section 5 and appendix A. ``quick``, ``demo``: ours, for two CPU cores."""
    if s.photos:
        return photographs.maml(s, quick_steps(s))
    if s.regression:
        return Recipe(
            learner={"inner_lr": 0.01, "inner_steps": 1},
            training={"steps": s.pick(demo=3000, quick=15000, paper=70000), "meta_batch": 25},
            test_steps=10,
        )
    few = s.way <= 5
    paper = Recipe(
        learner={"inner_lr": 0.4 if few else 0.1, "inner_steps": 1 if few else 5},
        tasks={"query": s.shot},
        net_options=filters(64),
        training={"steps": 60000, "meta_batch": 32 if few else 16},
        test_query=15,
        test_steps=3 if few else 5,
    )
    if s.paper:
        return paper
    outer = {"steps": quick_steps(s), "meta_batch": 8, "meta_lr": 3e-3, **COSINE}
    return paper.but(tasks={"query": 5}, net_options=filters(s.channels), training=outer)


def fomaml(s: Setting) -> Recipe:
    """MAML's. ``quick``, ``demo``: with more and smaller inner steps."""
    recipe = maml(s)
    if s.regression or s.paper:
        return recipe
    return recipe.but(learner={"inner_lr": 0.1, "inner_steps": 5}, test_steps=5)


def anil(s: Setting) -> Recipe:
    """MAML's, with inner steps for the head to get somewhere."""
    if s.regression:
        return maml(s).but(learner={"inner_steps": 5})
    return maml(s).but(learner={"inner_lr": 0.4, "inner_steps": 5}, test_steps=5)


def boil(s: Setting) -> Recipe:
    """MAML's, with the larger inner step that a fixed head allows."""
    return maml(s) if s.regression else maml(s).but(learner={"inner_lr": 0.5, "inner_steps": 1})


def meta_sgd(s: Setting) -> Recipe:
    """MAML's, with one inner step. ``paper``: one in the test, too."""
    recipe = maml(s).but(learner={"inner_steps": 1})
    return recipe.but(test_steps=1) if s.paper else recipe


def protomaml(s: Setting) -> Recipe:
    """MAML's, with smaller inner steps, as the start is better. ``paper``: first order."""
    if s.paper:
        return maml(s).but(learner={"inner_lr": 0.01, "inner_steps": 5, "order": 1}, test_steps=5)
    return maml(s).but(learner={"inner_lr": 0.1, "inner_steps": 1}, test_steps=3)


def mamlpp(s: Setting) -> Recipe:
    """``paper``: the authors' settings for Omniglot. ``quick``, ``demo``: ours, for two cores."""
    if s.regression:  # none in the paper
        steps = s.steps or s.pick(demo=2000, quick=10000, paper=70000)
        return Recipe(
            learner={"inner_lr": 0.01, "inner_steps": 3, "multi_step": steps // 10},
            training={"steps": steps, "meta_batch": 25, **COSINE},
        )
    if s.paper:
        return Recipe(
            learner={"inner_lr": 0.1, "inner_steps": 5, "multi_step": (s.steps or 50000) // 10},
            tasks={"query": 1},
            net_options=filters(64),
            training={"steps": 50000, "meta_batch": 8, "meta_lr": 1e-3, "schedule": "cosine"},
            test_query=15,
        )
    steps = s.steps or (500 if s.preset == "demo" else 2000 if s.shot == 1 else 1000)
    return Recipe(
        learner={"inner_lr": 0.2, "inner_steps": 3, "multi_step": steps // 4},
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={"steps": steps, "meta_batch": 8, "meta_lr": 3e-3, **COSINE},
        test_query=15,
    )


def cavia(s: Setting) -> Recipe:
    """``paper``: sections 5.1 and 5.3. ``quick``, ``demo``: ours, for two CPU cores."""
    if s.regression:
        return Recipe(
            learner={"context": 5, "inner_lr": 1.0, "inner_steps": 1},
            tasks={"shot": 10, "query": 10},
            training={"steps": s.pick(demo=3000, quick=15000, paper=50000), "meta_batch": 25},
            test_query=100,
        )
    if s.paper:
        return Recipe(
            learner={"context": 100, "inner_lr": 1.0, "inner_steps": 2},
            tasks={"query": 15},
            net_options=filters(64),
            training={"steps": 60000, "meta_batch": 16},
            test_query=15,
        )
    return Recipe(
        # The context's gradients are small at first; larger steps learn sooner.
        learner={"context": 100, "inner_lr": 20.0, "inner_steps": 3},
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={"steps": quick_steps(s), "meta_batch": 8, "meta_lr": 3e-3, **COSINE},
        test_query=15,
    )


def imaml(s: Setting) -> Recipe:
    """``paper``: section 4, the inner step size ours. ``quick``, ``demo``: ours, for two cores."""
    if s.regression:  # none in the paper
        return Recipe(
            learner={"inner_lr": 0.01, "inner_steps": 10, "lam": 0.5, "cg_steps": 5, "cg_damping": 2.0},
            tasks={"shot": 10, "query": 10},
            training={"steps": s.pick(demo=2000, quick=10000, paper=70000), "meta_batch": 25, "clip": 10.0},
        )
    if s.paper:
        few = s.way <= 5
        steps = 16 if few else 25
        return Recipe(
            learner={"inner_lr": 0.1, "inner_steps": steps, "lam": 2.0, "cg_steps": 5, "cg_damping": 1.0},
            tasks={"query": s.shot},
            net_options=filters(64),
            training={"steps": 60000, "meta_batch": 32 if few else 16},
            test_query=15,
        )
    steps = 500 if s.preset == "demo" else 3000 if s.shot == 1 else 1500
    return Recipe(
        learner={"inner_lr": 0.2, "inner_steps": 8, "lam": 0.5, "cg_steps": 2, "cg_damping": 5.0},
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={"steps": steps, "meta_batch": 8, "meta_lr": 3e-3, **COSINE},
        test_query=15,
    )


def reptile(s: Setting) -> Recipe:
    """``paper``: section 6.1 and appendix A. ``quick``, ``demo``: ours, for two CPU cores."""
    # 50 steps of adaptation make validating dear: do it seldom.
    outer = {"optimizer": "sgd", "schedule": "linear", "meta_batch": 5, "validate_every": 1500}
    if s.regression:
        return Recipe(
            learner={"inner_optimizer": "sgd", "inner_lr": 0.02, "inner_steps": 32, "inner_batch": 10},
            tasks={"shot": 10, "query": 40},
            training={**outer, "steps": s.pick(demo=3000, quick=10000, paper=30000), "meta_lr": 0.1},
        )
    few = s.way <= 5
    paper = Recipe(
        learner={
            "inner_lr": 1e-3 if few else 5e-4,
            "inner_steps": 5 if few else 10,
            "inner_batch": 10 if few else 20,
            "eval_steps": 50,
            "eval_batch": 5 if few and s.shot == 1 else 10,
        },
        # 10 training shots (15 for 5-shot): ``query`` is what the support set lacks of them.
        tasks={"query": (10 if s.shot == 1 else 15) - s.shot},
        net_options=filters(64),
        training={**outer, "steps": 100000 if few else 200000, "meta_lr": 1.0},
        test_query=15,
    )
    if s.paper:
        return paper
    return paper.but(
        # Plain gradient steps get as far as Adam's when there is little time, and adapt in fewer.
        learner={"inner_optimizer": "sgd", "inner_lr": 0.1, "eval_steps": 20},
        net_options=filters(s.channels),
        training={"steps": 1000 if s.preset == "demo" else 5000, "validation_tasks": 100},
    )


def lstm_meta(s: Setting) -> Recipe:
    """``paper``: section 5.1, its outer steps ours. ``quick``, ``demo``: ours, for a CPU."""
    steps = s.pick(demo=600, quick=4000, paper=50000)
    outer = {"steps": steps, "schedule": "cosine", "clip": 0.25 if s.paper else 10.0}
    if s.regression:
        return Recipe(
            learner={"hidden_size": 20 if s.paper else 8, "inner_steps": 5, "step_bias": (-4.0, -3.0)},
            training={**outer, "meta_batch": 25},
        )
    if s.paper:
        return Recipe(
            learner={"inner_steps": 12 if s.shot == 1 else 5},
            tasks={"query": 15},
            net_options=filters(32),
            training={**outer, "meta_batch": 1},
            test_query=15,
        )
    return Recipe(
        # Larger first steps get somewhere in fewer of them.
        learner={"inner_steps": 3, "hidden_size": 8, "step_bias": (-1.0, 0.0), "keep_bias": (6.0, 7.0)},
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={**outer, "meta_batch": 4, "meta_lr": 3e-3},
        test_query=15,
    )


def meta_nas(s: Setting) -> Recipe:
    """All ours, for a CPU. ``paper`` only searches for longer, with more channels."""
    steps = s.steps or s.pick(demo=200, quick=1000, paper=10000)
    return Recipe(
        learner={"anneal": steps, "filters": 32 if s.paper else 16},
        tasks={"query": 5},
        training={"steps": steps, "meta_batch": 4, "meta_lr": 1e-2, **COSINE},
        test_query=15,
    )


RECIPES: Mapping[str, MakeRecipe] = {
    "maml": maml,
    "fomaml": fomaml,
    "anil": anil,
    "boil": boil,
    "meta-sgd": meta_sgd,
    "meta-curvature": maml,  # whose protocol the paper follows
    "mamlpp": mamlpp,
    "cavia": cavia,
    "imaml": imaml,
    "protomaml": protomaml,
    "reptile": reptile,
    "lstm-meta": lstm_meta,
    "meta-nas": meta_nas,
}
