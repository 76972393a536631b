"""A generator of a network's parameters: from a code of the task to changes of every tensor, row by row.

A row is what belongs to one output channel of a tensor. With a learned embedding e_i of each row i of each tensor p and
a code c of the task,

    u     = relu(W_2 relu(W_c c + W_e e_i + b_1) + b_2)        shared by all rows of all tensors
    dp_i  = s_p / sqrt(width) V_p u                            one V_p per tensor, [numbers in a row, width]

V_p begins at zero, and s_p, which is learned, at one over the square root of the numbers in a row: so the changes begin
at zero, and an Adam step moves a generated parameter about as far as one that is learned itself.

References: Ha, Dai, Le: HyperNetworks. ICLR 2017 (rows with embeddings of their own).
"""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError


class FromZero(nn.Module):
    """A linear map without bias that begins at zero, with a learned scale: ``s / sqrt(width) V u``.

    Args:
        width: numbers that come in.
        out: numbers that go out.
    """

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out, width))
        self.log_scale = nn.Parameter(torch.tensor(-math.log(out) / 2))

    def forward(self, u: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows out"]:
        """Zeros, until it has learned."""
        return u @ self.weight.mT * (self.log_scale.exp() / math.sqrt(u.shape[-1]))


class ParameterGenerator(nn.Module):
    """Changes of tensors of given shapes from a code, all rows of all tensors in one pass.

    Args:
        shapes: of the tensors by name; their first axis is that of the rows.
        code: numbers in a code.
        width: of the two hidden layers.
        row_code: numbers in a row's embedding.

    Raises:
        UsageError: no tensors, or a size below 1.
    """

    def __init__(self, shapes: Mapping[str, Sequence[int]], code: int, *, width: int = 128, row_code: int = 16) -> None:
        super().__init__()
        if not shapes or min(code, width, row_code) < 1:
            raise UsageError(
                f"a generator needs tensors to generate, and code, width and row_code >= 1, got {[*shapes]}, {code}, "
                f"{width} and {row_code}."
            )
        self.shapes = {name: tuple(shape) for name, shape in shapes.items()}
        self.row_counts = [shape[0] if shape else 1 for shape in self.shapes.values()]
        self.rows = nn.Parameter(torch.randn(sum(self.row_counts), row_code))
        self.from_row = nn.Linear(row_code, width, bias=False)
        self.from_code = nn.Linear(code, width)
        self.hidden = nn.Linear(width, width)
        sizes = [math.prod(shape) for shape in self.shapes.values()]
        self.out = nn.ModuleList(
            FromZero(width, size // rows) for size, rows in zip(sizes, self.row_counts, strict=True)
        )

    def forward(self, code: Float[Tensor, "tasks code"]) -> dict[str, Tensor]:
        """Changes by name, each ``[tasks, ...]``."""
        u = (self.from_code(code).unsqueeze(1) + self.from_row(self.rows)).relu()
        parts = self.hidden(u).relu().split(self.row_counts, 1)
        made = zip(self.shapes.items(), self.out, parts, strict=True)
        return {name: out(part).reshape(len(code), *shape) for (name, shape), out, part in made}
