"""From names and options to a learner and its tasks."""

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.recipes import Choice, split_options
from quickstudy.recipes import choice as choices
from quickstudy.rules import UpdateRule

TINY = {"way": 3, "size": 16, "filters": 3, "query": 2}


def of_images():
    return [name for name in registry.LEARNERS if "classification" in registry.load("learners", name).learns]


def test_another_net_keeps_the_rest_of_a_preset():
    """The learner's and the training's parts; nothing of another net's."""
    usual, choice = (Choice("relation", "glyphs", net, "quick").options() for net in ("conv4", "mlp"))
    assert (usual["filters"], usual["pools"]) == (32, 2)
    assert {name for name in usual if usual[name] != choice.get(name)} == {"filters", "padding", "pools", "features"}
    assert set(choice) - set(usual) == {"hidden"}


def test_another_net_is_built():
    choice = Choice("maml", "glyphs", "mlp", "quick")
    learner, _ = choice.build(choice.options({"way": 3, "size": 16, "hidden": (8,)}))
    assert (learner.model.in_features, learner.model.out_features, learner.model.hidden) == (256, 3, (8,))


def test_each_net_has_options_of_its_own():
    on_curves = {net: Choice("cnp", "sinusoids", net, "quick").options() for net in ("mlp", "conv4")}
    assert on_curves["mlp"]["hidden"] == (64, 64)
    assert "hidden" not in on_curves["conv4"]
    assert Choice("maml", "glyphs", "cell", "quick").options()["filters"] == 32


def test_required_options_stay_required():
    choice = Choice("maml", "folder", "conv4", "quick")
    with pytest.raises(qs.UsageError, match="maml on folder must be given root"):
        choice.options()
    assert choice.options({"root": "images"})["root"] == "images"


def test_an_unknown_option():
    with pytest.raises(qs.UsageError, match=r"maml on glyphs with mlp has no option filters; there are .*hidden"):
        Choice("maml", "glyphs", "mlp", "quick").options({"filters": 8})
    with pytest.raises(qs.UsageError, match=r"ntm on copy has no option filters or inner_lr; there are .*slots"):
        Choice.of("ntm").options({"inner_lr": 1, "filters": 8})


def test_what_follows_from_the_tasks_is_no_option():
    found = set(Choice("maml", "glyphs", "conv4", "quick").options())
    assert not {"split", "in_channels", "out_features", "loss", "resume", "learner", "tasks", "model"} & found
    assert "size" in found  # of the tasks; the net follows


@pytest.mark.parametrize("learner", of_images())
def test_build_fits_the_net_to_the_tasks(learner):
    choice = Choice(learner, "glyphs", "conv4", "quick")
    own = {"inner_lr": 0.123} if "inner_lr" in choice.options() else {}
    tiny = {name: value for name, value in TINY.items() if name in choice.options()}
    built, tasks = choice.build(choice.options({**tiny, **own, "train_way": None}))
    assert isinstance(built, registry.load("learners", learner))
    assert all(getattr(built, name) == value for name, value in own.items())
    assert callable(built.loss) or built.loss == "cross_entropy"
    if not choice.takes_net:
        return
    outputs = None if built.embeds else 3
    model = built.model
    assert (model.in_channels, model.out_features, model.size, model.filters) == (1, outputs, 16, 3)
    assert (tasks.split, tasks.way, tasks.size) == ("train", 3, 16)


def test_regression_gets_its_loss():
    choice = Choice("maml", "sinusoids", "mlp", "quick")
    built, tasks = choice.build(choice.options({"hidden": (8,)}))
    assert (built.loss, built.model.in_features, built.model.out_features) == ("mse", 1, 1)
    assert isinstance(tasks, qs.tasks.Sinusoids)


def test_tasks_that_cannot_be_learned():
    said = "protonet is for classification; sinusoids: regression"
    with pytest.raises(qs.UsageError, match=said):
        Choice.of("protonet", "sinusoids")
    with pytest.raises(qs.UsageError, match=said):
        Choice("protonet", "sinusoids", "mlp", "quick").options()
    with pytest.raises(qs.UsageError, match=said):
        Choice("protonet", "sinusoids", "mlp", "quick").build({})


def test_what_suits():
    assert Choice.of("maml") == Choice("maml", "omniglot", "conv4", "quick")
    assert Choice.of("maml", "sinusoids", preset="demo") == Choice("maml", "sinusoids", "mlp", "demo")
    assert Choice.of("incontext", "tabular").net == "flat"
    assert Choice.of("incontext", "tabular", "mlp").net == "mlp"
    assert [Choice.of(name).tasks for name in ("ntm", "lola", "maml-rl", "rl2")] == [
        "copy", "games", "navigation", "bandits"
    ]  # fmt: skip


def test_training_on_more_ways():
    """The training tasks have train_way classes; the way that was asked for is the test's."""
    choice = Choice("protonet", "glyphs", "conv4", "quick")
    assert choice.defaults(5)["train_way"] == 20
    assert choice.defaults(30)["train_way"] == 30
    given = choice.options({**TINY, "train_way": 7})
    _, tasks = choice.build(given)
    assert tasks.way == 7
    assert split_options(given)[1]["test_way"] == 3
    assert split_options(choice.options({"train_way": None}))[1]["test_way"] is None


def test_ways_that_a_head_does_not_have():
    choice = Choice("maml", "glyphs", "conv4", "quick")
    learner, tasks = choice.build(choice.options({**TINY, "train_way": 4}))  # the test uses three of the four outputs
    assert (learner.model.out_features, tasks.way) == (4, 4)
    with pytest.raises(qs.UsageError, match="train_way=2 is less than way=3, but maml trains one output per class"):
        choice.build(choice.options({**TINY, "train_way": 2}))
    own = Choice("snail", "glyphs", "conv4", "quick")
    with pytest.raises(qs.UsageError, match="but snail trains one output per class"):
        own.build(own.options({**TINY, "train_way": 2}))
    sines = Choice("maml", "sinusoids", "mlp", "quick")
    with pytest.raises(qs.UsageError, match="sinusoids are no classes; leave out train_way"):
        sines.build(sines.options({"train_way": 2}))


def test_initial_weights_come_from_the_seed_and_from_nothing_else():
    choice = Choice("maml", "sinusoids", "mlp", "quick")
    found = []
    for seed in (0, 0, 1):
        before = torch.get_rng_state()
        built, _ = choice.build(choice.options({"hidden": (8,), "seed": seed}))
        assert torch.equal(torch.get_rng_state(), before)
        torch.rand(3)  # what else happens in the process is of no account
        found.append(torch.cat([p.detach().flatten() for p in built.parameters()]))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("abacus", "glyphs", "conv4", "quick"), "'abacus' among the learners: .*maml, .*reptile"),
        (("maml", "abacus", "conv4", "quick"), "'abacus' among the tasks: .*glyphs"),
        (("maml", "glyphs", "abacus", "quick"), "'abacus' among the nets: cell, conv4, flat, inknet, mlp"),
        (("maml", "glyphs", "conv4", "abacus"), "no preset 'abacus': demo, quick, paper"),
    ],
)
def test_unknown_names(names, text):
    with pytest.raises(qs.UsageError, match=text):
        Choice(*names).options()


def test_split_options():
    training, test = split_options(Choice("maml", "sinusoids", "mlp", "quick").options({"steps": 7, "test_tasks": 9}))
    assert test == {"test_tasks": 9, "test_steps": 10, "test_query": None, "test_way": None}
    assert training["steps"] == 7
    assert {"meta_batch", "meta_lr", "seed", "out", "device", "workers"} <= set(training)
    assert not {"inner_lr", "hidden", "shot", "test_tasks"} & set(training)


def test_the_options_of_a_learned_optimizer_are_its_rules_too():
    choice = Choice.of("mlp-optimizer")
    built, _ = choice.build(choice.options({"hidden_size": 2, "lr": 0.5, "truncation": 3}))
    assert registry.name_of(built) == ("learners", "mlp-optimizer")
    assert (built.rule.hidden_size, built.rule.lr, built.truncation) == (2, 0.5, 3)
    assert not {"rule", "betas", "bank"} & set(choice.options())
    assert Choice.of("lstm-optimizer").options()["hidden_size"] == 20


class Ruled(qs.MAML):
    """Somebody's learner of an update rule; the name says which."""

    def __init__(self, model: torch.nn.Module, *, rule: UpdateRule, inner_steps: int = 1) -> None:
        super().__init__(model, inner_steps=inner_steps)
        self.rule = rule


class Worded(qs.MAML):
    """A rule that is a word: no part."""

    def __init__(self, model: torch.nn.Module, *, rule: str, inner_steps: int = 1) -> None:
        super().__init__(model, inner_steps=inner_steps)
        self.rule = rule


@pytest.mark.parametrize("cls", [Ruled, Worded])
def test_the_name_of_a_learner_may_fix_its_rule(cls, monkeypatch):
    """It is built as the net is, of options by name."""
    monkeypatch.setattr(choices, "fixed_options", lambda name: {"rule": "adam"})
    load = registry.load
    monkeypatch.setattr(registry, "load", lambda kind, name: cls if name == "mine" else load(kind, name))
    choice = Choice.of("mine", "sinusoids")
    assert "rule" not in choice.options()
    if cls is Worded:
        built, _ = choice.build(choice.options())
        assert built.rule == "adam"
        return
    assert choice.parts() == {"model": ("nets", "mlp"), "rule": ("rules", "adam")}
    built, _ = choice.build(choice.options({"betas": (0.5, 0.9), "hidden": (8,)}))
    assert isinstance(built.rule, qs.rules.Adam)
    assert (built.rule.betas, built.model.hidden) == ((0.5, 0.9), (8,))
