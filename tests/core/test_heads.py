"""A head that is not the output layer, or that a forward does not use, is refused."""

import pytest
import torch
from torch import nn

import quickstudy as qs
from quickstudy.core.heads import head_names


class Net(nn.Module):
    """A body and an output layer, in any order, called by hand or as modules."""

    def __init__(self, order, by_hand=False, scale=False):
        super().__init__()
        layers = {"body": nn.Linear(6, 8), "out": nn.Linear(8, 3), "aux": nn.Linear(8, 3)}
        for name in order:
            self.add_module(name, layers[name])
        self.by_hand = by_hand
        self.temperature = nn.Parameter(torch.ones(())) if scale else None

    def forward(self, x):
        h = self.body(x).relu()
        h = nn.functional.linear(h, self.out.weight, self.out.bias) if self.by_hand else self.out(h)
        return h if self.temperature is None else h * self.temperature


def learners(net):
    return [
        lambda **k: qs.ANIL(net(), **k),
        lambda **k: qs.BOIL(net(), **k),
        lambda **k: qs.ProtoMAML(net(), **k),
        lambda **k: qs.Hypernet(net(), **k),
    ]


def batch():
    x, y = torch.randn(60, 6), torch.arange(60) // 10
    return qs.tasks.Episodes(x, y, way=3, shot=2, query=3).sample(2, 0)


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("execution", ["loop", "vmap"])
@pytest.mark.parametrize(
    ("order", "wrong"), [("body out", None), ("out body", "comes after it"), ("body out aux", "does not use it")]
)
def test_what_is_registered_last_must_be_the_output_layer(order, wrong, execution, by_hand):
    for make in learners(lambda: Net(order.split(), by_hand, scale=True)):
        learner = make(execution=execution)
        if wrong is None:
            learner.meta_backward(batch())
            continue
        for _ in range(2):
            with pytest.raises(qs.UsageError, match=wrong):
                learner.meta_backward(batch())


def test_who_names_the_head_is_believed_if_a_forward_uses_it():
    order = ["out", "body", "aux"]
    for learner in (qs.ANIL, qs.BOIL):
        learner(Net(order), head="out").meta_backward(batch())
        learner(Net(order), head="body").meta_backward(batch())
        with pytest.raises(qs.UsageError, match="does not use it"):
            learner(Net(order), head="aux").meta_backward(batch())
    assert head_names(Net(order), "out") == {"out.weight", "out.bias"}
