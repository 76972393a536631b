"""BD-CSPN: the rows that are asked help to find where the classes are.

    z_q  <-  z_q + mean of the labelled z - mean of the asked z                      a shift common to all is undone
    m_c   =  sum over labelled and asked rows taken for c of  a_j z_j,   a_j ~ exp(s cos(z_j, mean of c))
    p_qc  =  softmax_c( s' cos(z_q, m_c) )

It takes the asked rows for a fair sample of all classes: where most are of one class, leave it. (Liu, Song, Qin:
Prototype rectification for few-shot learning. ECCV 2020.)
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

SHARP = 10.0
"""s, as in the paper."""
SURE = 15.0
"""s', of classes that nothing is tested on."""


def bd_cspn(
    labelled: Float[Tensor, "n f"],
    y: Int[Tensor, " n"],
    weight: Float[Tensor, " n"],
    asked: Float[Tensor, "m f"],
) -> Float[Tensor, "m classes"]:
    """The probabilities of the asked rows.

    Args:
        labelled: transformed features.
        y: their classes, every one of ``0 .. classes - 1``.
        weight: of the labelled rows.
        asked: transformed features.
    """
    own = F.one_hot(y).to(labelled.dtype) * weight[:, None]
    means = F.normalize(own.T @ labelled, dim=1)
    shifted = F.normalize(asked + weight @ labelled / weight.sum() - asked.mean(0), dim=1)
    found = F.one_hot((shifted @ means.T).argmax(1), len(means)).to(asked.dtype)
    rows, of = torch.cat([labelled, shifted]), torch.cat([own, found])
    shares = (SHARP * rows @ means.T).exp() * of
    rectified = F.normalize((shares / shares.sum(0)).T @ rows, dim=1)
    return (SURE * shifted @ rectified.T).softmax(1)
