"""What the sampler promises, whatever the numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from quickstudy.core.errors import DataError, UsageError
from quickstudy.tasks import Episodes, Examples, TaskBatch, TaskDistribution, split_classes
from quickstudy.tasks.images.affine import SHIFT, random_maps, warp


def tell_apart(sizes: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """2x2 images that carry their index, and a mark in the upper left corner that shows how they were turned."""
    n = sum(sizes)
    index = torch.arange(n)
    images = torch.stack([torch.full((n,), 255), index // 250, torch.zeros(n), index % 250], 1)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    order = torch.randperm(n, generator=torch.Generator().manual_seed(n))
    return images.to(torch.uint8).view(n, 1, 2, 2), labels[order] * 7 - 3  # any labels, in any order


def decode(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Index and quarter turns of images ``[..., 1, 2, 2]``."""
    pixels = (x * 255).round().long().flatten(-3)[..., torch.tensor([0, 2, 3, 1])]  # counter-clockwise from the corner
    quarters = (pixels == 255).long().argmax(-1)
    turned = pixels.gather(-1, (quarters[..., None] + torch.arange(4)) % 4)
    return turned[..., 3] * 250 + turned[..., 2], quarters


@st.composite
def cases(draw: st.DrawFn) -> dict:
    shot, query = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    sizes = draw(st.lists(st.integers(shot + query, shot + query + 4), min_size=1, max_size=12))
    rotate = draw(st.sampled_from(["none", "episode", "classes"]))
    way = draw(st.integers(1, len(sizes) * (4 if rotate == "classes" else 1)))
    tasks, seed = draw(st.integers(1, 5)), draw(st.integers(0, 2**62))
    return {"sizes": sizes, "way": way, "shot": shot, "query": query, "rotate": rotate, "tasks": tasks, "seed": seed}


@settings(deadline=None, max_examples=150)
@given(cases())
def test_promises(case: dict) -> None:
    tasks, seed, way, shot, query = case["tasks"], case["seed"], case["way"], case["shot"], case["query"]
    images, labels = tell_apart(case["sizes"])
    before = images.clone()
    episodes = Episodes(images, labels, way=way, shot=shot, query=query, rotate=case["rotate"])
    batch = episodes.sample(tasks, seed)

    assert isinstance(episodes, TaskDistribution)
    for part, n in ((batch.support, shot), (batch.query, query)):
        assert part.x.shape == (tasks, way * n, 1, 2, 2)
        assert part.x.dtype == torch.float32
        assert torch.equal(part.y, torch.arange(way).repeat_interleave(n).repeat(tasks, 1))
    both = torch.cat(
        [batch.support.x.view(tasks, way, shot, 1, 2, 2), batch.query.x.view(tasks, way, query, 1, 2, 2)], 2
    )
    index, quarters = decode(both)
    for task in range(tasks):
        seen = index[task].flatten() * 4 + quarters[task].flatten()
        assert len(seen.unique()) == way * (shot + query), "support and query are disjoint, nothing is drawn twice"
        classes = labels[index[task]]
        assert (classes == classes[:, :1]).all(), "a label is one class"
        assert (quarters[task] == quarters[task][:, :1]).all(), "a class of a task has one rotation"
        names = classes[:, 0] * 4 + (quarters[task][:, 0] if case["rotate"] == "classes" else 0)
        assert len(names.unique()) == way, "classes of a task are distinct"
        if case["rotate"] == "none":
            assert not quarters[task].any()

    again = Episodes(images, labels, way=way, shot=shot, query=query, rotate=case["rotate"]).sample(tasks, seed)
    assert torch.equal(again.query.x, batch.query.x), "a pure function of its arguments"
    assert torch.equal(again.support.x, batch.support.x)
    assert torch.equal(images, before), "what was passed in is not changed"


def test_global_random_state_is_neither_read_nor_changed() -> None:
    episodes = Episodes(*tell_apart([6] * 8), shot=1, query=3)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = episodes.sample(4, 0)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(episodes.sample(4, 0).query.x, first.query.x)


def test_other_seeds_give_other_tasks_and_each_class_gets_each_label() -> None:
    images, labels = tell_apart([8] * 5)
    episodes = Episodes(images, labels, way=5, shot=1, query=3)
    assert not torch.equal(episodes.sample(8, 0).query.x, episodes.sample(8, 1).query.x)
    classes = labels[decode(episodes.sample(400, 0).support.x)[0]]  # [tasks, label]
    for label in range(5):
        counts = torch.unique(classes[:, label], return_counts=True)[1]
        assert len(counts) == 5
        assert counts.min() > 40, "every class gets every label, evenly"


def test_all_examples_are_drawn_evenly() -> None:
    episodes = Episodes(*tell_apart([4, 4, 10]), way=2, shot=1, query=2)
    index, _ = decode(episodes.sample(3000, 0).support.x)
    counts = torch.bincount(index.flatten(), minlength=18).float()
    by_class = torch.stack([counts[torch.nonzero(episodes.labels == label).flatten()].sum() for label in (-3, 4, 11)])
    assert (by_class / by_class.sum() - 1 / 3).abs().max() < 0.03
    assert counts.min() > 100


def test_rotations_as_classes_are_four_times_the_classes() -> None:
    episodes = Episodes(*tell_apart([5] * 3), way=12, shot=1, query=4, rotate="classes")
    assert episodes.n_classes == 12
    index, quarters = decode(episodes.sample(1, 0).support.x)
    assert len((episodes.labels[index] * 4 + quarters).unique()) == 12


def test_rotation_turns_counter_clockwise_as_rot90_does() -> None:
    image = torch.arange(9, dtype=torch.uint8).view(1, 1, 3, 3).repeat(2, 1, 1, 1)
    x = Episodes(image, [0, 0], way=4, shot=1, query=1, rotate="classes").sample(1, 0).support.x[0] * 255
    expected = {tuple(torch.rot90(image[0, 0], k).flatten().tolist()) for k in range(4)}
    assert {tuple(one.flatten().round().long().tolist()) for one in x} == expected


def test_affine_maps_are_a_class_s_or_a_drawing_s_own() -> None:
    """All images of a class are one here: what differs between its drawings is the map."""
    images = torch.rand(6, 1, 12, 12, generator=torch.Generator().manual_seed(0)).repeat_interleave(5, 0)
    plain, own, each = (
        Episodes(images, torch.arange(30) // 5, way=4, shot=2, query=3, affine=affine)
        for affine in ("none", "class", "drawing")
    )
    batches = [tasks.sample(3, 0) for tasks in (plain, own, each)]
    for batch, tasks in zip(batches, (plain, own, each), strict=True):
        torch.testing.assert_close(tasks.sample(3, 0).query.x, batch.query.x, rtol=0, atol=0)
        support, query = batch.support.x.unflatten(1, (4, 2)), batch.query.x.unflatten(1, (4, 3))
        x = torch.cat([support, query], 2)  # [3, 4, 5, ...]
        alike = torch.allclose(x, x[:, :, :1].expand_as(x), atol=1e-6)
        assert alike == (tasks is not each)
    assert not torch.allclose(batches[1].query.x, batches[0].query.x)
    with pytest.raises(UsageError, match="affine='class' needs images"):
        Episodes(torch.zeros(12, 4), LABELS, way=2, query=3, affine="class")


def test_warping_by_known_maps() -> None:
    x = torch.rand(4, 1, 9, 9)
    still, turned, moved = torch.eye(2, 3), torch.tensor([[0.0, -1, 0], [1, 0, 0]]), torch.eye(2, 3)
    moved[0, 2] = 2 / 9  # every pixel comes from one to the right
    found = warp(x, torch.stack([still, turned, still, moved]))
    torch.testing.assert_close(found[0], x[0])
    torch.testing.assert_close(found[1], torch.rot90(x[1], 1, (-2, -1)), atol=1e-5, rtol=0)
    torch.testing.assert_close(found[3][..., :-1], x[3][..., 1:], atol=1e-5, rtol=0)
    maps = random_maps(500, rng=torch.Generator().manual_seed(0))
    assert torch.equal(maps, random_maps(500, rng=torch.Generator().manual_seed(0)))
    assert 0.15 < maps[:, :, 2].abs().max() <= 2 * SHIFT
    sizes = torch.linalg.det(maps[:, :, :2])
    assert math.exp(-0.4) <= sizes.min() < 0.8 < 1.25 < sizes.max() <= math.exp(0.4) + 1e-6
    quarters = random_maps(500, strength=0.0, quarters=True, rng=torch.Generator().manual_seed(0))
    assert len({tuple(m.round().flatten().tolist()) for m in quarters + 0.0}) == 4


def test_classes_of_a_split_share_the_array() -> None:
    images, labels = tell_apart([6] * 25)
    parts = split_classes(labels)
    assert torch.equal(torch.cat(parts).sort().values, labels.unique())
    for part in parts:
        episodes = Episodes(images, labels, way=len(part), shot=1, query=2, classes=part)
        assert episodes.images is images
        drawn = labels[decode(episodes.sample(5, 0).query.x)[0]]
        assert set(drawn.flatten().tolist()) == set(part.tolist())
    assert all(torch.equal(a, b) for a, b in zip(parts, split_classes(labels), strict=True))


def test_arrays_three_axes_and_floats() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (12, 4, 4), dtype=np.uint8)
    labels = np.arange(12) // 4
    options = {"way": 3, "shot": 1, "query": 3}
    grey = Episodes(pixels, labels, **options)
    assert grey.x_shape == (1, 4, 4)
    assert grey.images is pixels
    scaled = Episodes(pixels / 255, labels.tolist(), **options)  # float64
    torch.testing.assert_close(grey.sample(3, 0).query.x, scaled.sample(3, 0).query.x)
    pixels.setflags(write=False)
    assert torch.equal(Episodes(pixels, labels, **options).sample(1, 0).query.x, grey.sample(1, 0).query.x)
    assert grey.sample(50, 0).query.x.max() <= 1
    assert (grey.kind, grey.outputs) == ("classification", 3)
    assert grey.describe() == "Episodes (12 images, 3 classes), 3-way 1-shot, 3 queries per class"


@pytest.mark.parametrize(
    ("given", "expected"),
    [(torch.uint8, torch.float32), (torch.float64, torch.float32), (torch.int32, torch.int64)],
)
def test_feature_vectors_and_token_ids(given: torch.dtype, expected: torch.dtype) -> None:
    features = torch.arange(36).view(12, 3).to(given)  # tells the examples apart
    episodes = Episodes(features, LABELS, way=3, shot=1, query=2)
    x = episodes.sample(2, 0).query.x
    assert episodes.x_shape == (3,)
    assert (x.shape, x.dtype) == ((2, 6, 3), expected)
    scale = 255 if given == torch.uint8 else 1
    rows = (x[..., 0] * scale / 3).round().long()
    torch.testing.assert_close(x, features[rows].to(expected) / scale if scale > 1 else features[rows].to(expected))
    assert torch.equal(LABELS[rows].view(2, 3, 2).sort(1).values[0, :, 0], torch.arange(3))
    assert episodes.describe() == "Episodes (12 examples, 3 classes), 3-way 1-shot, 2 queries per class"


IMAGES = torch.zeros(12, 1, 4, 4, dtype=torch.uint8)
LABELS = torch.arange(12) // 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": 4}, "way=4 is larger than the 3 classes"),
        ({"way": 13, "rotate": "classes"}, "way=13 is larger than the 12 classes"),
        ({"way": 0}, "way must be an integer of at least 1, got way=0"),
        ({"shot": 0}, "shot must be"),
        ({"query": -1}, "query must be"),
        ({"shot": 3}, r"shot \+ query = 3 \+ 2 = 5 examples .* class 0 has 4 \(3 of 3 classes"),
        ({"classes": [0, 1, 9]}, r"classes must be labels that occur, got \[9\]"),
        ({"labels": LABELS[:5]}, r"labels must be whole numbers or texts \[12\]"),
        ({"labels": LABELS / 2}, r"labels must be whole numbers or texts, got 0\.5 "),
        (
            {"images": IMAGES[:, 0, 0, 0]},
            r"images must be \[N, C, H, W\] .* got \[12\]; .* x\[:, None\]",
        ),
        ({"images": IMAGES[None]}, r"labels must be whole numbers or texts \[1\]"),
        ({"images": IMAGES.long()}, "uint8"),
        ({"images": IMAGES * 1j}, "real numbers, got torch.complex"),
        ({"images": IMAGES[..., :3], "rotate": "episode"}, "needs square images"),
        ({"images": IMAGES[:, 0, 0], "rotate": "classes"}, r"needs square images, got \[4\]"),
    ],
)
def test_what_cannot_work_is_refused(options: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Episodes(**({"images": IMAGES, "labels": LABELS, "way": 3, "shot": 1, "query": 2} | options))


def test_images_that_are_not_finite_are_named() -> None:
    images = IMAGES.float()
    images[5, 0, 2, 2] = torch.nan
    images[7, 0, 0, 0] = torch.inf
    with pytest.raises(DataError, match="2 of 12 images hold NaN or infinite values, the first is image 5"):
        Episodes(images, LABELS, way=3, query=3)


def test_no_tasks_and_splits_without_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="tasks must be an integer of at least 1"):
        Episodes(IMAGES, LABELS, way=3, query=3).sample(0, 0)
    with pytest.raises(UsageError, match="a split would get no class"):
        split_classes(LABELS)
    with pytest.raises(UsageError, match="sum to 1"):
        split_classes(LABELS, fractions=(0.5, 0.6))


def test_batches_say_what_their_classes_are_called() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1).expand(12, 1, 4, 4)
    names = ["ant", "bee", "cat"]
    for labels, options in (
        ([names[i] for i in LABELS], {}),
        (LABELS, {"names": names}),
        (LABELS + 7, {"names": {7: "ant", 8: "bee", 9: "cat", 10: "dog"}}),
    ):
        episodes = Episodes(images, labels, way=2, query=3, **options)
        assert episodes.class_names == ("ant", "bee", "cat")
        batch = episodes.sample(20, 0)
        assert batch.class_names is not None
        for x, y, called in zip(batch.query.x, batch.query.y, batch.class_names, strict=True):
            for image, label in zip(x, y, strict=True):
                assert called[int(label)] == names[int(image[0, 0, 0] * 255) // 4]
    assert Episodes(images, LABELS, way=2, query=3, classes=[2, 0]).class_names == ("0", "2")
    turned = Episodes(images, LABELS, way=12, query=3, names=names, rotate="classes")
    assert len(turned.class_names) == turned.n_classes == 12
    found = turned.sample(1, 0).class_names
    assert found is not None
    assert {*found[0]} == {*turned.class_names} >= {"ant", "bee turned 270"}
    with pytest.raises(UsageError, match=r"names must name every label, but \[2\] have no name"):
        Episodes(images, LABELS, way=2, query=3, names=names[:2])


def test_a_batch_can_be_sliced() -> None:
    batch = Episodes(IMAGES, LABELS, way=3, query=3).sample(4, 0)
    assert isinstance(batch, TaskBatch)
    assert len(batch[1:3]) == 2
    assert isinstance(batch[1:3].query, Examples)
    assert batch.class_names is not None
    assert batch[1:3].class_names == batch.class_names[1:3]
