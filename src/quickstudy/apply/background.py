"""What features of an encoder look like whatever the task: their mean, and how examples of one class differ.

Few examples say little of either; many examples of other classes say much. In directions in which examples of one
class differ, features are shrunk:

    v = u + U diag(g) U' u          g_i = ((l_i + c) / c)^-1/2 - 1        c = strength * mean of all l

with l_i, U_i the eigenvalues and eigenvectors of the covariance within classes. Kinds of examples (photographs,
drawings) that differ much are components of their own; a task takes the one whose mean is nearest to its examples.
(Fei-Fei, Fergus, Perona: One-shot learning of object categories. PAMI 2006; Chen, Cao, Wen, Sun: Bayesian face
revisited. ECCV 2012.)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.sealed import open_tensors
from quickstudy.encoders.encoder import Encoder
from quickstudy.tasks.images.labels import read_labels

POWER = 0.5
"""Features count by this power of theirs, as in ``heads.transform``."""


@dataclass(frozen=True)
class Component:
    """One kind of examples: the mean of their features ``[f]``, directions ``[r, f]`` and what they are shrunk by."""

    mean: Float[np.ndarray, " f"]
    directions: Float[np.ndarray, "r f"]
    gains: Float[np.ndarray, " r"]


@dataclass(frozen=True)
class Background:
    """What is known of an encoder's features beforehand.

    Args:
        components: by what kind of examples they are of.

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 20
    >>> x = rng.normal(size=(20, 8))[y] + rng.normal(size=(60, 8)) * [5, 1, 1, 1, 1, 1, 1, 1]
    >>> known = Background({"any": Background.component(x, y, rank=1)})
    >>> bool(abs(known.components["any"].directions[0, 0]) > 0.9)
    True
    """

    components: Mapping[str, Component]

    @staticmethod
    def component(x: Any, y: Any, *, rank: int = 128, strength: float = 3.0) -> Component:
        """Of features ``[n, f]`` of many classes, of which the task has none.

        Args:
            x: features.
            y: labels, at least two rows of some class.
            rank: directions that are kept at most.
            strength: the larger, the less is shrunk.

        Raises:
            UsageError: no class of two rows, or an option out of its range.
        """
        if rank < 1 or strength <= 0:
            raise UsageError(f"rank must be >= 1 and strength > 0, got {rank} and {strength}.")
        rows = powered(np.asarray(x, np.float64))
        labels = read_labels(y, len(rows))[0].numpy()
        means = np.stack([rows[labels == c].mean(0) for c in range(int(labels.max()) + 1)])
        within = rows - means[labels]
        if not within.any():
            raise UsageError("a background needs classes of at least two different rows, got none.")
        values, vectors = np.linalg.eigh(within.T @ within)
        values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
        kept = min(rank, int((values > 1e-9 * values[0]).sum()))
        least = strength * values.mean()
        gains = np.sqrt(least / (values[:kept] + least)) - 1
        found = (rows.mean(0), vectors[:, :kept].T, gains)
        return Component(*(part.astype(np.float32).astype(np.float64) for part in found))  # as it is saved

    def nearest(self, x: Float[np.ndarray, "n f"], y: Int[np.ndarray, " n"]) -> Component:
        """The component whose mean is nearest to the mean of the classes' means."""
        rows = powered(x)
        mean = np.mean([rows[y == c].mean(0) for c in np.unique(y)], 0)
        return min(self.components.values(), key=lambda c: float(np.linalg.norm(c.mean - mean)))

    def tensors(self) -> dict[str, Tensor]:
        """Its numbers by name, float32."""
        parts = {f"{name}/{f.name}": getattr(c, f.name) for name, c in self.components.items() for f in fields(c)}
        return {name: torch.from_numpy(part.astype(np.float32)) for name, part in parts.items()}

    @staticmethod
    def of_tensors(tensors: Mapping[str, Tensor]) -> "Background":
        """What ``tensors`` gave."""
        names = dict.fromkeys(name.rpartition("/")[0] for name in tensors)
        parts = [f.name for f in fields(Component)]
        return Background({n: Component(*(tensors[f"{n}/{p}"].double().numpy() for p in parts)) for n in names})

    @staticmethod
    def of_encoder(encoder: Encoder) -> "Background | None":
        """The one that comes with the package for an encoder, if there is one (see benchmarks/background.py).

        Raises:
            RunError: its file is damaged.
        """
        return _shipped().get(encoder.fingerprint)

    def check_width(self, features: int) -> None:
        """Raise ``UsageError`` where it is of an encoder of another width."""
        own = {len(c.mean) for c in self.components.values()}
        if own != {features}:
            raise UsageError(f"the background is of features of width {sorted(own)}, X has {features}.")


def powered(x: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """Rows by their power, of length 1."""
    x = np.sign(x) * np.abs(x) ** POWER
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


@cache
def _shipped() -> dict[str, Background]:
    """By the fingerprints of the encoders that they are of."""
    found: dict[str, Background] = {}
    for file in resources.files("quickstudy.apply.pretrained").iterdir():
        if file.name.startswith("background-"):
            try:
                tensors, told = open_tensors(file.read_bytes(), or_older=False)
            except ValueError as error:
                raise RunError(f"{file.name} cannot be read: {error}. Install quickstudy again.") from error
            found |= dict.fromkeys(json.loads(told["fingerprints"]), Background.of_tensors(tensors))
    return found
