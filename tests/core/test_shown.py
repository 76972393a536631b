"""How things show themselves in a prompt."""

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.shown import in_short, shown

NAMES = [name for name in registry.TASKS.own if name not in ("omniglot", "folder", "synthesized", "half-cheetah")]


@pytest.mark.parametrize("name", sorted({*NAMES} & {
    "glyphs", "sinusoids", "gp", "copy", "repeat-copy", "recall", "tabular", "problems", "bandits", "mdps",
    "navigation", "games",
}))  # fmt: skip
def test_tasks_and_their_batches(name):
    tasks = registry.load("tasks", name)(split="test")
    assert repr(tasks) == f"{type(tasks).__name__}(split='test')"
    batch = tasks.sample(3, seed=0)
    assert f"{type(batch).__name__} of 3 tasks: " in repr(batch)
    assert "tensor(" not in repr(batch)
    assert len(repr(batch)) < 600


def test_what_a_learner_is_built_of():
    learner = qs.MAML(qs.nets.MLP(hidden=(4,)), loss="mse", inner_lr=0.5)
    count = sum(p.numel() for p in learner.parameters())
    assert repr(learner) == f"MAML(model=MLP with {count} parameters, inner_lr=0.5, loss='mse')"


def test_examples_and_values():
    examples = qs.Examples(torch.zeros(2, 5, 3), torch.zeros(2, 5))
    assert repr(examples) == "Examples(x float32 [2, 5, 3], y float32 [2, 5])"
    assert in_short({"a": torch.zeros(1), "b": 2}) == "{'a': float32 [1], 'b': 2}"
    assert len(in_short(list(range(1000)))) < 80


def test_dir_has_what_is_offered_and_nothing_else():
    import quickstudy.training.loop  # noqa: F401

    assert "TableEncoder" in dir(qs)
    assert not {"lazily", "exports", "training", "core", "annotations", "np", "os"} & {*dir(qs), *dir(qs.tasks)}


@pytest.mark.parametrize("name", registry.TASKS.own)
def test_every_registered_distribution_shows_what_it_was_built_with(name):
    assert registry.load("tasks", name).__repr__ is shown
