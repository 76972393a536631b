"""Several heads fitted at once, weighed by how well each answers for rows that it was not fitted to.

    loss_i = mean over held-out rows of -log softmax(b_i s_i)_y        b_i: the head's sharpness (one over temperature)
    w_i    ~ share_i exp(-n (loss_i - min loss))                       pseudo-BMA weights
    p      = softmax(b sum_i w_i b_i s_i)

b_i and b are those of least held-out loss under a normal prior on their logarithm, as few rows say little. A head named
by the caller is an ensemble of one. Where every class has a single example nothing can be held out: weights and
sharpnesses are then those that were best on other data. Heads see all classes as if they had equally many examples: how
many somebody has of each says little of how many are asked. (Yao, Vehtari, Simpson, Gelman: Using stacking to average
Bayesian predictive distributions. Bayesian Analysis 2018; Guo et al.: On calibration of modern neural networks. ICML
2017.)
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.apply.background import Component
from quickstudy.apply.heads.answers import Answers, Scores
from quickstudy.apply.heads.candidates import LENGTH, STANDARD, USUAL, Candidate
from quickstudy.apply.heads.centroid import centroid
from quickstudy.apply.heads.span import Span
from quickstudy.apply.heads.transform import Centre, Spec, Transform

SPREAD = 0.3
"""Standard deviation of a log sharpness between tasks, on data that nothing is tested on."""
NEAR = Spec(power=True, shrink=True, centre=Centre.KNOWN)


@dataclass(frozen=True)
class Ensemble:
    """What was fitted.

    Attributes:
        answers: probabilities and unknown scores of any rows.
        weights: of the candidates, in their order; their sum is 1.
        held_out: the probabilities of the rows of the fit by heads that were fitted without their fold, nan where a row
            is in every fitting.
        unlike: their unknown scores, likewise.
        apart: one less the mean cosine of rows of different classes.
    """

    answers: Answers
    weights: Float[np.ndarray, " candidates"]
    held_out: Float[np.ndarray, "n classes"]
    unlike: Float[np.ndarray, " n"]
    apart: float


def ensemble(
    x: Float[np.ndarray, "n f"],
    y: Int[np.ndarray, " n"],
    weight: Float[np.ndarray, " n"],
    fold: Int[np.ndarray, " n"],
    among: tuple[Candidate, ...],
    known: Component | None = None,
    *,
    calibrate: bool = True,
) -> Ensemble:
    """Fit the candidates and weigh them.

    Args:
        x: features.
        y: classes.
        weight: of the rows.
        fold: in which each is held out.
        among: the candidates.
        known: of a background.
        calibrate: whether sharpnesses are measured, or those of other data.
    """
    classes = int(y.max()) + 1
    even = weight * weight.sum() / (classes * np.bincount(y, weight)[y])
    rows, w = torch.from_numpy(x), torch.from_numpy(even)
    spans: dict[Spec, Span] = {}

    def span(spec: Spec) -> Span:
        if spec not in spans:
            transform = Transform(spec, x.shape[1], known)
            spans[spec] = Span.of(transform.fit(rows, w), rows)
        return spans[spec]

    near = NEAR if known is not None else STANDARD if among[0].spec == STANDARD else LENGTH
    to_mean = Candidate(centroid, near, 1.0)
    apart = _apart(span(near).transformed(w, fold >= -1), y, even)
    usual = 1.0 if near == STANDARD else max(apart, 1e-3) / USUAL[known is not None]
    examples = float(weight.sum()) / classes
    held = np.where(fold >= 0, weight, 0)
    scores, sharpness, losses = [], [], []
    for candidate in among:
        own = span(candidate.spec).scores(candidate, y, w, fold)
        sure = sharpest(own, y, held, candidate.prior(examples, usual), calibrate=calibrate)
        scores.append(own)
        sharpness.append(sure)
        losses.append(_losses(own, y, held, np.array([sure]))[0])
    weights = np.array([c.share for c in among]) * np.exp(min(losses) - np.array(losses))
    weights /= weights.sum()
    mixed = np.sum([part * sure * own for part, sure, own in zip(weights, sharpness, scores, strict=True)], 0)
    last = sharpest(mixed, y, held, 1.0, calibrate=calibrate)
    return Ensemble(
        Answers(
            _joined(among, last * weights * np.array(sharpness), spans, y, w),
            Scores(span(near).transform, *span(near).fit(to_mean, y, w)),
        ),
        weights,
        torch.from_numpy(last * mixed).softmax(1).numpy(),
        1 - span(near).scores(to_mean, y, w, fold).max(1),
        apart,
    )


def _apart(z: NDArray[np.float64], y: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """One less the mean cosine of rows of different classes."""
    sums = np.stack([weight[y == c] @ z[y == c] for c in range(int(y.max()) + 1)])
    counts = np.bincount(y, weight)
    products = (sums.sum(0) ** 2).sum() - (sums**2).sum()
    return float(1 - products / (counts.sum() ** 2 - (counts**2).sum()))


def _joined(
    among: tuple[Candidate, ...], by: NDArray[np.float64], spans: dict[Spec, Span], y: NDArray[np.int64], w: Tensor
) -> list[Scores]:
    """The sum of the candidates' scores, those on one transform as one linear map."""
    found = {}
    for candidate, times in zip(among, by, strict=True):
        if times > 1e-6 * by.max():
            parts = [float(times) * part for part in spans[candidate.spec].fit(candidate, y, w)]
            before = found.get(candidate.spec)
            found[candidate.spec] = parts if before is None else [a + b for a, b in zip(before, parts, strict=True)]
    return [Scores(spans[spec].transform, *parts) for spec, parts in found.items()]


def sharpest(
    scores: Float[np.ndarray, "n classes"],
    y: Int[np.ndarray, " n"],
    held: Float[np.ndarray, " n"],
    prior: float,
    *,
    calibrate: bool,
) -> float:
    """What to multiply scores by for the best held-out likelihood, given what it is elsewhere."""
    if not calibrate or not held.any():
        return prior
    steps = np.linspace(-2, 2, 81)
    losses = _losses(scores, y, held, prior * np.exp(steps)) + (steps / SPREAD) ** 2 / 2
    return float(prior * np.exp(steps[losses.argmin()]))


def _losses(
    scores: NDArray[np.float64], y: NDArray[np.int64], held: NDArray[np.float64], sharpness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minus the log-likelihood of the held-out rows, for each sharpness."""
    there = held > 0
    logits = torch.from_numpy(sharpness[:, None, None] * scores[there])
    right = logits.log_softmax(-1)[:, torch.arange(int(there.sum())), torch.from_numpy(y[there])]
    return -(right @ torch.from_numpy(held[there])).numpy()
