"""Every registered learner keeps the contract, with every net and BatchNorm mode it is offered with."""

import inspect
import itertools
import math
from functools import partial

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.testing import check_learner

# The meta-gradient of these is by design not the derivative of their meta-loss (imaml: exact only where solved; of
# policies: an estimate of it; lola: the rule's direction).
NOT_THE_DERIVATIVE = {
    "reptile", "fomaml", "imaml", "lstm-meta", "solver-gan", "task-gan", "metagan", "meta-nas",
    "maml-rl", "rl2", "lola",
}  # fmt: skip
# The steps of an answer are read one after the other.
IN_SEQUENCE = {"ntm"}
EXAMPLES = ("classification", "regression")
OTHERS = {
    "sequence": [lambda: qs.tasks.Copy(bits=3, length=(1, 4)), lambda: qs.tasks.RepeatCopy(bits=3, length=(1, 3))],
    "problems": [partial(qs.tasks.Problems, families=("mlp",), horizon=(3, 3), examples=16)],
    "environments": [
        lambda: qs.tasks.Navigation(horizon=5),
        lambda: qs.tasks.Bandits(arms=3),
        lambda: qs.tasks.TabularMDPs(states=4, actions=2, horizon=3),
    ],
    "games": [qs.tasks.IteratedGames],
}
"""Tasks that are neither classes nor values, by kind."""
# Optimizers: no cuts, and through the inner gradients, so that the derivative is the derivative.
SMALL = {
    "hidden": 4, "hidden_size": 4, "slots": 6, "slot_width": 3, "width": 3, "pairs": 4, "inner_steps": 2,
    "eval_steps": 2, "episodes": 3,
}  # fmt: skip
OPTIONS = {
    "maml-rl": {"hidden": (8,)},
    "meta-nas": {"cells": 1, "filters": 3},
    "solver-gan": {"width": 8, "critic_width": 8, "draws": 2, "train_draws": 2},
} | {name: {"order": 2, "truncation": 10, "pairs": 1} for name in registry.LEARNERS if name.endswith("-optimizer")}


def build(name, tasks, **options):
    """A learner that fits the tasks, with those of the options that it takes; other parameters keep their defaults."""
    cls = registry.load("learners", name)
    shape = tasks.x_shape
    facts = {"in_features": math.prod(shape), "out_features": tasks.outputs, "x_shape": shape}
    facts["loss"] = cls.learns[tasks.kind]
    torch.manual_seed(0)
    outputs = None if cls.embeds else tasks.outputs
    takes = {*inspect.signature(cls).parameters}
    if "rule" in (fixed := registry.entry("learners", name).options):
        takes |= {*inspect.signature(registry.load("rules", fixed["rule"])).parameters}
    if "model" in takes:
        images = len(shape) == 3
        facts["model"] = (
            conv2(outputs) if images else qs.nets.MLP(in_features=shape[0], out_features=outputs, hidden=(8,))
        )
    return registry.make("learners", name, **{o: v for o, v in {**facts, **options}.items() if o in takes})


def conv2(outputs=3):
    """Two of Conv4's four blocks: half the time, and the same kinds of layers."""
    head = [] if outputs is None else [nn.Linear(48, outputs)]
    net = nn.Sequential(qs.nets.ConvBlock(1, 3), qs.nets.ConvBlock(3, 3), nn.Flatten(), *head)
    net.feature_shape = (48,)
    return net


def conv4(outputs=3):
    return qs.nets.Conv4(filters=3, size=16, out_features=outputs)


def glyphs(shot=1):
    return qs.tasks.Glyphs(way=3, shot=shot, query=2, size=16)


CLASSIFY, REGRESS = (
    [name for name in registry.LEARNERS if kind in registry.load("learners", name).learns] for kind in EXAMPLES
)
OF_OTHERS = [
    (name, make)
    for name in registry.LEARNERS
    for kind in registry.load("learners", name).learns
    for make in OTHERS.get(kind, ())
]


def test_every_registered_learner_is_checked():
    assert {*CLASSIFY, *REGRESS, *(name for name, _ in OF_OTHERS)} == set(registry.LEARNERS.own)


@pytest.mark.parametrize("bn", ["transductive", "support"])
@pytest.mark.parametrize("name", CLASSIFY)
def test_images(name, bn):
    learner = build(name, glyphs(), inner_lr=0.05, inner_steps=2, bn=bn, **OPTIONS.get(name, {}))
    check_learner(learner, glyphs(), others=[glyphs(shot=3)], exact_gradient=name not in NOT_THE_DERIVATIVE)


@pytest.mark.parametrize("name", REGRESS)
def test_regression(name):
    sinusoids = qs.tasks.Sinusoids(shot=4, query=3)
    learner = build(name, sinusoids, inner_lr=0.01)
    exact = name not in NOT_THE_DERIVATIVE
    check_learner(learner, sinusoids, others=[qs.tasks.Sinusoids(shot=7, query=2)], exact_gradient=exact)


@pytest.mark.parametrize(("name", "make"), OF_OTHERS)
def test_sequences_problems_environments_and_games(name, make):
    tasks = make()
    check_learner(
        build(name, tasks, **{**SMALL, **OPTIONS.get(name, {})}),
        tasks,
        exact_gradient=name not in NOT_THE_DERIVATIVE,
        queries_alone=name not in IN_SEQUENCE,
    )


@pytest.mark.parametrize("outer", ["gradient", "reptile"])
def test_other_outer_steps_of_a_policy_are_means_over_tasks(outer):
    tasks = qs.tasks.Navigation(horizon=5)
    check_learner(build("maml-rl", tasks, hidden=(8,), episodes=3, outer=outer), tasks, exact_gradient=False)


@pytest.mark.parametrize("rule", ["naive", "lookahead"])
def test_other_rules_of_self_play(rule):
    games = qs.tasks.IteratedGames()
    check_learner(build("lola", games, pairs=4, rule=rule), games, exact_gradient=False)


@pytest.mark.parametrize("name", [n for n in CLASSIFY if registry.load("learners", n).embeds])
def test_more_classes_than_in_training(name):
    """What compares features has no output per class; what has them says so."""
    learner, more = build(name, glyphs()), qs.tasks.Glyphs(way=6, query=2, size=16)
    if not learner.any_way:
        with pytest.raises(qs.UsageError, match="out_features=3"):
            qs.evaluate(learner, more, n_tasks=2)
        return
    assert qs.evaluate(learner, more, n_tasks=2).mean >= 0


@pytest.mark.parametrize("execution", ["loop", "vmap"])
def test_first_order(execution):
    learner = qs.MAML(conv4(), inner_lr=0.1, inner_steps=2, order=1, bn="support", execution=execution)
    check_learner(learner, glyphs(), exact_gradient=False)


def test_running_statistics_of_a_pretrained_model():
    model = conv4()
    model(torch.rand(32, 1, 16, 16))  # one pass in training mode estimates them
    check_learner(qs.MAML(model, inner_lr=0.1, bn="running"), glyphs())


def test_the_check_finds_what_is_wrong():
    class Leaky(nn.Module):
        """Counts its calls where no copy of it reaches, and lets it show."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(256, 3)

        def forward(self, x):
            return self.linear(x.flatten(1)) * next(calls)

    calls = itertools.count(1)

    with pytest.raises(AssertionError):
        check_learner(qs.MAML(Leaky(), execution="loop"), glyphs())
    with pytest.raises(AssertionError, match="not the derivative"):
        check_learner(qs.MAML(conv4(), inner_lr=0.5, inner_steps=3, order=1), glyphs())


class Peeks(qs.learners.MetaLearner):
    """Of games: what a game is worth depends on the other games of the batch, in one of the things that are asked."""

    def __init__(self, where):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))
        self.where = where

    def worth(self, batch, where):
        found = self.w * batch.seat
        return found * batch.seat.mean() if where == self.where else found

    def adapt(self, support):
        return lambda x: x * self.worth(support, "solver")[:, None, None]

    def adapt_path(self, support, steps):
        return iter([self.adapt(support)] * (2 if self.where == "path" else 1))

    def meta_loss(self, batch):
        if self.where == "batch":
            batch.seat.mul_(0.5)
        loss = self.worth(batch, "loss").mean()
        return loss, {"loss": loss.detach()}

    def score_tasks(self, batch, at):
        found = self.worth(batch, "score")
        return torch.stack([found, found])[:, None] if self.where != "shape" else found

    def score_name(self, batch):
        return "worth"


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("score", "scores depend on the batch's other tasks"),
        ("loss", "not the mean over the tasks'"),
        ("batch", "changed the batch"),
        ("shape", "score_tasks must give"),
        ("path", "one solver more"),
    ],
)
def test_the_check_finds_what_is_wrong_with_other_tasks_too(where, message):
    check_learner(Peeks("nowhere"), qs.tasks.IteratedGames())
    with pytest.raises(AssertionError, match=message):
        check_learner(Peeks(where), qs.tasks.IteratedGames())
