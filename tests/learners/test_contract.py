"""Every registered learner keeps the contract, with every net and BatchNorm mode it is offered with."""

import inspect
import math

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy import registry
from quickstudy.testing import check_learner

# The meta-gradient of these is by design not the derivative of their meta-loss (imaml: exact only where solved).
NOT_THE_DERIVATIVE = {"reptile", "fomaml", "imaml", "lstm-meta", "solver-gan", "task-gan", "metagan", "meta-nas"}
# Adapts a network with a head, but to classes only.
CLASSIFIES = {"protomaml"}


def build(name, tasks, **options):
    """A learner that fits the tasks, with those of the options that it takes; other parameters keep their defaults."""
    cls = registry.load("learners", name)
    shape = tasks.x_shape
    facts = {"kind": tasks.kind, "in_features": math.prod(shape), "out_features": tasks.outputs, "x_shape": shape}
    torch.manual_seed(0)
    outputs = None if cls.embeds else tasks.outputs
    net = conv4(outputs) if len(shape) == 3 else qs.nets.MLP(in_features=shape[0], out_features=outputs, hidden=(8,))
    takes = inspect.signature(cls).parameters
    return cls(**{o: value for o, value in {"model": net, **facts, **options}.items() if o in takes})


def conv4(outputs=3):
    return qs.nets.Conv4(filters=3, size=16, out_features=outputs)


def glyphs(shot=1):
    return qs.tasks.Glyphs(way=3, shot=shot, query=2, size=16)


CLASSIFY, REGRESS = (
    [name for name in registry.LEARNERS if kind in registry.load("learners", name).learns]
    for kind in ("classification", "regression")
)


@pytest.mark.parametrize("bn", ["transductive", "support"])
@pytest.mark.parametrize("name", CLASSIFY)
def test_images(name, bn):
    learner = build(name, glyphs(), inner_lr=0.05, inner_steps=2, bn=bn)
    check_learner(learner, glyphs(), others=[glyphs(shot=3)], exact_gradient=name not in NOT_THE_DERIVATIVE)


@pytest.mark.parametrize("name", REGRESS)
def test_regression(name):
    sinusoids = qs.tasks.Sinusoids(shot=4, query=3)
    if name in CLASSIFIES:
        with pytest.raises(qs.UsageError, match="class"):
            build(name, sinusoids, loss="mse")
        return
    learner = build(name, sinusoids, inner_lr=0.01, loss="mse")
    exact = name not in NOT_THE_DERIVATIVE
    check_learner(learner, sinusoids, others=[qs.tasks.Sinusoids(shot=7, query=2)], exact_gradient=exact)


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
        """Counts its calls in a way that escapes the buffers, and lets it show."""

        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(256, 3)
            self.calls = [0]

        def forward(self, x):
            self.calls[0] += 1
            return self.linear(x.flatten(1)) * self.calls[0]

    with pytest.raises(AssertionError):
        check_learner(qs.MAML(Leaky(), execution="loop"), glyphs())
    with pytest.raises(AssertionError, match="not the derivative"):
        check_learner(qs.MAML(conv4(), inner_lr=0.5, inner_steps=3, order=1), glyphs())
