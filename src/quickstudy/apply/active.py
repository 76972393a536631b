"""Which rows of a pool to label next: those of which the classifier is unsure, no two of them alike.

For each row the gradient of the loss in the last layer, if its most probable class were its label, is

    g = (p - e) z'        p: probabilities, e: the most probable class as a unit vector, z: features

Rows are taken one after the other, each the farthest from all that were taken (the first: the longest). (Ash, Zhang,
Krishnamurthy, Langford, Agarwal: Deep batch active learning by diverse, uncertain gradient lower bounds. ICLR 2020,
where rows are drawn with that probability.)
"""

import numpy as np
from jaxtyping import Float, Int


def farthest(
    probabilities: Float[np.ndarray, "m classes"], z: Float[np.ndarray, "m f"], n: int
) -> Int[np.ndarray, " n"]:
    """The places of n rows."""
    a = probabilities.copy()
    a[np.arange(len(a)), a.argmax(1)] -= 1
    length = (a**2).sum(1) * (z**2).sum(1)
    distance, found = length.copy(), []
    for _ in range(n):
        best = int(distance.argmax())
        found.append(best)
        distance = np.minimum(distance, length + length[best] - 2 * (a @ a[best]) * (z @ z[best]))
        distance[found] = -1
    return np.array(found, np.int64)
