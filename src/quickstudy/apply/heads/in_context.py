"""A head that was trained over tasks of many classes: it reads the labelled rows and answers, nothing is fitted.

What it reads is the matrix G of products of the labelled rows, so that the encoder's width and the directions of its
features do not matter, and any number of classes and rows will do. Every pair of a row i and a class c has a code:

    h_ic   <-  h_ic + MLP( h_ic, sum_j G_ij h_jc / n, sum_j softmax_j(t G_ij) h_jc, mean of h_jc over the rows j of c,
                           mean of h_ic over the classes c, h_iy of the row's own class y )
    W_c    =   sum_i a_ic z_i,    a_ic = sum_k exp(s_k) a_ic(head k) + linear(h_ic)

so it started as a mixture of centroids and ridge regressions of three penalties (k), and learned the mixture (s, from
the mean of all codes) and what is to be added. Renaming classes renames the answers and the order of rows does not
matter, as in ``quickstudy.learners.in_context``; what comes out is a linear map, as of the plain heads. Trained by
``benchmarks/in_context_head.py``. (Fifty et al.: Context-aware meta-learning, CAML. ICLR 2024; von Oswald et al.:
Transformers learn in-context by gradient descent. ICML 2023.)

Axes: t tasks, n rows, c classes, k heads.
"""

import json
import math
from functools import cache
from importlib import resources

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from quickstudy.core.errors import RunError
from quickstudy.core.sealed import open_tensors

PENALTIES = (0.1, 0.3, 1.0)
START = (5.0, 2.0, 4.0, 6.0)
"""What the centroids and the ridge regressions are multiplied by before training."""
FILE = "in-context-head.safetensors"


def in_context(
    x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"], weight: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, "classes f"], Float[np.ndarray, " classes"]]:
    """Weights and biases of the classes' logits, by the head that comes with the package.

    Raises:
        RunError: its file is damaged.
    """
    z = torch.from_numpy(np.ascontiguousarray(x)).float()
    of = F.one_hot(torch.from_numpy(y)).float() * torch.from_numpy(weight).float()[:, None]
    with torch.no_grad():
        dual, bias = _shipped()((z @ z.T)[None], of[None])
    return (dual[0].T @ z).double().numpy(), bias[0].double().numpy()


class InContextHead(nn.Module):
    """Products of labelled rows and their classes to dual weights and biases.

    Args:
        width: of the codes.
        depth: how often they are updated.
    """

    def __init__(self, width: int = 32, depth: int = 3) -> None:
        super().__init__()
        self.read = nn.Linear(4 + len(PENALTIES), width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(7 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(depth)
        )
        self.sharp = nn.Parameter(torch.tensor([[3.0, 10.0]] * depth))
        self.end = nn.LayerNorm(width)
        self.mix, self.add, self.bias = nn.Linear(width, 1 + len(PENALTIES)), nn.Linear(width, 1), nn.Linear(width, 1)
        for layer in (self.mix, self.add, self.bias):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, g: Float[Tensor, "t n n"], y: Float[Tensor, "t n c"]) -> tuple[Tensor, Tensor]:
        """Dual weights ``[t, n, c]`` and biases ``[t, c]``.

        Args:
            g: products of rows of length about 1.
            y: a row's weight in its class's column, else 0.
        """
        n, c = y.shape[1:]
        duals, biases, left_out = plain_heads(g, y)
        counts = y.sum(1, keepdim=True)
        ways = torch.full_like(y, math.log(c / 5))
        h = self.read(torch.stack([y, *left_out, (counts / 5).log().expand_as(y), ways], -1))
        own = y / counts
        off = g - torch.diag_embed(g.diagonal(dim1=1, dim2=2))
        for norm, layer, sharp in zip(self.norms, self.layers, self.sharp, strict=True):
            u = norm(h)
            flat = u.flatten(2)
            near = [(torch.softmax(t * off, 2) @ flat).view_as(u) for t in sharp]
            linear = (off @ flat).view_as(u) * (5 * c / n)
            of_class = torch.einsum("bnc,bncd->bcd", own, u).unsqueeze(1).expand_as(u)
            of_row = u.mean(2, keepdim=True).expand_as(u)
            right = torch.einsum("bnc,bncd->bnd", y, u).unsqueeze(2).expand_as(u)
            h = h + layer(torch.cat([u, linear, *near, of_class, of_row, right], 3))
        h = self.end(h)
        of_class = torch.einsum("bnc,bncd->bcd", own, h)
        parts = self.mix(of_class.mean(1)).exp() * h.new_tensor(START)
        dual = torch.einsum("bk,kbnc->bnc", parts, duals) + self.add(h).squeeze(3) * (10 * c / n)
        return dual, torch.einsum("bk,kbc->bc", parts, biases) + self.bias(of_class).squeeze(2)


def plain_heads(
    g: Float[Tensor, "t n n"], y: Float[Tensor, "t n c"]
) -> tuple[Float[Tensor, "k t n c"], Float[Tensor, "k t c"], list[Float[Tensor, "t n c"]]]:
    """Dual weights and biases of centroids and ridge regressions, and their scores of rows left out one by one."""
    n = y.shape[1]
    counts = y.sum(1, keepdim=True)
    means = y / counts
    lengths = torch.einsum("bnc,bnm,bmc->bc", means, g, means).clamp(min=1e-6).sqrt().unsqueeze(1)
    duals, biases = [means / lengths], [torch.zeros_like(lengths[:, 0])]
    without = y * (counts > y)  # a row is taken out of its own class, where the class has others
    left_out = [(g @ y - without * g.diagonal(dim1=1, dim2=2).unsqueeze(2)) / (counts - without) / lengths]
    weight = y.sum(2, keepdim=True) / (y.sign() @ counts.mT)  # classes weigh evenly
    weight = weight * n / weight.sum(1, keepdim=True)
    mean = weight / n
    centred = g - (g @ mean) - (g @ mean).mT + mean.mT @ g @ mean
    of = y.sign()
    asked = of - mean.mT @ of
    for penalty in PENALTIES:
        inverse = torch.linalg.inv(centred + penalty * torch.diag_embed(1 / weight.squeeze(2)))
        dual = inverse @ asked
        left_out.append(asked - dual / inverse.diagonal(dim1=1, dim2=2).unsqueeze(2))
        dual = dual - mean * dual.sum(1, keepdim=True)  # of rows that are not centred
        duals.append(dual)
        biases.append((mean.mT @ of - mean.mT @ g @ dual).squeeze(1))
    return torch.stack(duals), torch.stack(biases), left_out


@cache
def _shipped() -> InContextHead:
    try:
        content = resources.files("quickstudy.apply.pretrained").joinpath(FILE).read_bytes()
        tensors, told = open_tensors(content, or_older=False)
        head = InContextHead(**json.loads(told["options"]))
        head.load_state_dict(tensors)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise RunError(f"{FILE} cannot be read: {error}. Install quickstudy again.") from error
    return head.eval().requires_grad_(False)
