"""A refactoring changes no result: the first outer steps of every learner, compared to what they were.

``tests/parity.json`` holds the losses and the meta-gradient's norms of three outer steps, in float64 where that runs.
Where a result is meant to change, rewrite it and say why in the commit: ``python tests/test_parity.py``.
"""

import dataclasses
import inspect
import json
import math
from pathlib import Path

import pytest
import torch

import quickstudy as qs
from quickstudy import registry

FILE = Path(__file__).with_name("parity.json")
STEPS = 3

TASKS = {
    "glyphs": lambda: qs.tasks.Glyphs(way=3, shot=1, query=2, size=16),
    "sinusoids": lambda: qs.tasks.Sinusoids(shot=4, query=3),
    "tabular": lambda: qs.tasks.TabularPrior(way=3, shot=4, query=3),
    "copy": lambda: qs.tasks.Copy(bits=3, length=(1, 4)),
    "repeat-copy": lambda: qs.tasks.RepeatCopy(bits=3, length=(1, 3), copies=(1, 2)),
    "problems": lambda: qs.tasks.Problems(horizon=(4, 6), examples=32),
    "navigation": lambda: qs.tasks.Navigation(horizon=5),
    "bandits": lambda: qs.tasks.Bandits(arms=3),
    "mdps": lambda: qs.tasks.TabularMDPs(states=4, actions=2, horizon=3),
    "games": qs.tasks.IteratedGames,
}
# By kind of tasks: what a learner of that kind is held to.
OF_KIND = {
    "classification": ("glyphs",),
    "regression": ("sinusoids",),
    "sequence": ("copy", "repeat-copy"),
    "problems": ("problems",),
    "environments": ("navigation", "bandits", "mdps"),
    "games": ("games",),
}
MORE = {("incontext", "tabular"): {"table": True}}
LEFT_OUT = {("protomaml", "sinusoids")}  # its head is made of classes
FLOAT32 = {"problems"}  # their networks and data are drawn when asked for
OPTIONS = {
    "inner_steps": 2, "bn": "support", "width": 8, "slot_width": 8, "label_width": 4, "layers": 1, "heads": 2,
    "groups": 1, "truncation": 3, "rounds": 5,
}  # fmt: skip
OWN = {"rl2": {"episodes": 4}, "lstm-meta": {"hidden_size": 4}}


def cases():
    pairs = [
        (name, tasks)
        for name in registry.LEARNERS.own
        for kind in registry.load("learners", name).learns
        for tasks in OF_KIND[kind]
    ]
    return [pair for pair in [*pairs, *MORE] if pair not in LEFT_OUT]


def build(name, tasks, options):
    cls = registry.load("learners", name)
    takes = inspect.signature(cls).parameters
    shape = tasks.x_shape
    outputs = None if cls.embeds else tasks.outputs
    facts = {"in_features": math.prod(shape), "out_features": tasks.outputs, "x_shape": shape}
    if "model" in takes and len(shape) == 3:
        facts["model"] = qs.nets.Conv4(filters=3, size=shape[-1], out_features=outputs)
    elif options.get("table"):
        facts["model"] = qs.nets.Flat(in_features=shape[0])
    elif "model" in takes:
        facts["model"] = qs.nets.MLP(in_features=shape[0], out_features=outputs, hidden=(8,))
    loss = {"loss": cls.learns[tasks.kind]}
    given = {**facts, **loss, **OPTIONS, **OWN.get(name, {}), **options}
    return registry.make("learners", name, **{option: value for option, value in given.items() if option in takes})


def in_float64(thing):
    """A batch with its real numbers in float64, however it nests."""
    if isinstance(thing, torch.Tensor):
        return thing.double() if thing.is_floating_point() else thing
    if dataclasses.is_dataclass(thing):
        fields = {f.name: in_float64(getattr(thing, f.name)) for f in dataclasses.fields(thing)}
        return dataclasses.replace(thing, **fields)
    return thing


class InFloat64:
    """The same tasks in float64."""

    def __init__(self, tasks):
        self.tasks = tasks

    def sample(self, tasks, seed):
        return in_float64(self.tasks.sample(tasks, seed))


def first_steps(name, tasks_name):
    tasks = TASKS[tasks_name]()
    torch.manual_seed(0)
    learner = build(name, tasks, MORE.get((name, tasks_name), {}))
    if tasks_name not in FLOAT32:
        learner, tasks = learner.double(), InFloat64(tasks)
    run = qs.train(learner, tasks, steps=STEPS, meta_batch=3, meta_lr=1e-3, log_every=1, device="cpu")
    logged = [record for record in run.metrics() if "train/loss" in record]
    return {key: [record[f"train/{key}"] for record in logged] for key in ("loss", "grad_norm")}


@pytest.mark.parametrize(("name", "tasks"), cases())
def test_the_first_outer_steps_are_what_they_were(name, tasks):
    expected = json.loads(FILE.read_text())[f"{name} on {tasks}"]
    found = first_steps(name, tasks)
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-4 if tasks in FLOAT32 else 1e-6, abs=1e-9), key


def test_no_learner_is_missing_and_none_is_left_over():
    assert set(json.loads(FILE.read_text())) == {f"{name} on {tasks}" for name, tasks in cases()}
    assert {name for name, _ in cases()} == set(registry.LEARNERS.own)


if __name__ == "__main__":
    torch.set_num_threads(1)
    found = {f"{name} on {tasks}": first_steps(name, tasks) for name, tasks in cases()}
    FILE.write_text(json.dumps(found, indent=1) + "\n")
