"""Recipes of photographs in colour, where they are not those of characters."""

from quickstudy.recipes.recipe import Recipe, Setting, filters


def maml(s: Setting, quick_steps: int) -> Recipe:
    """``paper``: appendix A.2, with 64 filters in place of 32. ``quick``, ``demo``: ours."""
    paper = Recipe(
        learner={"inner_lr": 0.01, "inner_steps": 5},
        tasks={"query": 15},
        net_options=filters(64),
        training={"steps": 60000, "meta_batch": 4 if s.shot == 1 else 2},
        test_query=15,
        test_steps=10,
    )
    if s.paper:
        return paper
    outer = {"steps": quick_steps, "meta_batch": 4, "meta_lr": 1e-3, "schedule": "cosine", "clip": 10.0}
    return paper.but(learner={"inner_lr": 0.05, "inner_steps": 3}, training=outer, test_steps=5)


def protonet(s: Setting) -> Recipe:
    """``paper``: section 3.2, training 30-way (of 5 shots 20-way); its schedule ours."""
    return Recipe(
        tasks={"query": 15},
        net_options=filters(64),
        training={"steps": 20000, "meta_batch": 1, "schedule": "cosine"},
        train_way=s.train_way(30 if s.shot == 1 else 20),
        test_query=15,
    )


def r2d2(s: Setting) -> Recipe:
    """``paper``: 16-way, as the authors trained; shots as in the test, which they drew."""
    return protonet(s).but(training={"meta_lr": 5e-3}, train_way=s.train_way(16))
