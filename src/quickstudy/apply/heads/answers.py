"""What a fitted classifier answers, as one module that can be exported: probabilities, and how unlike all classes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.apply.heads.transform import Transform


class Scores(nn.Module):
    """A linear map of transformed features.

    Args:
        transform: of the features.
        weights: of the classes' scores, ``[classes, f]``.
        biases: of the classes' scores, ``[classes]``.
    """

    weights: Tensor
    biases: Tensor

    def __init__(self, transform: Transform, weights: Tensor, biases: Tensor) -> None:
        super().__init__()
        self.transform = transform
        self.register_buffer("weights", weights)
        self.register_buffer("biases", biases)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n classes"]:
        return F.linear(self.transform(x), self.weights, self.biases)


class Answers(nn.Module):
    """Rows to (probabilities ``[n, classes]``, unknown score ``[n]``); each row's answer depends on it alone.

    Args:
        heads: whose sum is the logits.
        near: a score of nearness to each class, the cosine to its mean.
    """

    def __init__(self, heads: list[Scores], near: Scores) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)
        self.near = near

    def forward(self, x: Float[Tensor, "n f"]) -> tuple[Float[Tensor, "n classes"], Float[Tensor, " n"]]:
        logits = torch.stack([head(x) for head in self.heads]).sum(0)
        return logits.softmax(1), 1 - self.near(x).amax(1)
