"""Losses and scores, one number per task."""

import pytest
import torch
import torch.nn.functional as F

import quickstudy as qs
from quickstudy.core.losses import (
    check_loss,
    mean_of,
    score_name,
    std_of,
    task_losses,
    task_scores,
)
from quickstudy.core.scores import score

RNG = torch.Generator().manual_seed(0)
LOGITS = torch.randn(3, 6, 4, generator=RNG, dtype=torch.float64)
LABELS = torch.randint(4, (3, 6), generator=RNG)
VALUES = torch.randn(3, 6, 2, generator=RNG, dtype=torch.float64)
TARGETS = torch.randn(3, 6, 2, generator=RNG, dtype=torch.float64)


def test_named_losses_are_torchs_own_task_by_task():
    for loss, predictions, y, alone in (
        ("cross_entropy", LOGITS, LABELS, F.cross_entropy),
        ("mse", VALUES, TARGETS, F.mse_loss),
    ):
        expected = torch.stack([alone(p, t) for p, t in zip(predictions, y, strict=True)])
        torch.testing.assert_close(task_losses(loss, predictions, y), expected)


def test_gaussian_is_minus_the_log_density_of_all_outputs():
    predictions = torch.stack([VALUES, TARGETS.roll(1, 0).exp()], -1)
    expected = -torch.distributions.Normal(mean_of(predictions), std_of(predictions)).log_prob(TARGETS)
    torch.testing.assert_close(task_losses("gaussian", predictions, TARGETS), expected.sum(2).mean(1))
    assert score_name("gaussian", TARGETS) == "gaussian"
    assert not score("gaussian").larger_is_better
    assert torch.isnan(task_losses("gaussian", predictions, torch.where(TARGETS > 1, torch.nan, TARGETS)).mean())


def test_bits_are_scored_by_the_share_that_is_wrong():
    bits = (TARGETS > 0).double()
    expected = torch.stack([F.binary_cross_entropy_with_logits(p, t) for p, t in zip(VALUES, bits, strict=True)])
    torch.testing.assert_close(task_losses("bits", VALUES, bits), expected)
    logits = torch.tensor([[[2.0, -1.0], [0.5, -3.0]], [[1.0, 1.0], [-1.0, 1.0]]])
    asked = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [0.0, 1.0]]])
    assert task_scores("bits", logits, asked).tolist() == [0.25, 0.0]
    assert score_name("bits", asked) == "bit_error"
    assert not score("bit_error").larger_is_better
    with pytest.raises(qs.UsageError, match="floating point"):
        task_losses("bits", logits, asked.long())


def test_cross_entropy_is_right_by_hand():
    logits = torch.tensor([[[0.0, 0.0], [0.0, 3.0]]]).log_softmax(-1)
    found = task_losses("cross_entropy", logits, torch.tensor([[0, 1]]))
    expected = (torch.tensor(2.0).log() + (1 + torch.tensor(-3.0).exp()).log()) / 2
    torch.testing.assert_close(found, expected[None])


def test_a_callable_sees_one_task_at_a_time():
    seen = []

    def smooth(predictions, targets):
        seen.append((predictions.shape, targets.shape))
        return F.cross_entropy(predictions, targets, label_smoothing=0.1)

    found = task_losses(smooth, LOGITS, LABELS)
    assert found.shape == (3,)
    assert seen == [((6, 4), (6,))] * 3
    torch.testing.assert_close(found[1], F.cross_entropy(LOGITS[1], LABELS[1], label_smoothing=0.1))


def test_a_callable_that_gives_more_than_a_number_is_refused():
    with pytest.raises(qs.UsageError, match=r"a scalar for each task, got \[6\]"):
        task_losses(lambda p, t: F.cross_entropy(p, t, reduction="none"), LOGITS, LABELS)


def test_scores():
    hits = [
        [int(row.argmax()) == int(y) for row, y in zip(*task, strict=True)] for task in zip(LOGITS, LABELS, strict=True)
    ]
    accuracy = [sum(task) / 6 for task in hits]
    for loss in ("cross_entropy", F.cross_entropy):
        assert score_name(loss, LABELS) == "accuracy"
        torch.testing.assert_close(task_scores(loss, LOGITS, LABELS), torch.tensor(accuracy))
    assert score_name("mse", TARGETS) == "mse"
    torch.testing.assert_close(task_scores("mse", VALUES, TARGETS), task_losses("mse", VALUES, TARGETS))
    assert score_name(F.l1_loss, TARGETS) == "loss"
    torch.testing.assert_close(task_scores(F.l1_loss, VALUES, TARGETS)[0], F.l1_loss(VALUES[0], TARGETS[0]))


@pytest.mark.parametrize(
    ("loss", "predictions", "y", "text"),
    [
        ("cross_entropy", LOGITS[..., :3], torch.full((3, 6), 3), "labels run from 3 to 3.*3 outputs.*out_features"),
        ("cross_entropy", LOGITS, LABELS - 9, "labels run from -"),
        ("cross_entropy", LOGITS, LABELS.double(), "integer labels.*loss='mse'"),
        ("cross_entropy", LOGITS[..., 0], LABELS, r"predictions \[tasks, n, classes\]"),
        ("gaussian", VALUES, TARGETS, r"predictions \[3, 6, 2, 2\], .* of y \[3, 6, 2\], got \[3, 6, 2\].*loss='mse'"),
        ("mse", VALUES[..., 0], TARGETS, r"shaped as y \[3, 6, 2\], got \[3, 6\]"),
    ],
)
def test_what_does_not_fit_is_said(loss, predictions, y, text):
    with pytest.raises(qs.UsageError, match=text):
        task_losses(loss, predictions, y)


def test_an_unknown_loss():
    with pytest.raises(qs.UsageError, match=r"cross_entropy, mse, gaussian, bits or a callable.*got 'hinge'"):
        check_loss("hinge")
    with pytest.raises(qs.UsageError, match="hinge"):
        qs.MAML(qs.nets.MLP(), loss="hinge")
    check_loss(F.l1_loss)
