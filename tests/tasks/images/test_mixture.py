"""Several data sets as one: which, which way and which shot is drawn for each batch."""

import json

import pytest
import torch

import quickstudy as qs
from quickstudy import registry
from quickstudy.core.batch import shared_draws
from quickstudy.core.errors import UsageError
from quickstudy.core.seeding import fold
from quickstudy.tasks import Glyphs, Mixture, Sinusoids, TabularPrior


@pytest.fixture(scope="module")
def mixed() -> Mixture:
    parts = (Glyphs(size=16), Glyphs(size=20, rotate=False))
    return Mixture(parts, way=(2, 4), shot=(1, 3), query=2, size=16, channels=3)


def test_batches_vary_and_are_pure(mixed: Mixture) -> None:
    assert (mixed.x_shape, mixed.outputs, shared_draws(mixed)) == ((3, 16, 16), 4, ("data set", "way", "shot"))
    seen = set()
    for seed in range(40):
        batch = mixed.sample(2, seed)
        way, shot = int(batch.query.y.max()) + 1, len(batch.support.y[0]) // (int(batch.query.y.max()) + 1)
        assert batch.support.x.shape == (2, way * shot, 3, 16, 16)
        assert batch.query.x.shape == (2, way * 2, 3, 16, 16)
        assert torch.equal(batch.query.x[:, :, 0], batch.query.x[:, :, 2])
        seen.add((way, shot))
    assert {way for way, _ in seen} == {2, 3, 4}
    assert {shot for _, shot in seen} == {1, 2, 3}
    assert torch.equal(mixed.sample(2, 5).query.x, mixed.sample(2, 5).query.x)
    assert mixed.describe() == "Mixture train (Glyphs, Glyphs), 2 to 4-way 1 to 3-shot, 2 queries per class"


def test_weights_and_names() -> None:
    only = Mixture(("glyphs", Glyphs(size=28)), weights=(1.0, 0.0), way=3, query=1)
    assert shared_draws(only) == ("data set",)
    plain = Glyphs(way=3, query=1)
    for seed in range(3):
        inner = plain.sample(1, fold(seed, "tasks", "mixture", 0))
        assert torch.equal(only.sample(1, seed).query.x, inner.query.x)


def test_written_down_and_rebuilt_in_another_split(mixed: Mixture) -> None:
    again = registry.build(json.loads(json.dumps(registry.describe(mixed))), split="test")
    assert again.split == "test"
    other = Mixture(mixed.parts, split="test", way=(2, 4), shot=(1, 3), query=2, size=16, channels=3)
    assert torch.equal(again.sample(2, 3).query.x, other.sample(2, 3).query.x)


def test_a_learner_takes_it(mixed: Mixture) -> None:
    learner = qs.ProtoNet(qs.nets.Conv4(in_channels=3, out_features=None, filters=2, size=16))
    for seed in range(3):
        learner.meta_gradient(mixed.sample(2, seed))
    assert qs.evaluate(learner, mixed, n_tasks=6).draws == 3


@pytest.mark.parametrize(
    ("parts", "more", "text"),
    [
        ((), {}, "parts must be an integer of at least 1"),
        (("abacus",), {}, "no 'abacus' among the tasks"),
        ((Sinusoids(),), {}, "a mixture is of classification tasks"),
        (("glyphs",), {"way": (4, 2)}, "way must be a whole number, or the least and the most"),
        (("glyphs",), {"weights": (1.0, 2.0)}, "weights must be 1 numbers"),
        (("glyphs", TabularPrior(way=3)), {}, "must have one shape"),
        ((Glyphs(size=16), Glyphs(size=20)), {}, r"got \(1, 16, 16\) and \(1, 20, 20\); give size="),
        (("glyphs",), {"channels": 2}, "channels must be one of"),
    ],
)
def test_what_it_refuses(parts, more, text) -> None:
    with pytest.raises(UsageError, match=text):
        Mixture(parts, **more)
