"""Tasks are the same whatever is set around them, those of others too where quickstudy draws them."""

import contextlib
from dataclasses import fields, is_dataclass

import pytest
import torch
from torch import Tensor

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.purity import pure, sample

IMAGES = torch.randint(256, (60, 1, 16, 16), dtype=torch.uint8)
LABELS = torch.arange(60) // 10
OWN = {
    "glyphs": lambda: qs.tasks.Glyphs(way=3, query=2, size=16),
    "sinusoids": qs.tasks.Sinusoids,
    "gp": lambda: qs.tasks.GaussianProcesses(query=5),
    "copy": lambda: qs.tasks.Copy(bits=3, length=(1, 4)),
    "repeat-copy": lambda: qs.tasks.RepeatCopy(bits=3, length=(1, 3)),
    "recall": registry.load("tasks", "recall"),
    "tabular": qs.tasks.TabularPrior,
    "problems": lambda: qs.tasks.Problems(horizon=(3, 3), examples=16),
    "bandits": lambda: qs.tasks.Bandits(arms=3),
    "mdps": lambda: qs.tasks.TabularMDPs(states=4, actions=2, horizon=3),
    "navigation": lambda: qs.tasks.Navigation(horizon=5),
    "games": qs.tasks.IteratedGames,
    "mixture": lambda: qs.tasks.Mixture(("glyphs", "glyphs"), way=(2, 3), query=2),
}
ELSEWHERE = {
    "omniglot",
    "folder",
    "synthesized",
    "half-cheetah",
    "cifar-fs",
    "fc100",
    "mini-imagenet",
    "tiered-imagenet",
}
ELSEWHERE |= {"cub", "fashion-mnist", "split-folder"}
"""Need data, files or an extra: their ``sample`` is that of ``Episodes``, or decorated alike (checked below)."""
MORE = {
    "episodes": lambda: qs.tasks.Episodes(IMAGES, LABELS, way=3, shot=1, query=2),
    "drawing": lambda: qs.tasks.Episodes(IMAGES, LABELS, way=3, shot=1, query=2, affine="drawing"),
}


def settings():
    @contextlib.contextmanager
    def dtype():
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)

    return {
        "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
        "dtype": dtype,
        "device": lambda: torch.device("meta"),
        "no_grad": torch.no_grad,
        "inference": torch.inference_mode,
    }


def tensors(thing):
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, dict):
        return [t for value in thing.values() for t in tensors(value)]
    if isinstance(thing, list | tuple):
        return [t for value in thing for t in tensors(value)]
    if is_dataclass(thing):
        return [t for field in fields(thing) for t in tensors(getattr(thing, field.name))]
    return []


def assert_same(a, b):
    a, b = tensors(a), tensors(b)
    assert a
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert one.dtype == other.dtype
        assert one.device == other.device
        assert not other.is_inference()
        assert torch.equal(one, other)


def test_every_registered_distribution_is_looked_at():
    assert {*OWN, *ELSEWHERE} == {*registry.TASKS.own}
    for name in ELSEWHERE:
        if name == "half-cheetah":
            pytest.importorskip("gymnasium")
        assert hasattr(registry.load("tasks", name).sample, "__wrapped__"), f"{name}.sample is not @pure"


@pytest.mark.parametrize("name", [*OWN, *MORE])
def test_sample_is_a_function_of_its_arguments(name):
    make = {**OWN, **MORE}[name]
    expected = make().sample(2, 3)
    for context in settings().values():
        tasks = make()
        with context():
            assert_same(expected, tasks.sample(2, 3))


class Careless:
    """Somebody's tasks, which leave everything to torch."""

    def sample(self, tasks, seed):
        torch.manual_seed(seed)
        x = torch.rand(tasks, 6, 4) @ torch.rand(4, 4)
        y = torch.arange(6).expand(tasks, 6) % 3
        return qs.TaskBatch(qs.Examples(x[:, :3], y[:, :3]), qs.Examples(x[:, 3:], y[:, 3:]))


@pytest.mark.parametrize("setting", ["autocast", "dtype", "no_grad", "inference"])
def test_careless_tasks_of_others_are_drawn_alike(setting):
    expected = sample(Careless(), 2, 0)
    before = torch.get_rng_state()
    with settings()[setting]():
        assert_same(expected, sample(Careless(), 2, 0))
    assert torch.equal(before, torch.get_rng_state())


def test_training_and_evaluation_draw_them_so():
    seen = []

    class Noted(Careless):
        def sample(self, tasks, seed):
            seen.append((torch.is_autocast_enabled("cpu"), torch.get_default_dtype()))
            return super().sample(tasks, seed)

    learner = qs.ProtoNet(torch.nn.Linear(4, 3))
    torch.manual_seed(9)
    before = torch.get_rng_state()
    with torch.autocast("cpu", torch.bfloat16):
        qs.train(learner, Noted(), steps=2, meta_batch=2, validation=Noted(), validation_tasks=2)
        qs.evaluate(learner, Noted(), n_tasks=2)
    assert {*seen} == {(False, torch.float32)}
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_set_outside_is_set_again_after_an_error():
    class Broken:
        @pure
        def sample(self, tasks, seed):
            raise ValueError(f"{tasks} {seed}")

    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", torch.bfloat16), pytest.raises(ValueError, match="1 2"):
            Broken().sample(1, 2)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
