"""Least squares to the classes' indicators, with a penalty: in closed form. (Bertinetto et al.: R2-D2. ICLR 2019.)"""

import numpy as np
from jaxtyping import Float, Int


def ridge(
    x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], *, penalty: float = 1.0
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """Weights and biases of the classes' scores; biases are not penalised."""
    asked = np.eye(int(y.max()) + 1)[y]
    mean, bias = (weight @ part / weight.sum() for part in (x, asked))
    weighed = weight[:, None] * (x - mean)
    found = np.linalg.solve(weighed.T @ (x - mean) + penalty * np.eye(x.shape[1]), weighed.T @ (asked - bias)).T
    return found, bias - found @ mean
