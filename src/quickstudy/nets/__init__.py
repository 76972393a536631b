"""Base networks, small and plain. Any other ``nn.Module`` serves as well."""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="nets",
    more={
        "quickstudy.nets.backbones.cell_net": ["RelaxedCellNet"],
        "quickstudy.nets.backbones.conv_block": ["ConvBlock"],
        "quickstudy.nets.backbones.genotype": ["OPERATIONS", "Genotype"],
        "quickstudy.nets.backbones.width": ["fit_width"],
        "quickstudy.nets.context": ["ContextTransformer"],
        "quickstudy.nets.memory.cells": ["Cell", "LSTMCell", "read", "repeat"],
        "quickstudy.nets.memory.lrua": ["LRUA"],
        "quickstudy.nets.memory.ntm": ["NTM"],
    },
)
