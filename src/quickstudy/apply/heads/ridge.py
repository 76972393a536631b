"""Least squares to the classes' indicators, with a penalty: in closed form. (Bertinetto et al.: R2-D2. ICLR 2019.)"""

import numpy as np
from jaxtyping import Float, Int
from sklearn.linear_model import Ridge


def ridge(
    x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"], *, penalty: float = 1.0
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """Weights and biases of the classes' scores."""
    found = Ridge(alpha=penalty).fit(x, np.eye(int(y.max()) + 1)[y], sample_weight=weight)
    return found.coef_, found.intercept_
