"""A linear support vector machine, one class against the rest."""

import numpy as np
from jaxtyping import Float, Int
from sklearn.svm import LinearSVC

from quickstudy.apply.heads.logistic import both


def svm(
    x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], *, strength: float = 1.0
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """Weights and biases of the classes' scores."""
    found = LinearSVC(C=strength, random_state=0).fit(x, y, sample_weight=weight)
    return both(np.asarray(found.coef_), np.asarray(found.intercept_))
