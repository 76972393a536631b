"""The cosine to each class's mean: what cannot overfit. (Snell et al.: Prototypical networks. NeurIPS 2017.)"""

import numpy as np
from jaxtyping import Float, Int


def centroid(
    x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """Weights and biases of the classes' scores."""
    classes = int(y.max()) + 1
    means = np.stack([weight[y == c] @ x[y == c] for c in range(classes)])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    return means / np.where(lengths > 0, lengths, 1), np.zeros(classes)
