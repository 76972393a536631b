"""The tests check types and shapes, each from its first call on."""

import pytest
import torch
from jaxtyping import TypeCheckError

import quickstudy as qs
import typechecks
from quickstudy.core.losses import task_losses


def wrong_type():
    qs.tasks.Sinusoids().sample("three", 0)


def wrong_shape():
    task_losses("mse", torch.zeros(2, 3, 1), torch.zeros(4))


@pytest.mark.parametrize("call", [wrong_type, wrong_shape])
def test_what_does_not_fit_is_found(call):
    with pytest.raises(TypeCheckError):
        call()


def test_after_a_long_loop_nothing_is_checked():
    for seed in range(typechecks.LIMIT):
        qs.tasks.Sinusoids(query=1).sample(1, seed)
    with pytest.raises(ValueError, match="three"):  # of Python's own
        wrong_type()


def test_the_next_test_is_checked_again():
    test_what_does_not_fit_is_found(wrong_type)
