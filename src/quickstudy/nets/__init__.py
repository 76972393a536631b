"""Base networks, small and plain. Any other ``nn.Module`` serves as well."""

from quickstudy.nets.conv4 import Conv4
from quickstudy.nets.mlp import MLP

__all__ = ["MLP", "Conv4"]
