"""Which rows of a pool to label next: unsure ones that are like many others, no two of them alike.

Rows are taken one after the other, each the best by

    |p_i - e_i|  times  the mean cosine of row i to the tenth of the pool that is nearest to it
                 times  1 - its cosine to the nearest row that was taken

with p_i the probabilities of row i and e_i its most probable class as a unit vector: the size of the loss's gradient,
if that were the label. The other factors were chosen on validation classes of CIFAR-FS. (Settles, Craven: An analysis
of active learning strategies for sequence labeling tasks. EMNLP 2008: information density; Ash, Zhang, Krishnamurthy,
Langford, Agarwal: Deep batch active learning by diverse, uncertain gradient lower bounds. ICLR 2020.)
"""

import numpy as np
from jaxtyping import Float, Int

AMONG = 1000
"""Rows at most that stand for the pool."""


def most_telling(
    probabilities: Float[np.ndarray, "m classes"], z: Float[np.ndarray, "m f"], n: int
) -> Int[np.ndarray, " n"]:
    """The places of n rows, the best first.

    Args:
        probabilities: of the pool's rows.
        z: their features; cosines of alike rows are large.
        n: at most m.
    """
    gradient = probabilities.copy()
    gradient[np.arange(len(z)), gradient.argmax(1)] -= 1
    z = z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-12)
    cosines = z @ z[:: -(-len(z) // AMONG)].T
    near = max(1, cosines.shape[1] // 10)
    worth = np.linalg.norm(gradient, axis=1) * np.partition(cosines, -near, axis=1)[:, -near:].mean(1).clip(min=0)
    taken: list[int] = []
    apart = np.ones(len(z))
    for _ in range(n):
        left = worth * apart
        left[taken] = -1
        taken.append(int(left.argmax()))
        apart = np.minimum(apart, 1 - (z @ z[taken[-1]]).clip(0, 1))
    return np.array(taken, np.int64)
