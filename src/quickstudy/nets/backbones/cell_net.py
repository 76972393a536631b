"""Networks made of cells: images pass a convolutional block and then equal cells, 2x2 max-pooling after each.

``CellNet`` has the cell of a genotype. In ``RelaxedCellNet`` every edge is all operations at once, weighted by the
softmax of the architecture parameters theta ``[edges, operations]``, which all of its cells share:

    h_j = sum_{i < j} sum_o softmax(theta_ij)_o o(h_i)

so that a gradient says which operations should weigh more. Where the weights of theta are 0 and 1, the two compute the
same, and their parameters have the same names.

``conv3`` is 3x3 convolution, BatchNorm, ReLU; ``sep3`` and ``sep5`` a convolution of each channel by itself, then one
of 1x1, BatchNorm, ReLU; ``max3`` and ``avg3`` pool with stride 1. The maps keep their size within a cell.

Where it differs from DARTS: see ``quickstudy.nets.backbones.genotype``; one kind of cell, with pooling between, and
BatchNorm has its scale and shift also while cells are searched for, so that weights can be carried over.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from quickstudy.core.errors import UsageError
from quickstudy.nets.backbones.conv_block import ConvBlock
from quickstudy.nets.backbones.genotype import OPERATIONS, Genotype, all_edges

Features = Literal["flat", "maps"]


class CellNet(nn.Module):
    """Equal cells of a given genotype after a convolutional block, and a linear head, for images.

    Args:
        in_channels: channels of the images.
        out_features: outputs (the way); None: no head, the output is the features of ``feature_shape``.
        filters: channels of the block and of every node.
        size: height and width of the images in pixels, at least 2 ** (cells + 1).
        cells: how many cells there are, each followed by 2x2 max-pooling.
        genotype: the cell as text, as ``conv3@0,skip@0+sep5@1`` (see ``quickstudy.nets.Genotype``).
        features: ``flat`` features ``[n, filters * height * width]`` or ``maps`` ``[n, filters, height, width]``,
            where there is no head.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_features: int | None = 5,
        filters: int = 32,
        size: int = 28,
        cells: int = 3,
        genotype: str = "conv3@0,skip@0+conv3@1",
        features: Features = "flat",
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_features = out_features
        self.filters = filters
        self.size = size
        self.cells = cells
        self.genotype = genotype
        self.features: Features = features
        nodes = Genotype.parse(genotype).nodes
        wires = [[(edge.source, edge.operation, None) for edge in edges] for edges in nodes]
        self.body = _Body(in_channels, filters, size, cells, wires)
        self.x_shape = self.body.x_shape
        self.feature_shape = self.body.feature_shape
        self.head = _head(self.feature_shape, out_features, features)

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n ..."]:
        """Logits ``[n, out_features]``, or features, of images ``[n, in_channels, size, size]``."""
        maps = self.body(x, None)
        if self.head is not None:
            return self.head(maps.flatten(1))
        return maps.flatten(1) if self.features == "flat" else maps


class RelaxedCellNet(nn.Module):
    """A convolutional block and cells whose edges are weighted mixtures of all operations, for images.

    Args:
        in_channels: as of ``CellNet``, and so the others.
        out_features: outputs (the way).
        filters: channels of the block and of every node.
        size: height and width of the images in pixels.
        cells: how many cells there are.
        nodes: nodes of a cell, besides its input.
        operations: what an edge can be, of ``OPERATIONS``.
    """

    def __init__(
        self,
        *,
        in_channels: int = 1,
        out_features: int = 5,
        filters: int = 16,
        size: int = 28,
        cells: int = 3,
        nodes: int = 2,
        operations: Sequence[str] = OPERATIONS,
    ) -> None:
        super().__init__()
        if nodes < 1 or len(set(operations)) < len(operations) or not set(operations) - {"none"} <= set(OPERATIONS):
            raise UsageError(
                f"RelaxedCellNet needs nodes >= 1 and different operations of {', '.join(OPERATIONS)}, got {nodes} and "
                f"{', '.join(operations)}."
            )
        if not set(operations) - {"none"}:
            raise UsageError("RelaxedCellNet needs an operation other than none.")
        self.in_channels = in_channels
        self.out_features = out_features
        self.filters = filters
        self.size = size
        self.cells = cells
        self.nodes = nodes
        self.operations = tuple(operations)
        edges = all_edges(nodes)
        wires: list[list[_Wire]] = [[] for _ in range(nodes)]
        for e, (node, source) in enumerate(edges):
            wires[node - 1] += [(source, name, (e, o)) for o, name in enumerate(operations) if name != "none"]
        self.body = _Body(in_channels, filters, size, cells, wires)
        self.x_shape = self.body.x_shape
        self.head = _head(self.body.feature_shape, out_features, "flat")
        self.theta = nn.Parameter(1e-3 * torch.randn(len(edges), len(operations)))

    def forward(self, x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n out"]:
        """Logits ``[n, out_features]`` of images ``[n, in_channels, size, size]``."""
        assert self.head is not None, "it was built with one"
        return self.head(self.body(x, self.theta.softmax(-1)).flatten(1))

    def keep_only(self, genotype: Genotype) -> CellNet:
        """The ``CellNet`` of one cell, with this network's weights."""
        net = CellNet(
            in_channels=self.in_channels,
            out_features=self.out_features,
            filters=self.filters,
            size=self.size,
            cells=self.cells,
            genotype=str(genotype),
        )
        own = self.state_dict()
        net.to(self.theta).load_state_dict({name: own[name] for name in net.state_dict()})
        return net


_Wire = tuple[int, str, tuple[int, int] | None]
"""A node's source, the operation, and where its weight is in ``[edges, operations]`` (None: it has none)."""


class _Body(nn.Module):
    def __init__(self, in_channels: int, filters: int, size: int, cells: int, wires: Sequence[Sequence[_Wire]]) -> None:
        super().__init__()
        if min(in_channels, filters, cells) < 1:
            raise UsageError(f"in_channels, filters and cells must be >= 1, got {in_channels}, {filters}, {cells}.")
        left = size // 2 ** (cells + 1)
        if left < 1:
            raise UsageError(
                f"nothing is left of images of size {size} after {cells + 1} poolings; use images of "
                f"{2 ** (cells + 1)} or more, or fewer cells."
            )
        self.x_shape = (in_channels, size, size)
        self.feature_shape = (filters, left, left)
        self.stem = ConvBlock(in_channels, filters)
        self.cells = nn.ModuleList(_Cell(filters, wires) for _ in range(cells))

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        if x.shape[1:] != self.x_shape:
            channels, height, width = self.x_shape
            raise UsageError(
                f"this network takes images [n, {channels}, {height}, {width}], got {[*x.shape]}; build it with the "
                f"in_channels and size of your images."
            )
        maps = self.stem(x)
        for cell in self.cells:
            maps = F.max_pool2d(cell(maps, weights), 2)
        return maps


class _Cell(nn.Module):
    def __init__(self, filters: int, wires: Sequence[Sequence[_Wire]]) -> None:
        super().__init__()
        self.wires = wires
        self.edges = nn.ModuleDict(
            {
                _key(node, source, name): _operation(name, filters)
                for node, incoming in enumerate(wires, start=1)
                for source, name, _ in incoming
            }
        )

    def forward(self, x: Tensor, weights: Tensor | None) -> Tensor:
        maps = [x]
        for node, incoming in enumerate(self.wires, start=1):
            total: Tensor | None = None
            for source, name, at in incoming:
                part = self.edges[_key(node, source, name)](maps[source])
                if at is not None and weights is not None:
                    part = weights[at] * part
                total = part if total is None else total + part
            assert total is not None, "every node has an edge"
            maps.append(total)
        return torch.stack(maps[1:]).mean(0) if len(maps) > 2 else maps[1]


def _key(node: int, source: int, name: str) -> str:
    return f"{source}_{node}_{name}"


class _Separable(nn.Module):
    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__()
        self.each = nn.Conv2d(filters, filters, kernel, padding=kernel // 2, groups=filters, bias=False)
        self.mix = nn.Conv2d(filters, filters, 1, bias=False)
        self.norm = nn.BatchNorm2d(filters)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.mix(self.each(x))))


def _operation(name: str, filters: int) -> nn.Module:
    make: dict[str, Callable[[], nn.Module]] = {
        "skip": nn.Identity,
        "conv3": lambda: ConvBlock(filters, filters, pool=False),
        "sep3": lambda: _Separable(filters, 3),
        "sep5": lambda: _Separable(filters, 5),
        "max3": lambda: nn.MaxPool2d(3, stride=1, padding=1),
        "avg3": lambda: nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
    }
    return make[name]()


def _head(feature_shape: tuple[int, int, int], out_features: int | None, features: str) -> nn.Linear | None:
    if features not in ("flat", "maps") or (out_features is not None and out_features < 1):
        raise UsageError(f"features must be flat or maps and out_features >= 1, got {features!r} and {out_features}.")
    filters, height, width = feature_shape
    return None if out_features is None else nn.Linear(filters * height * width, out_features)
