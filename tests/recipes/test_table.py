"""Whose recipe is which: every learner has one that fits; those from elsewhere bring theirs, or get a plain one."""

import inspect
import sys
import types

import pytest

import quickstudy as qs
from quickstudy import registry
from quickstudy.recipes import PRESETS, Choice, Recipe
from quickstudy.recipes.table import RECIPES, USUAL_TASKS, usual_tasks


class Mine(qs.MAML):
    """Somebody's learner."""


class Shapes(qs.tasks.Glyphs):
    """Somebody's tasks, of as many queries as they like."""

    def __init__(self, *, split: str = "train", way: int = 5, shot: int = 1, size: int = 28) -> None:
        super().__init__(split=split, way=way, shot=shot, query=4, size=size)


@pytest.fixture
def elsewhere(monkeypatch):
    """``mine`` and ``shapes``, which are no classes of quickstudy."""
    module = types.ModuleType("elsewhere")
    for kind, name, cls in (("learners", "mine", Mine), ("tasks", "shapes", Shapes)):
        copied = type(cls.__name__, (cls,), {"__module__": "elsewhere"})
        setattr(module, cls.__name__, copied)
        monkeypatch.setitem(registry.KINDS[kind], name, f"elsewhere:{cls.__name__}")
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    return module


def test_every_learner_has_a_recipe():
    assert set(RECIPES) == set(registry.LEARNERS.own)


def test_every_kind_has_its_usual_tasks():
    assert {registry.load("tasks", name).kind: name for name in USUAL_TASKS.values()} == USUAL_TASKS
    assert {registry.load("tasks", name).kind for name in registry.TASKS} == set(USUAL_TASKS)


def test_every_recipe_fits_all_tasks_that_its_learner_learns():
    """Each of its options is one, of the class that it is said for, whatever the net."""
    checked = set()
    for learner in registry.LEARNERS.own:
        for tasks in registry.TASKS.own:
            if registry.load("tasks", tasks).kind not in registry.load("learners", learner).learns:
                continue
            for preset in PRESETS:
                for way, shot in ((5, 1), (5, 5), (20, 1)):
                    choice = Choice.of(learner, tasks, preset=preset)
                    assert choice.defaults(way, shot)["steps"] >= 100
            checked.add(learner)
    assert checked == set(registry.LEARNERS.own)


@pytest.mark.parametrize(
    ("part", "said", "text"),
    [
        (
            "learner",
            {"inner_rate": 1},
            "of maml for glyphs sets inner_rate=1, but MAML has no option inner_rate",
        ),
        ("learner", {"loss": "mse"}, "loss='mse', but MAML has no option loss"),
        ("learner", {"filters": 3}, "filters=3, but MAML has no option filters"),
        ("tasks", {"querry": 2}, "querry=2, but Glyphs has no option querry"),
        ("tasks", {"split": "val"}, "split='val', but Glyphs has no option split"),
        ("training", {"step": 2}, "step=2, but train has no option step"),
        ("training", {"resume": True}, "resume=True, but train has no option resume"),
        ("net_options", {"conv4": {"filtres": 2}}, "filtres=2, but Conv4 has no option filtres"),
        ("net_options", {"mlp": {"filters": 2}}, "filters=2, but MLP has no option filters"),
        ("net_options", {"abacus": {}}, "there is no 'abacus' among the nets"),
    ],
)
@pytest.mark.parametrize("net", ["conv4", "mlp", "resnet12"])
def test_an_unknown_key_is_an_error_with_any_net(part, said, text, net, monkeypatch):
    recipe = Recipe(training={"steps": 1}).but(**{part: said})
    monkeypatch.setitem(RECIPES, "maml", lambda setting: recipe)
    with pytest.raises(qs.UsageError, match=text):
        Choice("maml", "glyphs", net, "quick").options()


def test_a_learner_without_a_recipe(elsewhere):
    choice = Choice.of("mine")
    assert choice == Choice("mine", "omniglot", "conv4", "quick")
    own = {
        name: p.default for name, p in inspect.signature(qs.MAML).parameters.items() if name not in ("model", "loss")
    }
    its = {name: p.default for name, p in inspect.signature(qs.train).parameters.items() if name in choice.options()}
    found = choice.options()
    assert {name: found[name] for name in {**own, **its}} == {**own, **its, "steps": 1000}
    assert (found["filters"], found["train_way"], found["test_tasks"]) == (64, None, 1000)


def test_a_learner_that_brings_its_recipe(elsewhere, monkeypatch):
    elsewhere.Mine.recipe = Recipe(learner={"inner_steps": 7}, net="mlp", training={"steps": 12})
    choice = Choice.of("mine", "glyphs")
    assert (choice.net, choice.options()["inner_steps"], choice.options()["steps"]) == ("mlp", 7, 12)
    elsewhere.Mine.recipe = staticmethod(lambda s: Recipe(training={"steps": s.pick(demo=1, quick=2, paper=s.way)}))
    assert [Choice.of("mine", preset=p).options(way=9)["steps"] for p in PRESETS] == [1, 2, 9]
    elsewhere.Mine.recipe = staticmethod(lambda s: {"steps": 3})
    with pytest.raises(qs.UsageError, match=r"Mine.recipe must give a quickstudy.recipes.Recipe, got dict"):
        Choice.of("mine")


def test_a_learner_of_a_kind_of_its_own(elsewhere):
    elsewhere.Mine.learns = ("riddles", "regression")
    assert usual_tasks("mine") == "sinusoids"
    elsewhere.Mine.learns = ("riddles",)
    with pytest.raises(qs.UsageError, match="mine is for riddles: say which tasks"):
        usual_tasks("mine")


def test_tasks_from_elsewhere_need_not_have_all_options(elsewhere):
    found = Choice.of("maml", "shapes").options()
    assert "query" not in found
    assert (found["test_query"], found["test_steps"], found["inner_lr"], found["filters"]) == (None, 3, 0.4, 32)
