"""Frozen networks that turn images into features, by name; and the cache that keeps the features."""

from quickstudy.exports import lazily

__getattr__, __dir__, __all__ = lazily(
    __name__,
    kind="encoders",
    more={
        "quickstudy.encoders.cache": ["EmbeddingCache"],
        "quickstudy.encoders.encoder": ["Encoder"],
        "quickstudy.encoders.embedding": ["embed_files"],
        "quickstudy.encoders.reading": ["content_hash", "read_image"],
    },
)
