"""What a fitted classifier answers, as one module that can be exported: probabilities, and how unlike all classes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.apply.heads.transform import Transform


class Member(nn.Module):
    """One head: a linear map of transformed features, and the temperature of its scores.

    Args:
        transform: of the features.
        weights: of the classes' scores, ``[classes, f]``.
        biases: of the classes' scores, ``[classes]``.
        temperature: that scores are divided by.
    """

    def __init__(self, transform: Transform, weights: Tensor, biases: Tensor, temperature: float) -> None:
        super().__init__()
        self.transform = transform
        self.register_buffer("weights", weights / temperature)
        self.register_buffer("biases", biases / temperature)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, "n classes"]:
        """Logits."""
        return F.linear(self.transform(x), self.weights, self.biases)


class Unlike(nn.Module):
    """How unlike all classes rows are: one less the cosine to the nearest class mean.

    Args:
        transform: of the features.
        means: of the classes, ``[classes, f]``, of length 1.
    """

    def __init__(self, transform: Transform, means: Tensor) -> None:
        super().__init__()
        self.transform = transform
        self.register_buffer("means", means)

    def forward(self, x: Float[Tensor, "n f"]) -> Float[Tensor, " n"]:
        return 1 - F.linear(self.transform(x), self.means).amax(1)


class Answers(nn.Module):
    """Rows to (probabilities ``[n, classes]``, unknown score ``[n]``); each row's answer depends on it alone.

    Args:
        members: heads, whose probabilities are averaged.
        shares: their weights in it, of sum 1.
        unlike: the unknown score.
    """

    def __init__(self, members: list[Member], shares: Tensor, unlike: Unlike) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("shares", shares)
        self.unlike = unlike

    def forward(self, x: Float[Tensor, "n f"]) -> tuple[Float[Tensor, "n classes"], Float[Tensor, " n"]]:
        each = torch.stack([member(x).softmax(1) for member in self.members], -1)
        return each @ self.shares, self.unlike(x)
