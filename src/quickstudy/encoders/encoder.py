"""What every encoder promises, and how one is found by its name."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeAlias, final

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from quickstudy import registry
from quickstudy.core.checks import one_of, out_of_memory
from quickstudy.core.errors import UsageError
from quickstudy.core.parallel import in_order
from quickstudy.encoders._installed import others

Precision: TypeAlias = Literal["float32", "bfloat16"]
_PIECE = 2 * 224 * 224
"""Pixels that pass a network at once on a core: what the caches hold. More was slower (docs/encoders.md)."""
_ON_GPU = 32
"""How many times as many on an accelerator."""


class Encoder(ABC):
    """A frozen network that turns images into features.

    A registered encoder keeps its constructor's arguments in attributes of the same names, and calls ``_frozen``.

    Attributes:
        module: the network, ``[n, 3, height, width]`` to ``[n, width]``, in evaluation mode, plain enough for ONNX.
            Where it is (``module.to("cuda")``), images are embedded.
        width: features per image.
        size: height and width, in pixels, of what ``module`` takes.
        fingerprint: changes with the weights, the preprocessing and the precision: the key of the embedding cache.
    """

    named_by: ClassVar[str | None] = None
    """The option that stands after the colon of a name: ``model`` of ``timm:resnet18``."""
    needs: ClassVar[Mapping[str, str]] = {}
    """The modules of others that it imports, and what to install for each."""
    module: nn.Module
    width: int
    size: tuple[int, int]
    fingerprint: str
    precision: Precision = "float32"

    def _frozen(
        self,
        module: nn.Module,
        size: tuple[int, int],
        *,
        prepared: Any,
        precision: str = "float32",
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Set what is promised above.

        Args:
            module: the network.
            size: of its images.
            prepared: how images are prepared, as JSON.
            precision: of the computation.
            weights: as they were loaded, where those of ``module`` are computed from them (and differ in rounding).
        """
        one_of(("float32", "bfloat16"), precision=precision)
        self.precision = "bfloat16" if precision == "bfloat16" else "float32"
        self.module = module.eval().requires_grad_(False).float()
        self.size = size
        said = [type(self).__name__, *size, prepared, precision]
        found = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
        for name, t in (module.state_dict() if weights is None else weights).items():
            found.update(f"{name} {t.dtype} {[*t.shape]}".encode())
            found.update(t.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        self.fingerprint = found.hexdigest()
        self.width = self.features(torch.zeros(1, 3, *size)).shape[1]

    @abstractmethod
    def prepare(self, image: Image.Image) -> Float[Tensor, "3 h w"]:
        """What ``module`` takes of an upright RGB image of any size (see ``read_image``)."""

    @final
    def embed(self, images: Sequence[Image.Image]) -> Float[Tensor, "n width"]:
        """The features of upright RGB images, float32, on the CPU.

        On a CPU a few images at a time, on as many threads as torch may use. An image's features do not depend on the
        images beside it by more than rounding (a hundred-thousandth of their size).
        """
        pieces = [images[i : i + self.at_once] for i in range(0, len(images), self.at_once)]
        parts = list(
            in_order(lambda piece: self.features(torch.stack([self.prepare(image) for image in piece])), pieces)
        )
        return torch.cat(parts) if parts else torch.empty(0, self.width)

    @property
    @final
    def at_once(self) -> int:
        """Images that pass the network at once."""
        most = _PIECE * (1 if self._device.type == "cpu" else _ON_GPU)
        return max(1, min(32, most // (self.size[0] * self.size[1])))

    @property
    def _device(self) -> torch.device:
        return next((t.device for t in self.module.state_dict().values()), torch.device("cpu"))

    @final
    def features(self, x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n width"]:
        """The features of what ``prepare`` prepared, float32, on the CPU; in halves if they do not fit into memory.

        Raises:
            UsageError: not even one image fits.
        """
        device, low = self._device, self.precision == "bfloat16"
        try:
            with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, low):
                return self.module(x.to(device, torch.float32)).float().cpu()
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if len(x) == 1:
                raise UsageError(
                    f"an image of {[*self.size]} pixels needs more memory than there is: {error}"
                ) from error
        return torch.cat([self.features(half) for half in x.tensor_split(2)])


def encoder(name: str, **options: Any) -> Encoder:
    """An encoder by its name: ``efficientnet-lite0``, ``timm:resnet18``, ``run:runs/mine``, ``my_package.mine:Mine``.

    Args:
        name: as ``quickstudy list`` shows it, and after a colon what it asks for.
        options: of the encoder.

    Raises:
        UsageError: no such encoder or option; what it needs is not installed, or its weights are not on this machine.

    >>> encoder("pixels", side=8).width
    192
    """
    kind, colon, rest = name.partition(":")
    if kind not in registry.ENCODERS:
        if not colon:
            raise UsageError(f"there is no encoder {name!r}. {others()}")
        return registry.make("encoders", name, **options)
    named_by: str | None = registry.load("encoders", kind).named_by
    if named_by is None and not colon:
        return registry.make("encoders", kind, **options)
    if named_by is None or not rest:
        how = f"{kind}:{named_by.upper()}" if named_by else kind
        raise UsageError(f"there is no encoder {name!r}: write {how}.")
    return registry.make("encoders", kind, **{named_by: rest, **options})
