"""A transformer that learns in context: labelled rows are read once, queries are answered from what was read.

Support rows attend to the support, queries attend to the support and never to one another. There are no positions, so
the order of the rows does not matter; labels enter as one state per output with shared weights, so the order of the
classes does not matter and the way is free; rows are also compared column by column, so it can do without an embedding
of the row, and then neither the order of the columns nor their number matters.
"""

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.nets._comparisons import Comparison, column_weights, compare, facts_of, whitening
from quickstudy.nets.backbones.mlp import linear_layers

Memory: TypeAlias = tuple[Tensor, Tensor, Tensor]
"""Keys, values, and values of the labels' states of one layer, each ``[tasks, heads, n, ...]``."""
LABEL_HEAD = 8  # numbers of a label's state that a head reads


@dataclass(frozen=True)
class Read:
    """What remains of the support: for each layer what queries attend to, and how they are compared with the rows."""

    comparison: Comparison
    views: Tensor
    present: Tensor
    there: Tensor
    facts: Tensor
    memory: tuple[Memory, ...]


class ContextTransformer(nn.Module):
    """Rows with labels are tokens; queries attend to them, never to one another.

    A token has a state ``h [width]`` of its own and for each output (a class, or a value to predict) a state
    ``c [label_width]``, with the same weights for every output. In each layer, with A the attention of a head to the
    support rows,

        logits  =  q(h) . k(h_i) / sqrt(d)  +  sum_r b_r relation_r(row, row_i)
        A       =  softmax of the logits in half of the heads, logits / n in the other half
        h, c   <-  h + sum_i A_i v(h_i),  c + sum_i A_i u(c_i)            the same A for all outputs
        a       =  gelu(c + mean of c over the outputs + h)               each through a linear layer
        h, c   <-  h + mlp(h) + mean of a over the outputs,  c + a        through linear layers

    (pre-norm). The linear heads can take the steps of a gradient descent on a linear or kernel classifier. Relations
    of two rows are scalar products and distances in a few weightings of the columns (``groups``), which are themselves
    read from the support, and in columns whitened within classes (``whitened``); within the support also whether the
    rows are the same and how far apart their labels are.

    Args:
        features: numbers per row that go into the tokens (None: rows count by comparison alone).
        width: of the token's own state.
        label_width: of the state per output.
        layers: how many times support and queries attend to the support.
        heads: attention heads, an even number; half of them are linear.
        groups: weightings of the columns by which rows are compared.
        whitened: comparisons after whitening, each with a shrinkage of its own; costs the columns' number cubed.
        numbers: what is predicted per output (2: a mean and a standard deviation).

    Raises:
        UsageError: sizes that do not fit one another.
    """

    def __init__(
        self,
        *,
        features: int | None,
        width: int = 64,
        label_width: int = 32,
        layers: int = 6,
        heads: int = 8,
        groups: int = 4,
        whitened: int = 0,
        numbers: int = 1,
    ) -> None:
        super().__init__()
        if min(width, label_width, layers, heads, groups, numbers) < 1 or whitened < 0 or heads % 2 or width % heads:
            raise UsageError(
                f"width must be a multiple of heads, an even number, and sizes >= 1 (whitened >= 0), got "
                f"width={width}, label_width={label_width}, layers={layers}, heads={heads}, groups={groups}, "
                f"whitened={whitened}."
            )
        self.embed_facts = nn.Linear(3, width)
        self.embed_row = None if features is None else nn.Linear(features, width)
        self.embed_label = nn.Linear(1, label_width)
        self.unknown = nn.Parameter(torch.randn(label_width) * 0.02)
        self.weigh = linear_layers(8, 32, groups, activation=nn.GELU)
        self.shrink = nn.Linear(3, whitened) if whitened else None
        if self.shrink is not None:
            nn.init.uniform_(self.shrink.bias, -2, 2)
        relations = 3 * (groups + whitened) + 2
        self.layers = nn.ModuleList(Layer(width, label_width, heads, relations) for _ in range(layers))
        self.norm = nn.LayerNorm(label_width)
        self.head = nn.Linear(label_width, numbers)

    def read(
        self,
        rows: Float[Tensor, "tasks n f"],
        labels: Float[Tensor, "tasks n outputs"],
        present: Bool[Tensor, "tasks n"],
        there: Bool[Tensor, "tasks outputs"],
    ) -> Read:
        """Read the support rows.

        Args:
            rows: their features.
            labels: one-hot, or values.
            present: which rows count; the others are padding.
            there: which outputs count; the others are classes that a task does not have.
        """
        keep = present.unsqueeze(-1).to(rows.dtype)
        rows, labels = rows * keep, labels * keep
        facts = facts_of(rows, keep, there)
        weights = column_weights(self.weigh, rows, labels, keep, facts)
        white = None if self.shrink is None else whitening(self.shrink(facts).sigmoid(), rows, labels, keep)
        comparison = Comparison(weights, white)
        views = comparison.view(rows)
        relations = compare(views, views)
        same = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device).expand(len(rows), 1, -1, -1)
        gaps = -(labels[:, :, None] - labels[:, None]).square().sum(-1).unsqueeze(1)
        relations = torch.cat([relations, same, gaps], 1)
        h, c = self._token(rows, facts), self.embed_label(labels.unsqueeze(-1))
        kept: list[Memory] = []
        for layer in self.layers:
            assert isinstance(layer, Layer)
            kept.append(layer.remember(h, c))
            h, c = layer(h, c, relations, kept[-1], present, there)
        return Read(comparison, views, present, there, facts, tuple(kept))

    def answer(self, read: Read, rows: Float[Tensor, "tasks q f"]) -> Float[Tensor, "tasks q outputs numbers"]:
        """Each query by itself, so that the cost is linear in how many there are."""
        h = self._token(rows, read.facts)
        c = self.unknown.expand(*rows.shape[:2], read.there.shape[1], -1)
        relations = compare(read.comparison.view(rows), read.views)
        for layer, memory in zip(self.layers, read.memory, strict=True):
            h, c = layer(h, c, relations, memory, read.present, read.there)
        return self.head(self.norm(c))

    def _token(self, rows: Tensor, facts: Tensor) -> Tensor:
        h = self.embed_facts(facts).unsqueeze(1).expand(-1, rows.shape[1], -1)
        return h if self.embed_row is None else h + self.embed_row(rows)


class Layer(nn.Module):
    """One layer: attention to the support, then what each token makes of it."""

    def __init__(self, width: int, label_width: int, heads: int, relations: int) -> None:
        super().__init__()
        self.heads = heads
        hidden = 2 * label_width
        self.norm_h, self.norm_c = nn.LayerNorm(width), nn.LayerNorm(label_width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.label_value = nn.Linear(label_width, heads * LABEL_HEAD)
        self.by_relation = nn.Parameter(torch.randn(heads, relations) * 0.3)
        self.out, self.label_out = nn.Linear(width, width), nn.Linear(heads * LABEL_HEAD, label_width)
        self.norm_h2, self.norm_c2 = nn.LayerNorm(width), nn.LayerNorm(label_width)
        self.from_c = nn.Linear(label_width, hidden)
        self.from_mean = nn.Linear(label_width, hidden, bias=False)
        self.from_h = nn.Linear(width, hidden, bias=False)
        self.to_c, self.to_h = nn.Linear(hidden, label_width), nn.Linear(hidden, width)
        self.mlp = linear_layers(width, 2 * width, width, activation=nn.GELU)

    def remember(self, h: Tensor, c: Tensor) -> Memory:
        """Keys and values of the support."""
        h, c = self.norm_h(h), self.norm_c(c)
        of_labels = self.label_value(c).unflatten(-1, (self.heads, -1)).permute(0, 3, 1, 2, 4).flatten(3)
        return self._split(self.key(h)), self._split(self.value(h)), of_labels

    def forward(
        self,
        h: Float[Tensor, "tasks m width"],
        c: Float[Tensor, "tasks m outputs label_width"],
        relations: Float[Tensor, "tasks relations m n"],
        memory: Memory,
        present: Bool[Tensor, "tasks n"],
        there: Bool[Tensor, "tasks outputs"],
    ) -> tuple[Tensor, Tensor]:
        """The states of rows that attend to the support."""
        key, value, of_labels = memory
        q = self._split(self.query(self.norm_h(h)))
        by = self.by_relation[:, : relations.shape[1]]
        logits = q @ key.mT / math.sqrt(key.shape[-1]) + torch.einsum("hr,trmn->thmn", by, relations)
        soft, linear = logits.tensor_split(2, 1)
        padding = ~present[:, None, None]
        soft = soft.masked_fill(padding, -torch.inf).softmax(-1)
        linear = linear.masked_fill(padding, 0) / present.sum(-1)[:, None, None, None]
        attention = torch.cat([soft, linear], 1)
        h = h + self.out((attention @ value).transpose(1, 2).flatten(2))
        seen = (attention @ of_labels).unflatten(-1, (c.shape[2], -1)).permute(0, 2, 3, 1, 4).flatten(3)
        c = c + self.label_out(seen)
        share = (there.to(h.dtype) / there.sum(-1, keepdim=True))[:, None, :, None]
        h2, c2 = self.norm_h2(h), self.norm_c2(c)
        mean = (c2 * share).sum(2, keepdim=True)
        a = F.gelu(self.from_c(c2) + self.from_mean(mean) + self.from_h(h2).unsqueeze(2))
        return h + self.mlp(h2) + self.to_h((a * share).sum(2)), c + self.to_c(a)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)
