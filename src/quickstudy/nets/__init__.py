"""Base networks, small and plain. Any other ``nn.Module`` serves as well."""

from quickstudy.nets.backbones.cell_net import CellNet, RelaxedCellNet
from quickstudy.nets.backbones.conv4 import Conv4
from quickstudy.nets.backbones.conv_block import ConvBlock
from quickstudy.nets.backbones.flat import Flat
from quickstudy.nets.backbones.genotype import OPERATIONS, Genotype
from quickstudy.nets.backbones.mlp import MLP
from quickstudy.nets.backbones.resnet12 import ResNet12
from quickstudy.nets.backbones.width import fit_width
from quickstudy.nets.context import ContextTransformer
from quickstudy.nets.memory.cells import Cell, LSTMCell, read, repeat
from quickstudy.nets.memory.lrua import LRUA
from quickstudy.nets.memory.ntm import NTM

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
