"""Thresholds and sets of classes with a stated coverage, from what was held out.

A set holds the classes whose probability is at least q. With the probabilities p_1 .. p_n that held-out rows gave their
right class, q is their quantile below which a share 1 - coverage of new rows falls, whatever the probabilities are
worth, as long as new rows are drawn as these were:

    q = the (1 - coverage)(n + 1)-th smallest of p_1 .. p_n, between two of them by interpolation

(Sadinle, Lei, Wasserman: Least ambiguous set-valued classifiers with bounded error levels. JASA 2019; Vovk: Cross-
conformal predictors. 2015: each fold's rows are judged by a classifier that was fitted to the others.)
"""

import math
from statistics import NormalDist

import numpy as np
from jaxtyping import Float, Int


def quantile(values: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"], share: float) -> float:
    """The number below which a share of new values falls, where these are drawn as they are.

    The i-th smallest of n has i / (n + 1) below it. Beyond the smallest and the largest of few, where no value says
    anything, it is that of a normal distribution of their mean and standard deviation, or the smallest and the largest
    where that is less far out.

    Args:
        values: what is known.
        weight: of each, in values.
        share: in (0, 1).

    >>> ones = np.ones(9)
    >>> quantile(np.arange(1.0, 10.0), ones, 0.3), quantile(np.arange(1.0, 10.0), ones, 0.25)
    (3.0, 2.5)
    """
    order = np.argsort(values)
    v, w = values[order], weight[order]
    total = w.sum()
    below = (np.cumsum(w) - w / 2 + 0.5) / (total + 1)
    found = float(np.interp(share, below, v))
    if below[0] <= share <= below[-1]:
        return found
    mean = float(w @ v / total)
    std = math.sqrt(float(w @ (v - mean) ** 2 / total) * (1 + 1 / total))
    beyond = mean + std * NormalDist().inv_cdf(share)
    return min(found, beyond) if share < below[0] else max(found, beyond)


def set_threshold(
    held_out: Float[np.ndarray, "n classes"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], coverage: float
) -> float | None:
    """The least probability of a class in a set; None where nothing was held out.

    Args:
        held_out: probabilities of rows, nan where a row was never held out.
        y: their classes.
        weight: of the rows.
        coverage: in (0, 1).
    """
    there = ~np.isnan(held_out[:, 0])
    if not there.any():
        return None
    return quantile(held_out[there, y[there]], weight[there], 1 - coverage)


def own_word(probabilities: Float[np.ndarray, "n classes"], coverage: float) -> float:
    """The threshold at which sets cover rows by the rows' own probabilities, taken at their word.

    >>> own_word(np.array([[0.6, 0.3, 0.1]]), 0.9)
    0.3
    """
    p = np.sort(probabilities, axis=None)[::-1]
    enough = int(np.searchsorted(np.cumsum(p), coverage * len(probabilities) - 1e-9))
    return float(p[min(enough, len(p) - 1)])
