"""Features that were computed before, on the disk."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor


class EmbeddingCache:
    """Features by the encoder's fingerprint and the image's content.

    Args:
        folder: where it is kept (None: in quickstudy's cache folder).
        most_bytes: that are kept; the oldest go first.
    """

    def __init__(self, folder: Path | None = None, *, most_bytes: int = 500_000_000) -> None:
        self.folder = folder
        self.most_bytes = most_bytes

    def get(self, fingerprint: str, contents: Sequence[str]) -> dict[str, Float[Tensor, " width"]]:
        """What is there, by the hash of an image's content; what is not is left out."""
        del fingerprint, contents
        return {}

    def put(self, fingerprint: str, features: Mapping[str, Float[Tensor, " width"]]) -> None:
        """Keep features by the hash of an image's content."""
