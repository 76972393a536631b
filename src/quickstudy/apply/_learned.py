"""What a classifier of pictures is fitted to: the features of those that can be read, and what is odd about them."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.apply._views import views
from quickstudy.core.errors import DataError
from quickstudy.encoders.cache import EmbeddingCache
from quickstudy.encoders.embedding import embed_files
from quickstudy.encoders.encoder import Encoder
from quickstudy.encoders.reading import Source, called

SHOWN = 5
"""Names of a kind that a remark lists."""


class Learned(NamedTuple):
    """The pictures that could be read, and the features of their views."""

    sources: list[Source]
    labels: list[Any]
    features: Float[np.ndarray, "views width"]
    of: list[int]
    """Of which picture each row of features is a view, as its place in ``sources``."""


def learned(
    sources: Sequence[Source],
    labels: Sequence[Any],
    encoder: Encoder,
    cache: EmbeddingCache | bool,
    *,
    augment: bool,
    all_needed: bool,
) -> Learned:
    """Embed pictures with labels.

    What cannot be read is left out, with a warning that names it; so are classes of which nothing is left. One picture
    under two labels is told, too.

    Args:
        sources: the pictures.
        labels: one each.
        encoder: that embeds them.
        cache: see ``embed_files``.
        augment: with mirrored and cropped views.
        all_needed: the first that cannot be read is an error.

    Raises:
        DataError: such a one, or fewer than two classes with pictures that can be read.
    """
    shown = views(sources, 2 * max(encoder.size)) if augment else enumerate(sources)
    of: list[int] = []
    asked = (of.append(number) or view for number, view in shown)
    found = list(embed_files(asked, encoder, cache, on_bad="raise" if all_needed else "yield"))
    broken = list(dict.fromkeys(row for _, row in found if isinstance(row, str)))
    if broken:
        _warn(f"left out {len(broken)} of {len(sources)} pictures, which cannot be read: {_some(broken, '; ')}")
    rows = [(number, row) for number, (_, row) in zip(of, found, strict=True) if isinstance(row, Tensor)]
    whole = sorted({number for number, _ in rows})
    lost = sorted({str(label) for label in labels} - {str(labels[number]) for number in whole})
    if len({str(labels[number]) for number in whole}) < 2:
        raise DataError(
            f"a classifier needs pictures of at least 2 classes that can be read, found {len({*labels}) - len(lost)}"
            f"{f'; {broken[0]}' if broken else ''}"
        )
    if lost:
        _warn(f"no picture can be read of: {_some(lost)}; these classes are left out")
    _tell_of_two_labels(sources, labels, rows)
    place = {number: i for i, number in enumerate(whole)}
    return Learned(
        [sources[number] for number in whole],
        [labels[number] for number in whole],
        torch.stack([row for _, row in rows]).numpy(),
        [place[number] for number, _ in rows],
    )


def _tell_of_two_labels(sources: Sequence[Source], labels: Sequence[Any], rows: list[tuple[int, Tensor]]) -> None:
    first: dict[bytes, int] = {}
    for number, row in rows:
        before = first.setdefault(row.numpy().tobytes(), number)
        if labels[before] != labels[number]:
            _warn(
                f"one picture has two labels: {called(sources[before])} ({labels[before]}) and "
                f"{called(sources[number])} ({labels[number]})"
            )


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return between.join(name.rstrip(".") for name in names[:SHOWN]) + more


def _warn(text: str) -> None:
    warnings.warn(f"{text}.", UserWarning, stacklevel=4)
