"""A critic of solvers: is this a function that gradient descent found, or one that was generated? It looks at values.

Axes: t tasks, d solvers of a task, n query examples, k classes (1 for values), f features, c code, p prediction.

Each item is a query's features f_n, the code c_k of the task (of a class), and what the solver says of them, p_nk:

    D(solver) = g( mean_nk m([f_n, c_k, p_nk]) )

so it knows neither labels nor parameters, and neither the order of queries nor of classes matters. Every layer but the
last has its weights divided by their largest singular value (Miyato et al.: Spectral Normalization for Generative
Adversarial Networks. ICLR 2018), here by the exact one: the matrices are small, and nothing is carried on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Spectral(nn.Linear):
    """A linear layer of spectral norm one."""

    @property
    def normalised(self) -> Tensor:
        """The weights over their largest singular value."""
        return self.weight / torch.linalg.matrix_norm(self.weight, 2)

    def forward(self, input: Tensor) -> Tensor:
        """``W / |W| x + b``."""
        return F.linear(input, self.normalised, self.bias)


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
        self.sizes = (features, code, outputs)
        self.first = Spectral(features + code + outputs, width)
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
        # One layer of three parts: what is the same for all solvers and classes is multiplied once.
        by_feature, by_code, by_prediction = self.first.normalised.split(self.sizes, 1)
        shared = (features @ by_feature.mT).unsqueeze(2) + (code @ by_code.mT).unsqueeze(1) + self.first.bias
        h = (shared.unsqueeze(1) + predictions @ by_prediction.mT).relu()
        pooled = self.second(h).relu().mean((2, 3))
        return self.last(self.third(pooled).relu()).squeeze(-1)


def hinge(real: Tensor, fake: Tensor) -> Tensor:
    """The critic's loss: real above 1, fake below -1."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
