"""Which class was taken for which: by hand, by scikit-learn, and over all tasks of an evaluation."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.learners import SupportQueryLearner
from quickstudy.training.confusion import OTHER, Confusion, confusion_of, counted

NAMES = ("ant", "bee", "cow", "dog")


class Named:
    """Two of four classes a task; x is the class's number."""

    def __init__(self, names=NAMES):
        self.names = names

    def sample(self, tasks, seed):
        rng = torch.Generator().manual_seed(seed % 2**31)
        chosen = torch.stack([torch.randperm(4, generator=rng)[:2] for _ in range(tasks)])
        y = torch.tensor([0, 0, 0, 1]).expand(tasks, -1)
        x = chosen.gather(1, y).unsqueeze(-1).float()
        names = tuple(tuple(self.names[c] for c in task) for task in chosen.tolist())
        return qs.TaskBatch(qs.Examples(x[:, 2:], y[:, 2:]), qs.Examples(x, y), names)


class Sloppy(SupportQueryLearner):
    """Knows all classes, but takes every bee for the other class of its task, and cows for a third label."""

    def __init__(self, chunk=None):
        super().__init__()
        self.chunk = chunk
        self.w = nn.Parameter(torch.ones(()))

    def adapt(self, support):
        def solve(x):
            own = (x == support.x[:, :1]).squeeze(-1) ^ (x.squeeze(-1) == 1)
            label = torch.where(x.squeeze(-1) == 2, 2, 1 - own.long())
            return nn.functional.one_hot(label, 3).float() * self.w

        return solve


def test_by_hand():
    y, predicted = torch.tensor([[0, 1, -1], [0, 0, 1]]), torch.tensor([[0, 0, 0], [1, 0, 5]])
    found = confusion_of([counted((("a", "b"), ("b", "c")), y, predicted)])
    assert found.to_json() == {"a": {"a": 1}, "b": {"a": 1, "b": 1, "c": 1}, "c": {OTHER: 1}}
    assert found.names == ("a", "b", "c", OTHER)
    assert found.accuracy == {"a": 1.0, "b": 1 / 3, "c": 0.0}
    assert found.matrix().tolist() == [[1, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert confusion_of([]) is None
    with pytest.raises(qs.UsageError, match="has 1 names, but labels run to 1"):
        counted((("a",), ("b", "c")), y, predicted)


def test_an_evaluation_by_class():
    result = qs.evaluate(Sloppy(), Named(), n_tasks=40, seed=1)
    assert result.by_class == {"ant": 1.0, "bee": 0.0, "cow": 0.0, "dog": 1.0}
    counts = result.confusion.counts
    assert set(counts["bee"]) == {"ant", "cow", "dog"}
    assert set(counts["cow"]) == {OTHER}
    assert int(result.confusion.matrix().sum()) == 40 * 4
    assert int(result.confusion.matrix().diag().sum()) == pytest.approx(result.accuracy * 40 * 4)
    assert result == qs.evaluate(Sloppy(chunk=3), Named(), n_tasks=40, seed=1, workers=2)
    record = result.to_json()
    assert record["by_class"] == result.by_class
    assert Confusion(record["confusion"]) == result.confusion


def test_where_classes_have_no_names_or_scores_are_something_else():
    plain = qs.evaluate(
        qs.ProtoNet(qs.nets.MLP(in_features=784, out_features=None)), qs.tasks.Glyphs(query=2), n_tasks=3
    )
    assert plain.confusion is None
    assert plain.by_class == {}
    assert "confusion" not in plain.to_json()

    class Own(Sloppy):
        def score_tasks(self, batch, at):
            return torch.zeros(2, len(at), len(batch))

    assert qs.evaluate(Own(), Named(), n_tasks=3).confusion is None
