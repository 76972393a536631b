"""Base networks, small and plain. Any other ``nn.Module`` serves as well."""

from quickstudy.nets.cell_net import CellNet, RelaxedCellNet
from quickstudy.nets.cells import Cell, LSTMCell, read, repeat
from quickstudy.nets.context import ContextTransformer
from quickstudy.nets.conv4 import Conv4
from quickstudy.nets.conv_block import ConvBlock
from quickstudy.nets.flat import Flat
from quickstudy.nets.genotype import OPERATIONS, Genotype
from quickstudy.nets.lrua import LRUA
from quickstudy.nets.mlp import MLP
from quickstudy.nets.ntm import NTM
from quickstudy.nets.resnet12 import ResNet12
from quickstudy.nets.width import fit_width

__all__ = [
    "LRUA",
    "MLP",
    "NTM",
    "OPERATIONS",
    "Cell",
    "CellNet",
    "ContextTransformer",
    "Conv4",
    "ConvBlock",
    "Flat",
    "Genotype",
    "LSTMCell",
    "RelaxedCellNet",
    "ResNet12",
    "fit_width",
    "read",
    "repeat",
]
