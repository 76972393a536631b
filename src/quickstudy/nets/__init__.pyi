# Written by docs/generate.py from the registry: not to be edited.
# ruff: noqa

from quickstudy.nets.backbones.cell_net import CellNet as CellNet
from quickstudy.nets.backbones.cell_net import RelaxedCellNet as RelaxedCellNet
from quickstudy.nets.backbones.conv4 import Conv4 as Conv4
from quickstudy.nets.backbones.conv_block import ConvBlock as ConvBlock
from quickstudy.nets.backbones.flat import Flat as Flat
from quickstudy.nets.backbones.genotype import Genotype as Genotype
from quickstudy.nets.backbones.genotype import OPERATIONS as OPERATIONS
from quickstudy.nets.backbones.inknet import InkNet as InkNet
from quickstudy.nets.backbones.mlp import MLP as MLP
from quickstudy.nets.backbones.resnet12 import ResNet12 as ResNet12
from quickstudy.nets.backbones.width import fit_width as fit_width
from quickstudy.nets.context import ContextTransformer as ContextTransformer
from quickstudy.nets.memory.cells import Cell as Cell
from quickstudy.nets.memory.cells import LSTMCell as LSTMCell
from quickstudy.nets.memory.cells import read as read
from quickstudy.nets.memory.cells import repeat as repeat
from quickstudy.nets.memory.lrua import LRUA as LRUA
from quickstudy.nets.memory.ntm import NTM as NTM
