"""What every encoder promises, and how one is found by its name."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from quickstudy import registry
from quickstudy.core.errors import UsageError


class Encoder(ABC):
    """A frozen network that turns images into features.

    A registered encoder keeps its constructor's arguments in attributes of the same names.

    Attributes:
        width: features per image.
        size: height and width, in pixels, of what ``module`` takes.
        fingerprint: changes with the weights and the preprocessing: the key of the embedding cache.
    """

    named_by: ClassVar[str | None] = None
    """The option that stands after the colon of a name, ``model`` of ``timm:resnet18`` say."""
    width: int
    size: tuple[int, int]
    fingerprint: str

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """The network, ``[n, 3, height, width]`` to ``[n, width]``, in evaluation mode; plain enough for ONNX."""

    @abstractmethod
    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        """What ``module`` takes of an upright RGB image of any size (see ``read_image``)."""

    @final
    def embed(self, images: Sequence[Image.Image]) -> Float[Tensor, "n width"]:
        """The features of upright RGB images, float32, on the CPU; the same whatever else is embedded with them."""
        with torch.inference_mode():
            parts = [self.module(self.prepare(image)[None]).float().cpu() for image in images]
        return torch.cat(parts) if parts else torch.empty(0, self.width)


def encoder(name: str, **options: Any) -> Encoder:
    """An encoder by its name: ``"efficientnet-lite0"``, ``"pixels"``, ``"timm:NAME"``, ``"run:RUN"``, ``module:Class``.

    Args:
        name: as ``quickstudy list`` shows it, and what it asks for after a colon.
        options: of the encoder.

    Raises:
        UsageError: no such encoder or option; what it needs is not installed, or its weights are not at hand.
    """
    kind, colon, rest = name.partition(":")
    if colon and kind in registry.ENCODERS:
        named_by = registry.load("encoders", kind).named_by
        if named_by is None:
            raise UsageError(f"{kind} takes nothing after its name, got {name!r}.")
        return registry.make("encoders", kind, **{named_by: rest}, **options)
    return registry.make("encoders", name, **options)
