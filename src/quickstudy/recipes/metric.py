"""Recipes of the learners that compare embeddings. They train on more classes a task than they are tested on."""

from collections.abc import Mapping
from typing import Any

from quickstudy.recipes import photographs
from quickstudy.recipes.recipe import MANY_CLASSES, MakeRecipe, Recipe, Setting, filters


def protonet(s: Setting) -> Recipe:
    """``paper``: section 3.1, training 60-way. ``quick``, ``demo``: ours, for two CPU cores."""
    if s.paper and s.photos:
        return photographs.protonet(s)
    if s.paper:
        return Recipe(
            tasks={"query": 5},
            net_options=filters(64),
            training={"steps": 20000, "meta_batch": 1, "meta_lr": 4e-3, "schedule": "cosine"},
            train_way=s.train_way(60),
            test_query=15,
        )
    return quick(s)


def quick(s: Setting) -> Recipe:
    """What two CPU cores have the time for."""
    return Recipe(
        tasks={"query": 5},
        net_options=filters(s.channels),
        training={"steps": 600 if s.preset == "demo" else 3000, "meta_batch": 2, "meta_lr": 2e-3, "schedule": "cosine"},
        train_way=s.train_way(20),
        test_query=15,
    )


def matching(s: Setting) -> Recipe:
    """``paper``: section 4.1.1, its steps ours. ``quick``, ``demo``: ours, for two CPU cores."""
    if s.paper:
        return Recipe(
            tasks={"query": 5},
            net_options=filters(64),
            training={"steps": 50000, "meta_batch": 16, "schedule": "cosine"},
            test_query=15,
        )
    return quick(s).but(learner={"scale": 10.0})


def maps(count: int) -> dict[str, dict[str, Any]]:
    """So many channels, and maps that are large enough to be compared."""
    return {**filters(count), "conv4": {"filters": count, "pools": 2}}


def relation(s: Setting) -> Recipe:
    """``paper``: section 4.1 and its code. ``quick``, ``demo``: ours, for two CPU cores."""
    if s.paper:
        one = s.shot == 1
        return Recipe(
            learner={"pool": "sum"},
            tasks={"query": (19 if one else 15) if s.way <= 5 else (10 if one else 5)},
            net_options=maps(64),
            training={"steps": 1000000, "meta_batch": 1, "clip": 0.5},
            test_query=15,
        )
    return quick(s).but(
        learner={"relation_filters": 32},
        tasks={"query": 10},
        net_options=maps(s.channels),
        training={"clip": 10.0},
        # Of many ways' pairs nearly all are wrong ones, and training is slow to start; tests may have any way.
        train_way=5 if s.tasks in MANY_CLASSES else None,
    )


def r2d2(s: Setting) -> Recipe:
    """``paper``: the authors' Omniglot run with 64 filters (60-way). ``quick``, ``demo``: ours."""
    if s.paper and s.photos:
        return photographs.r2d2(s)
    if s.paper:
        return Recipe(
            tasks={"query": max(1, 10 - s.shot)},
            net_options=filters(64),
            training={"steps": 20000, "meta_batch": 1, "meta_lr": 5e-3, "schedule": "cosine"},
            train_way=s.train_way(60),
            test_query=15,
        )
    return quick(s)


RECIPES: Mapping[str, MakeRecipe] = {"protonet": protonet, "matching": matching, "relation": relation, "r2d2": r2d2}
