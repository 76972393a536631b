"""How a context transformer compares rows: by weighted and by whitened columns, both read from the support."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.by_hand import in_full_precision


@dataclass(frozen=True)
class Comparison:
    """Several views of a row, in which it can be compared with another.

    Args:
        weights: of the columns, ``[tasks, groups, f]``.
        white: what whitens them, ``[tasks, whitened, f, f]``, or None.
    """

    weights: Tensor
    white: Tensor | None

    def view(self, rows: Float[Tensor, "tasks n f"]) -> Float[Tensor, "tasks views n f"]:
        """Rows in each view."""
        weighted = rows.unsqueeze(1) * self.weights.clamp(min=1e-12).sqrt().unsqueeze(2)
        return weighted if self.white is None else torch.cat([weighted, rows.unsqueeze(1) @ self.white], 1)


@in_full_precision
def compare(
    a: Float[Tensor, "tasks views m f"], b: Float[Tensor, "tasks views n f"]
) -> Float[Tensor, "tasks relations m n"]:
    """Scalar products, negative squared distances and negative distances of rows, in each view."""
    # Distances are those of the rows less what they have in common, whose square would drown them.
    common = b.detach().mean(-2, keepdim=True)
    from_a, from_b = a - common, b - common
    sizes = from_a.square().sum(-1).unsqueeze(-1) + from_b.square().sum(-1).unsqueeze(-2)
    squared = (sizes - 2 * from_a @ from_b.mT).clamp(min=0)
    return torch.cat([a @ b.mT, -squared, -(squared + 1e-4).sqrt()], 1)


def facts_of(rows: Tensor, keep: Tensor, there: Tensor) -> Float[Tensor, "tasks 3"]:
    """Logarithms of the numbers of rows, outputs and columns that are not all zero."""
    columns = (rows != 0).any(1).sum(-1).clamp(min=1).to(rows.dtype)
    return torch.stack([keep.sum((1, 2)).log() / 3, there.sum(-1).to(rows.dtype).log(), columns.log() / 3], -1)


@in_full_precision
def column_weights(
    weigh: Callable[[Tensor], Tensor], rows: Tensor, labels: Tensor, keep: Tensor, facts: Tensor
) -> Float[Tensor, "tasks groups f"]:
    """How much each column counts in each group: ``weigh`` of five statistics of the column and the facts.

    The statistics: the squared correlation with the outputs (the largest, its F ratio, and the mean), the mean
    squared correlation with the other columns, and the fourth moment.
    """
    n = keep.sum(1, keepdim=True)
    outputs = facts[:, 1:2].exp()
    x = (rows - rows.sum(1, keepdim=True) / n) * keep
    y = (labels - labels.sum(1, keepdim=True) / n) * keep
    spread = x.square().sum(1)
    live = spread > 1e-6 * n[:, 0]
    x = x / spread.clamp(min=1e-9).sqrt().unsqueeze(1)
    y = y / y.square().sum(1, keepdim=True).clamp(min=1e-9).sqrt()
    explained = (x.mT @ y).square()
    most = explained.amax(-1).clamp(max=1 - 1e-4)
    ratio = (most / (1 - most) * n[:, 0]).clamp(min=1e-4)
    others = (x.mT @ x).square().sum(-1) / live.sum(-1, keepdim=True).clamp(min=1)
    moment = (x.pow(4).sum(1) * n[:, 0]).clamp(min=1)
    root = [t.clamp(min=1e-6).sqrt() for t in (most, explained.sum(-1) / outputs, others)]
    stats = torch.stack([root[0], ratio.log() / 3, root[1], root[2], moment.log() / 2], -1)
    stats = torch.cat([stats, facts.unsqueeze(1).expand(-1, stats.shape[1], -1)], -1)
    weights = F.softplus(weigh(stats)) * live.unsqueeze(-1)
    return (weights / weights.sum(1, keepdim=True).clamp(min=1e-9)).mT


@in_full_precision
def whitening(
    share: Float[Tensor, "tasks whitened"], rows: Tensor, labels: Tensor, keep: Tensor
) -> Float[Tensor, "tasks whitened f f"]:
    """What makes columns unrelated within classes, as in Fisher's discriminant.

    With S the covariance of what the labels leave unexplained, in units of its mean variance, and L L' the Cholesky
    factors of (1 - share) S + share I: the inverse of L', over the root of the number of columns.
    """
    n = keep.sum(1, keepdim=True)
    x = (rows - rows.sum(1, keepdim=True) / n) * keep
    outputs = torch.eye(labels.shape[-1], dtype=x.dtype, device=x.device)
    rest = x - labels @ torch.linalg.solve(labels.mT @ labels + 1e-3 * outputs, labels.mT @ x)
    within = rest.mT @ rest / n
    columns = (x != 0).any(1).sum(-1).to(x.dtype)
    size = within.diagonal(dim1=-2, dim2=-1).sum(-1) / columns.clamp(min=1) + 1e-3
    part = (share * 0.98 + 0.01)[..., None, None]
    eye = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
    factor = torch.linalg.cholesky((1 - part) * (within / size[:, None, None]).unsqueeze(1) + part * eye)
    inverse = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
    return inverse.mT / (columns + 1).sqrt()[:, None, None, None]
