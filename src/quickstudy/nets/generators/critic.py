"""A critic of solvers: is this a function that gradient descent found, or one that was generated? It looks at values.

Axes: t tasks, d solvers of a task, n query examples, k classes (1 for values), f features, c code, p prediction.

Each item is a query's features f_n, the code c_k of the task (of a class), and what the solver says of them, p_nk:

    D(solver) = g( mean_nk m([f_n, c_k, p_nk]) )

so it knows neither labels nor parameters, and neither the order of queries nor of classes matters. The first layer of m
is the sum of one of each part, so that no part drowns the others; features and codes are divided by their root mean
square. Every layer but the last has its weights divided by their largest singular value (Miyato et al.: Spectral
Normalization for Generative Adversarial Networks. ICLR 2018), here by the exact one: the matrices are small, and
nothing is carried on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Spectral(nn.Linear):
    """A linear layer of spectral norm one."""

    def forward(self, input: Tensor) -> Tensor:
        """``W / |W| x + b``."""
        return F.linear(input, self.weight / torch.linalg.matrix_norm(self.weight, 2), self.bias)


class SolverCritic(nn.Module):
    """D: one number for every solver; large where it seems to be found by gradient descent.

    Args:
        features: of a query.
        code: numbers in the code of a task or class.
        outputs: numbers in a prediction of a query (for a class).
        width: of hidden layers.
    """

    def __init__(self, features: int, code: int, outputs: int, width: int = 64) -> None:
        super().__init__()
        self.of_features = Spectral(features, width)
        self.of_code = Spectral(code, width, bias=False)
        self.of_predictions = Spectral(outputs, width, bias=False)
        self.second = Spectral(width, width)
        self.third = Spectral(width, width)
        self.last = nn.Linear(width, 1)

    def forward(
        self,
        features: Float[Tensor, "t n f"],
        code: Float[Tensor, "t k c"],
        predictions: Float[Tensor, "t d n k p"],
    ) -> Float[Tensor, "t d"]:
        """A number for each solver."""
        shared = self.of_features(at_scale_one(features)).unsqueeze(2) + self.of_code(at_scale_one(code)).unsqueeze(1)
        h = (shared.unsqueeze(1) + self.of_predictions(predictions)).relu()
        pooled = self.second(h).relu().mean((2, 3))
        return self.last(self.third(pooled).relu()).squeeze(-1)


def at_scale_one(x: Tensor) -> Tensor:
    """Divided by the root mean square over the last axis."""
    return F.rms_norm(x, x.shape[-1:])


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss: real above 1, fake below -1."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
