"""Any number of pictures to features: read, embedded and kept as they come."""

from collections.abc import Iterable, Iterator
from functools import cache as remembered
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from quickstudy.core.cache_folder import cache_folder
from quickstudy.core.errors import DataError
from quickstudy.core.parallel import in_order
from quickstudy.encoders.cache import EmbeddingCache
from quickstudy.encoders.encoder import Encoder
from quickstudy.encoders.reading import Source, opened

T = TypeVar("T")
READING = 1
"""Counts the changes of how files are read, which change the features."""
_SHARPER = 2
"""How much larger than the network's input a JPEG is still decoded, so that resizing has something to average."""
_KEPT_AT = 32
"""New features that are kept in one go."""


class _Found(NamedTuple):
    source: Any
    features: Tensor | DataError
    new: str | None
    """The content's hash, of features that are not in the cache."""


def embed_files(
    sources: Iterable[Source],
    encoder: Encoder,
    cache: EmbeddingCache | bool = True,
    *,
    on_bad: Literal["yield", "raise"] = "yield",
) -> Iterator[tuple[Source, Float[Tensor, " width"] | str]]:
    """Each picture with its features, in order; with one that cannot be read, a sentence that names it and says why.

    A few pictures at a time are read, decoded and embedded, on as many threads as torch may use: the memory stays the
    same for any number. What was embedded is kept at every 32 pictures and when the iterator ends or is closed, so
    whoever comes again after an interruption goes on from there.

    Args:
        sources: as ``read_image`` takes them.
        encoder: that embeds them.
        cache: where features are kept (True: in quickstudy's cache folder; False: nowhere).
        on_bad: ``"raise"`` raises at the first that cannot be read.

    Raises:
        DataError: such a picture.
        UsageError: a source that is no path, image or array.
    """
    kept = _default(cache_folder()) if cache is True else cache or None
    key = f"{encoder.fingerprint} {READING}"
    new: dict[str, Tensor] = {}
    found = in_order(lambda piece: _embedded(piece, encoder, kept, key), _pieces(sources, encoder.at_once))
    try:
        for source, features, content in (one for piece in found for one in piece):
            if isinstance(features, DataError):
                if on_bad == "raise":
                    raise features
                yield source, str(features)
                continue
            if kept is not None and content is not None:
                new[content] = features
                if len(new) >= _KEPT_AT:
                    kept.put(key, new)
                    new = {}
            yield source, features
    finally:
        found.close()
        if kept is not None:
            kept.put(key, new)


@remembered
def _default(folder: Path) -> EmbeddingCache:
    """One for the process, so that it says once that it cannot be used."""
    return EmbeddingCache(folder / "embeddings")


def _pieces(items: Iterable[T], size: int) -> Iterator[list[T]]:
    piece: list[T] = []
    for item in items:
        piece.append(item)
        if len(piece) == size:
            yield piece
            piece = []
    if piece:
        yield piece


def _embedded(piece: list[Any], encoder: Encoder, cache: EmbeddingCache | None, key: str) -> list[_Found]:
    features: list[Tensor | DataError | None] = []
    contents: list[str | None] = []
    prepared: list[Tensor] = []
    for source in piece:
        content, known = None, None
        try:
            digest, image = opened(source, _SHARPER * max(encoder.size))
            known = cache.get(key, digest) if cache else None
            if known is None:
                prepared.append(encoder.prepare(image()))
                content = digest
        except DataError as error:
            known = error
        features.append(known)
        contents.append(content)
    made = iter(encoder.features(torch.stack(prepared)) if prepared else [])
    return [
        _Found(source, next(made) if one is None else one, content)
        for source, one, content in zip(piece, features, contents, strict=True)
    ]
