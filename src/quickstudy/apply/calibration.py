"""Is a solver as sure as it is right: calibration of probabilities, and the likelihood of what an ensemble says.

Axes: t tasks, d draws, n examples, k classes, p outputs.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.errors import UsageError


def calibration_error(
    probabilities: Float[Tensor, "*items k"], y: Int[Tensor, "*items"], *, bins: int = 15
) -> Float[Tensor, ""]:
    """The expected calibration error: by how much confidence and accuracy differ.

    Items are put into bins of equal width by the probability of the class that is predicted. In each bin the mean of
    that probability is the confidence, and the share of right predictions the accuracy; the error is the mean of
    their distances, weighted by the items in each bin. 0 is best. (Guo et al.: On Calibration of Modern Neural
    Networks. ICML 2017.)

    Args:
        probabilities: of the classes, not logits.
        y: labels.
        bins: number of bins, >= 1.

    Raises:
        UsageError: no bins, or what are no probabilities.

    >>> p = torch.tensor([[0.8, 0.2], [0.8, 0.2]])
    >>> round(float(calibration_error(p, torch.tensor([0, 1]))), 4)  # 80% sure, right in half
    0.3
    """
    if bins < 1 or not torch.allclose(probabilities.sum(-1), torch.ones((), dtype=probabilities.dtype), atol=1e-3):
        raise UsageError(f"calibration_error needs bins >= 1 (got {bins}) and probabilities that sum to 1, not logits.")
    confidence, predicted = probabilities.flatten(0, -2).max(-1)
    right = (predicted == y.flatten()).to(confidence.dtype)
    which = (confidence * bins).ceil().long().clamp(1, bins) - 1
    gaps = torch.zeros(bins, dtype=confidence.dtype, device=confidence.device).index_add_(0, which, confidence - right)
    return gaps.abs().sum() / len(confidence)


def class_log_likelihood(each: Float[Tensor, "t d n k"], y: Int[Tensor, "t n"]) -> Float[Tensor, " t"]:
    """Log-likelihood per example, in nats, of the mean of the draws' probabilities (``each``: their logits)."""
    log_p = each.log_softmax(-1).logsumexp(1) - math.log(each.shape[1])
    return log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1).mean(1)


def value_log_likelihood(
    each: Float[Tensor, "t d n p"], y: Float[Tensor, "t n p"], noise: float
) -> Float[Tensor, " t"]:
    """Log-likelihood per example, in nats, of a normal distribution with the draws' mean and standard deviation.

    Its variance is that of the draws (over their number) plus ``noise`` squared; with a single draw it is the noise
    alone. Choose the noise on other tasks, see ``best_noise``.
    """
    variance = each.var(1, correction=0) + noise**2
    nats = (y - each.mean(1)).square() / variance / 2 + variance.log() / 2 + math.log(2 * math.pi) / 2
    return -nats.sum(-1).mean(1)


def best_noise(each: Float[Tensor, "t d n p"], y: Float[Tensor, "t n p"]) -> float:
    """The noise, of 61 between 1e-3 and 1e1, under which ``value_log_likelihood`` is largest."""
    candidates = [float(noise) for noise in torch.logspace(-3, 1, 61)]
    found = [float(value_log_likelihood(each, y, noise).mean()) for noise in candidates]
    return candidates[found.index(max(found))]
