"""What is trained otherwise on photographs than on characters."""

import pytest

from quickstudy.recipes import Choice


@pytest.mark.parametrize(
    ("name", "preset", "expected"),
    [
        ("protonet", "quick", {"filters": 64, "train_way": 20}),
        ("protonet", "paper", {"meta_batch": 1, "train_way": 30, "query": 15}),
        ("r2d2", "paper", {"meta_lr": 5e-3, "train_way": 16, "query": 15}),
        ("maml", "quick", {"filters": 64, "inner_lr": 0.05, "inner_steps": 3, "test_steps": 5}),
        ("maml", "paper", {"filters": 64, "inner_lr": 0.01, "inner_steps": 5, "meta_batch": 4, "test_steps": 10}),
    ],
)
def test_of_photographs(name, preset, expected):
    options = Choice.of(name, "cifar-fs", preset=preset).options({}, way=5, shot=1)
    assert expected == {option: options[option] for option in expected}
