"""Examples and TaskBatch: the first axis is the task, and shapes that do not fit are refused."""

import numpy as np
import pytest
import torch

import quickstudy as qs
from quickstudy.tasks import Batch, Examples, TaskBatch, TaskDistribution


def batch(tasks=4):
    def examples(n):
        return Examples(torch.arange(tasks * n * 2.0).view(tasks, n, 2), torch.zeros(tasks, n, dtype=torch.int64))

    return TaskBatch(examples(3), examples(5))


def test_length_and_slices_count_tasks():
    b = batch()
    assert len(b) == len(b.support) == 4
    part = b[1:3]
    assert len(part) == 2
    assert torch.equal(part.query.x, b.query.x[1:3])
    assert isinstance(b, Batch)


def test_moving_gives_a_new_batch():
    b = batch()
    moved = b.to("meta")
    assert moved.support.x.device.type == moved.query.y.device.type == "meta"
    assert b.support.x.device.type == "cpu"


def test_names_of_classes_go_with_their_tasks():
    b = batch()
    assert b.class_names is None
    assert b[1:2].class_names is None
    names = tuple((f"ant {t}", f"bee {t}") for t in range(4))
    named = TaskBatch(b.support, b.query, names)
    assert named[1:3].class_names == names[1:3]
    assert named[1:3].to("meta").class_names == names[1:3]
    with pytest.raises(qs.UsageError, match="got 3 for 4 tasks"):
        TaskBatch(b.support, b.query, names[:3])


def test_shapes_that_do_not_fit():
    with pytest.raises(qs.UsageError, match=r"\[2, 3, 4\].*\[2, 5\]"):
        Examples(torch.zeros(2, 3, 4), torch.zeros(2, 5))
    with pytest.raises(qs.UsageError, match="4 and 2 tasks"):
        TaskBatch(batch().support, batch(2).query)


@pytest.mark.parametrize("kind", ["lists", "float64", "float32", "int32 labels", "uint8 labels", "truth values"])
def test_arrays_and_lists_become_tensors(kind):
    x, y = np.arange(12.0).reshape(1, 4, 3), np.array([[0, 1, 0, 1]])
    given = {
        "lists": (x.tolist(), y.tolist()),
        "float64": (x, y),
        "float32": (x.astype(np.float32), y),
        "int32 labels": (x, y.astype(np.int32)),
        "uint8 labels": (torch.from_numpy(x).float(), torch.from_numpy(y).byte()),
        "truth values": (x, y > 0),
    }[kind]
    examples = Examples(*given)
    assert (examples.x.dtype, examples.y.dtype) == (torch.float32, torch.int64)
    assert torch.equal(examples.x, torch.from_numpy(x).float())
    assert examples.y.tolist() == [[0, 1, 0, 1]]
    torch.manual_seed(0)
    learner = qs.MAML(qs.nets.MLP(in_features=3, out_features=2))
    assert learner.adapt(examples)(examples.x).shape == (1, 4, 2)


def test_tensors_stay_as_they_are():
    x, y = torch.zeros(1, 2, 3, dtype=torch.float64), torch.zeros(1, 2, 1, dtype=torch.float64)
    examples = Examples(x, y)
    assert examples.x is x
    assert examples.y is y
    assert Examples(torch.zeros(1, 2, dtype=torch.int64), y).x.dtype == torch.int64, "token ids"


@pytest.mark.parametrize("x", [[[[1.0], [1.0, 2.0]]], [[["a"]]], [[[None]]], [[[object()]]]])
def test_what_is_no_numbers_is_refused(x):
    with pytest.raises(qs.UsageError, match="x must be a tensor, or numbers"):
        Examples(x, [[0]])


def test_anything_that_samples_is_a_distribution():
    assert isinstance(qs.tasks.Glyphs(), TaskDistribution)
    assert not isinstance(object(), TaskDistribution)
