"""Logistic regression of all classes at once, with a penalty."""

import numpy as np
from jaxtyping import Float, Int
from sklearn import config_context
from sklearn.linear_model import LogisticRegression


def logistic(
    x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], *, strength: float = 1.0
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """Weights and biases of the classes' scores; of two classes the scores are opposite."""
    with config_context(assume_finite=True, skip_parameter_validation=True):  # a third of the time
        found = LogisticRegression(C=strength, max_iter=1000).fit(x, y, sample_weight=weight)
    return both(found.coef_, found.intercept_)


def both(
    weights: Float[np.ndarray, "rows f"], biases: Float[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """A row for each class, where scikit-learn has one for two classes."""
    if len(weights) > 1:
        return weights, biases
    return np.concatenate([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
