"""Genotype: a cell written down, that is, which operation leads from which node to which.

Node 0 is the cell's input. Every later node sums its edges, and an edge is an operation on an earlier node:

    h_j = sum over the edges (o, i) of node j of o(h_i)          the cell's output: the mean of h_1, ..., h_N

As text, nodes are parted by commas and a node's edges by plus signs: ``conv3@0,skip@0+sep5@1`` is a cell of two nodes,
h_1 = conv3(h_0) and h_2 = h_0 + sep5(h_1).

Reference: Liu, Simonyan, Yang: DARTS: Differentiable Architecture Search. ICLR 2019 (the operations, and how many edges
a node keeps; its cells have two inputs, and their outputs are side by side).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.errors import UsageError
from quickstudy.core.seeding import generator

OPERATIONS: tuple[str, ...] = ("none", "skip", "conv3", "sep3", "sep5", "max3", "avg3")
"""What an edge can be: nothing, the node itself, a 3x3 convolution, separable ones of 3x3 and 5x5, 3x3 poolings."""


class Edge(NamedTuple):
    """An operation on an earlier node."""

    operation: str
    source: int


def all_edges(nodes: int) -> list[tuple[int, int]]:
    """(node, source) of every edge that a cell of so many nodes can have, in the order in which they are counted."""
    return [(node, source) for node in range(1, nodes + 1) for source in range(node)]


@dataclass(frozen=True)
class Genotype:
    """A cell as a value: the edges of node 1, of node 2, and so on, each node's by their sources.

    >>> cell = Genotype.parse("conv3@0,sep5@1+skip@0")
    >>> str(cell), cell.nodes[0]
    ('conv3@0,skip@0+sep5@1', (Edge(operation='conv3', source=0),))
    """

    nodes: tuple[tuple[Edge, ...], ...]

    def __post_init__(self) -> None:
        for node, edges in enumerate(self.nodes, start=1):
            sources = [edge.source for edge in edges]
            if not edges or sources != sorted(set(sources)) or not 0 <= sources[0] <= sources[-1] < node:
                raise UsageError(
                    f"node {node} of a cell needs edges from different nodes before it (0 to {node - 1}), in their "
                    f"order, got {sources or 'none'} in {str(self)!r}."
                )
            for edge in edges:
                if edge.operation not in OPERATIONS[1:]:
                    raise UsageError(
                        f"an edge is one of {', '.join(OPERATIONS[1:])}, got {edge.operation!r} in {str(self)!r}; "
                        f"leave out edges that are none."
                    )
        if not self.nodes:
            raise UsageError("a cell needs at least one node, such as conv3@0.")

    def __str__(self) -> str:
        return ",".join("+".join(f"{edge.operation}@{edge.source}" for edge in edges) for edges in self.nodes)

    @staticmethod
    def parse(text: str) -> "Genotype":
        """The cell that a text describes.

        Raises:
            UsageError: it describes none.
        """
        nodes: list[tuple[Edge, ...]] = []
        for node in text.replace(" ", "").split(","):
            edges: list[Edge] = []
            for edge in node.split("+"):
                operation, _, source = edge.partition("@")
                if not source.isdecimal():
                    raise UsageError(
                        f"a cell reads like conv3@0,skip@0+sep5@1 (operation@source, + between a node's edges, a comma "
                        f"between nodes), got {edge!r} in {text!r}."
                    )
                edges.append(Edge(operation, int(source)))
            nodes.append(tuple(sorted(edges, key=lambda edge: edge.source)))
        return Genotype(tuple(nodes))

    @staticmethod
    def random(*, nodes: int, keep: int, seed: int, operations: Sequence[str] = OPERATIONS) -> "Genotype":
        """A cell drawn at random: of each node the number of edges (1 to ``keep``), their sources and operations."""
        rng = generator(seed, "genotype")
        real = [name for name in operations if name != "none"]

        def below(n: int) -> int:
            return int(torch.randint(n, (), generator=rng))

        drawn: list[tuple[Edge, ...]] = []
        for node in range(1, nodes + 1):
            sources = torch.randperm(node, generator=rng)[: 1 + below(min(keep, node))]
            drawn.append(tuple(Edge(real[below(len(real))], i) for i in sorted(sources.tolist())))
        return Genotype(tuple(drawn))

    @staticmethod
    def strongest(
        weights: Float[Tensor, "edges ops"], *, keep: int, operations: Sequence[str] = OPERATIONS
    ) -> "Genotype":
        """What is left of a cell whose edges are mixtures: of each edge the operation of the largest weight.

        A node keeps the ``keep`` edges whose best operation (other than ``none``) weighs most; but one on which
        ``none`` weighs more only if it is the node's first choice.
        """
        none = list(operations).index("none") if "none" in operations else None
        real = [o for o in range(len(operations)) if o != none]
        nodes = round((2 * len(weights)) ** 0.5 - 0.25)  # edges = nodes (nodes + 1) / 2
        choices: list[list[tuple[float, Edge, bool]]] = [[] for _ in range(nodes)]
        for (node, source), row in zip(all_edges(nodes), weights.tolist(), strict=True):
            best = max(real, key=row.__getitem__)
            beaten = none is not None and row[none] > row[best]
            choices[node - 1].append((row[best], Edge(operations[best], source), beaten))
        kept: list[tuple[Edge, ...]] = []
        for found in choices:
            first, *others = sorted(found, key=lambda choice: -choice[0])[:keep]
            edges = [first[1], *(edge for _, edge, beaten in others if not beaten)]
            kept.append(tuple(sorted(edges, key=lambda edge: edge.source)))
        return Genotype(tuple(kept))

    def logits(self, operations: Sequence[str] = OPERATIONS) -> Float[Tensor, "edges ops"]:
        """Architecture parameters whose softmax is exactly this cell: 0 for its operations, minus infinity elsewhere.

        Raises:
            UsageError: an operation that is not among those given, or an edge left out where ``none`` is not.
        """
        rows: list[list[float]] = []
        for node, source in all_edges(len(self.nodes)):
            there = {edge.source: edge.operation for edge in self.nodes[node - 1]}.get(source, "none")
            if there not in operations:
                raise UsageError(f"{str(self)!r} needs the operation {there!r}; there are {', '.join(operations)}.")
            rows.append([0.0 if name == there else -torch.inf for name in operations])
        return torch.tensor(rows)
