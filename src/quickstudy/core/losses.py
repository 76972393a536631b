"""Losses and scores of a batch of tasks: one number per task."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from quickstudy.core.errors import UsageError
from quickstudy.core.pad import present, refuse

TaskLoss: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""``loss(predictions [n, ...], targets [n, ...]) -> scalar`` of ONE task, as ``F.cross_entropy`` and ``F.mse_loss``."""

NAMED = ("cross_entropy", "mse", "gaussian", "bits")
"""``gaussian``: minus the log-likelihood of each example, in nats, under predictions that are a mean and a standard
deviation (> 0) for each output, side by side on a last axis more than y has (see ``mean_of``, ``std_of``).
``bits``: binary cross-entropy of logits, in nats per bit, for targets 0.0 or 1.0; scored by the share of wrong bits.
"""
NO_LABEL = -(2**62)  # torch's own default, -100, would drop a wrong label without a word


@dataclass(frozen=True)
class WithPenalty:
    """A task's loss plus a penalty that the network computes: of its activations, its gates, its experts' load.

    The network hands it on as one output more, the last, for each example: ``torch.cat([logits, penalty], -1)`` with a
    penalty ``[n, 1]``. On the network itself (``self.kl = ...``) no loss could read it, since tasks run side by side.

    Args:
        loss: of the other outputs, by name or as a callable; it says the score, too.
        weight: factor on the mean penalty of a task's examples.

    >>> outputs = torch.tensor([[2.0, 0.0, 0.5], [0.0, 2.0, 1.5]])
    >>> both, alone = WithPenalty("cross_entropy", weight=10.0), F.cross_entropy(outputs[:, :2], torch.tensor([0, 1]))
    >>> round(float(both(outputs, torch.tensor([0, 1])) - alone), 4)
    10.0
    """

    loss: str | TaskLoss = "cross_entropy"
    weight: float = 1.0

    def __call__(self, predictions: Tensor, targets: Tensor) -> Tensor:
        """Of one task, predictions ``[n, outputs + 1]``."""
        own = task_losses(self.loss, predictions[None, ..., :-1], targets[None])[0]
        return own + self.weight * predictions[..., -1].mean()


def check_loss(loss: str | TaskLoss) -> None:
    """Raise ``UsageError`` for a loss that is neither a known name nor a callable."""
    if not callable(loss) and loss not in NAMED:
        raise UsageError(f"loss must be one of {', '.join(NAMED)} or a callable of one task, got {loss!r}.")


def task_losses(
    loss: str | TaskLoss,
    predictions: Shaped[Tensor, "tasks n ..."],
    y: Shaped[Tensor, "tasks n ..."],
    *,
    padding: bool = False,
) -> Float[Tensor, " tasks"]:
    """The mean loss over each task's examples, ``[tasks]``.

    Args:
        loss: by name, or of one task.
        predictions: of each example.
        y: labels, or values.
        padding: there is padding among the examples (``pad.padded``), which does not count.

    Raises:
        UsageError: predictions whose shape does not fit the targets (a head smaller than the way, say), or a loss
            that gives more than one number.
    """
    if padding:
        each = [
            task_losses(loss, p[None, there], t[None, there])
            for p, t, there in zip(predictions, y, present(y), strict=True)
        ]
        return torch.cat(each)
    if y.is_floating_point() and y.dtype != predictions.dtype:
        both = torch.promote_types(predictions.dtype, y.dtype)
        predictions, y = predictions.to(both), y.to(both)
    if loss == "cross_entropy":
        _check_logits(predictions, y)
        if _fails_late(y) and y.numel() and not 0 <= (ends := label_range(y))[0] <= ends[1] < predictions.shape[-1]:
            raise _beyond_the_head(predictions, y)
        try:
            losses = F.cross_entropy(predictions.flatten(0, 1), y.flatten(), reduction="none", ignore_index=NO_LABEL)
        except IndexError as error:  # the kernel looks at every label anyway
            refuse(y, "this learner's loss counts all examples")
            raise _beyond_the_head(predictions, y) from error
        return losses.view(y.shape).mean(1)
    if loss == "mse":
        if predictions.shape != y.shape:
            raise UsageError(f"mse needs predictions shaped as y {list(y.shape)}, got {list(predictions.shape)}.")
        return F.mse_loss(predictions, y, reduction="none").flatten(1).mean(1)
    if loss == "gaussian":
        if predictions.shape != (*y.shape, 2):
            raise UsageError(
                f"gaussian needs predictions [{', '.join(map(str, (*y.shape, 2)))}], the mean and the std of each "
                f"value of y {list(y.shape)}, got {list(predictions.shape)}; for plain values set loss='mse'."
            )
        std = std_of(predictions)
        nats = ((y - mean_of(predictions)) / std).square() / 2 + std.log() + math.log(2 * math.pi) / 2
        return nats.flatten(2).sum(2).mean(1)
    if loss == "bits":
        if predictions.shape != y.shape or not y.is_floating_point():
            raise UsageError(
                f"bits needs logits shaped as y {list(y.shape)} and y in floating point (0.0 or 1.0), got predictions "
                f"{list(predictions.shape)} and y {y.dtype}."
            )
        return F.binary_cross_entropy_with_logits(predictions, y, reduction="none").flatten(1).mean(1)
    assert callable(loss), "check_loss lets no other loss pass"
    losses = [loss(p, t) for p, t in zip(predictions, y, strict=True)]
    if losses[0].ndim:
        raise UsageError(f"a loss must give a scalar for each task, got {[*losses[0].shape]}; take its mean.")
    return torch.stack(losses)


def task_scores(
    loss: str | TaskLoss,
    predictions: Shaped[Tensor, "tasks n ..."],
    y: Shaped[Tensor, "tasks n ..."],
    *,
    padding: bool = False,
) -> Float[Tensor, " tasks"]:
    """What is reported beside the loss, ``[tasks]``: accuracy for labels, wrong bits, else the loss itself."""
    if padding:
        each = [
            task_scores(loss, p[None, there], t[None, there])
            for p, t, there in zip(predictions, y, present(y), strict=True)
        ]
        return torch.cat(each)
    if isinstance(loss, WithPenalty):
        return task_scores(loss.loss, predictions[..., :-1], y)
    if score_name(loss, y) == "accuracy":
        return (predictions.argmax(-1) == y).float().mean(1)
    if loss == "bits":
        return ((predictions > 0) != (y > 0.5)).float().flatten(1).mean(1)
    return task_losses(loss, predictions, y)


def mean_of(predictions: Shaped[Tensor, "*y 2"]) -> Shaped[Tensor, "*y"]:
    """The means of ``gaussian`` predictions."""
    return predictions[..., 0]


def std_of(predictions: Shaped[Tensor, "*y 2"]) -> Shaped[Tensor, "*y"]:
    """The standard deviations of ``gaussian`` predictions."""
    return predictions[..., 1]


def score_name(loss: str | TaskLoss, y: Tensor) -> str:
    """``accuracy`` for integer labels ``[tasks, n]``, ``bit_error`` for bits, else the loss's own name."""
    if isinstance(loss, WithPenalty):
        return score_name(loss.loss, y)
    if y.ndim == 2 and not y.is_floating_point():
        return "accuracy"
    if loss == "bits":
        return "bit_error"
    return loss if isinstance(loss, str) else "loss"


def query_loss(
    loss: str | TaskLoss, predictions: Tensor, y: Tensor, *, padding: bool = False
) -> tuple[Tensor, dict[str, Tensor]]:
    """The mean over tasks of the query loss, and the diagnostics that every learner reports."""
    mean = task_losses(loss, predictions, y, padding=padding).mean()
    score = task_scores(loss, predictions.detach(), y, padding=padding).mean()
    return mean, {"loss": mean.detach(), score_name(loss, y): score.detach()}


def label_range(y: Tensor) -> tuple[int, int]:
    """The smallest and the largest label; asked of a device once for the same tensor, as inner steps do."""
    known = _ranges.get(y)
    if known is None or known[0] != y._version:
        ends = torch.stack([*y.aminmax()]).tolist()
        _ranges[y] = known = (y._version, (int(ends[0]), int(ends[1])))
    return known[1]


_ranges: Any = WeakTensorKeyDictionary()


def _fails_late(y: Tensor) -> bool:
    """Whether a wrong label would be found by an assertion on the device, after which nothing runs there any more."""
    return y.device.type == "cuda"


def _beyond_the_head(predictions: Tensor, y: Tensor) -> UsageError:
    return UsageError(
        f"labels run from {int(y.min())} to {int(y.max())}, but the model gives {predictions.shape[-1]} outputs; build "
        f"it with out_features = way (at least {int(y.max()) + 1}), or sample tasks of a smaller way."
    )


def _check_logits(predictions: Tensor, y: Tensor) -> None:
    if predictions.ndim != 3 or predictions.shape[:2] != y.shape:
        raise UsageError(
            f"cross_entropy needs predictions [tasks, n, classes] for labels {list(y.shape)}, got "
            f"{list(predictions.shape)}; the model must map [n, ...] to [n, classes]."
        )
    if y.is_floating_point():
        raise UsageError(f"cross_entropy needs integer labels, got {y.dtype}; for regression set loss='mse'.")
