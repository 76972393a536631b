"""Options that cannot be meant end in one sentence; the types are asked where nothing else checks them."""

import math

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.options import Range, check_options
from quickstudy.training.distributed import pick_device
from scripts import output


def function(count: int, rate: float = 0.1, pair: tuple[float, float] = (0.0, 1.0), name: str | None = None) -> None:
    """Takes options."""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"count": "3"}, "count must be a whole number >= 1, got '3'"),
        ({"count": 0}, "count must be a whole number >= 1, got 0"),
        ({"count": 1.0}, "count must be a whole number >= 1, got 1.0"),
        ({"count": True}, "count must be"),
        ({"rate": math.nan}, "rate must be a finite number, got nan"),
        ({"rate": math.inf, "count": -1}, "count must be .*; rate must be|rate must be .*; count must be"),
        ({"rate": 10**400}, None),
        ({"pair": (0.0, math.nan)}, r"pair must be \(a finite number, a finite number\)"),
        ({"pair": (0.0,)}, "pair must be"),
        ({"name": 3}, "name must be a text or None, got 3"),
    ],
)
def test_what_cannot_be_meant(options, says):
    if says is None:
        check_options(function, options, {})
        return
    with pytest.raises(qs.UsageError, match=says):
        check_options(function, options, {"count": Range(1)})


def test_what_can_be_meant():
    import numpy as np

    for options in ({"count": np.int64(3)}, {"rate": 1}, {"rate": np.float32(0.5)}, {"pair": [0, 1]}, {"unknown": 1}):
        check_options(function, options, {"count": Range(1)})


@pytest.mark.parametrize("name", registry.LEARNERS.own)
def test_no_learner_takes_a_number_that_is_none(name):
    """Each option of each learner: nan is refused by name (or by what the learner says itself)."""
    import inspect

    cls = registry.load("learners", name)
    floats = [p.name for p in inspect.signature(cls).parameters.values() if "float" in str(p.annotation)]
    for option in floats:
        hint = str(inspect.signature(cls).parameters[option].annotation)
        value = (math.nan,) * 2 if hint.startswith("tuple") else math.nan
        with pytest.raises(qs.UsageError, match=option):
            registry.make("learners", name, **{option: value})


def test_rules_and_chunks():
    with pytest.raises(qs.UsageError, match="SGD: lr must be a finite number, got nan"):
        qs.rules.SGD(lr=math.nan)
    with pytest.raises(qs.UsageError, match="MAML: chunk must be a whole number >= 1 or None, got -1"):
        qs.MAML(qs.nets.MLP(), chunk=-1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there():
    for use in (lambda: pick_device("cuda"), lambda: qs.evaluate(qs.RL2(), qs.tasks.Bandits(), device="cuda")):
        with pytest.raises(qs.UsageError, match="cannot use device 'cuda'"):
            use()


TYPES = """
import quickstudy as qs
tasks = qs.tasks.Sinusoids(shot=3, query=3)
learner = qs.MAML(qs.nets.MLP(), loss="mse")
for wrong in (
    lambda: qs.train(learner, tasks, steps="3"),
    lambda: qs.train(learner, tasks, steps=1, optimizer=lambda p: None),
    lambda: qs.train(learner, tasks, steps=1, progress=3),
    lambda: qs.train(None, tasks, steps=1),
    lambda: qs.train(learner, "glyphs", steps=1),
    lambda: qs.evaluate(learner, tasks, n_tasks="2"),
    lambda: qs.evaluate(learner, tasks, workers=-1),
    lambda: qs.MAML(qs.nets.MLP(), inner_steps="3"),
    lambda: qs.MAML(3),
    lambda: qs.rules.SGD(lr="fast"),
):
    try:
        wrong()
    except qs.UsageError as error:
        print(error)
"""


def test_types_are_asked_for_where_no_test_checks_them():
    """In a process of its own: in this one beartype has seen every call before."""
    said = output("-c", TYPES).splitlines()
    assert len(said) == 10, said
    assert said[0] == "train: steps must be a whole number >= 1, got '3'."
    assert said[7] == "MAML: inner_steps must be a whole number, got '3'."
