"""Distances of rows from the differences themselves.

As ``|a|^2 - 2 a.b + |b|^2`` they would cancel: of rows of size 1e4 that are 1 apart nothing is left in float32.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def squared_distances(a: Float[Tensor, "*b m f"], b: Float[Tensor, "*b n f"]) -> Float[Tensor, "*b m n"]:
    """``|a_i - b_j|^2`` of each with each, in float32 at least; nothing of size m * n * f is made.

    >>> squared_distances(torch.tensor([[1e5 + 3.0]]), torch.tensor([[1e5], [1e5 + 5]]))
    tensor([[9., 4.]])
    """
    dtype = torch.promote_types(a.dtype, torch.float32)
    return torch.cdist(a.to(dtype), b.to(dtype), compute_mode="donot_use_mm_for_euclid_dist").square()


def cosine_distances(a: Float[Tensor, "*b m f"], b: Float[Tensor, "*b n f"]) -> Float[Tensor, "*b m n"]:
    """1 - cos of the angle of each with each: half the squared distance of the rows at length 1 (of zeros: 1)."""
    dtype = torch.promote_types(a.dtype, torch.float32)
    u, v = (F.normalize(rows.to(dtype), dim=-1) for rows in (a, b))
    zeros = [0.5 * (rows == 0).all(-1).to(dtype) for rows in (u, v)]
    return squared_distances(u, v) / 2 + zeros[0].unsqueeze(-1) + zeros[1].unsqueeze(-2)
