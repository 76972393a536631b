"""What a recipe is asked for, and what it gives."""

import pytest

import quickstudy as qs
from quickstudy.recipes import Recipe, Setting


def setting(**changes):
    return Setting(**{"preset": "quick", "tasks": "omniglot", "kind": "classification", **changes})


def test_setting():
    assert [setting(preset=p).pick(demo=1, quick=2, paper=3) for p in ("demo", "quick", "paper")] == [1, 2, 3]
    assert (setting().paper, setting(preset="paper").paper) == (False, True)
    assert (setting().regression, setting(kind="regression").regression) == (False, True)
    with pytest.raises(qs.UsageError, match="no preset 'abacus': demo, quick, paper"):
        setting(preset="abacus")


def test_more_ways_only_where_there_are_many_classes():
    assert [setting(way=way).train_way(20) for way in (5, 30)] == [20, 30]
    assert setting(tasks="folder").train_way(20) is None


def test_a_changed_recipe():
    nets = {"mlp": {"hidden": (4,)}}
    first = Recipe(learner={"inner_lr": 0.1}, net_options=nets, training={"steps": 5}, test_steps=3)
    second = first.but(learner={"inner_steps": 2}, training={"steps": 7, "clip": 1.0}, test_steps=None, net="mlp")
    assert second == Recipe(
        learner={"inner_lr": 0.1, "inner_steps": 2},
        net="mlp",
        net_options=nets,
        training={"steps": 7, "clip": 1.0},
    )
    assert first.training == {"steps": 5}
    with pytest.raises(TypeError, match="abacus"):
        first.but(abacus=1)
