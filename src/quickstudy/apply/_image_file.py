"""An ``ImageClassifier`` as one file: that of its ``EmbeddingClassifier``, and in the header which encoder it has."""

import json
from pathlib import Path
from typing import Any

from quickstudy import registry
from quickstudy.apply._saved import save as save_head
from quickstudy.apply.embedding_classifier import EmbeddingClassifier
from quickstudy.core.errors import RunError, UsageError
from quickstudy.core.files import parse_json, reason
from quickstudy.core.sealed import open_tensors
from quickstudy.encoders.encoder import Encoder

KEY = "quickstudy image classifier"


def save(classifier: EmbeddingClassifier, encoder: Encoder, augment: bool, path: str | Path) -> None:
    """See ``ImageClassifier.save``."""
    about = {"encoder": registry.describe(encoder), "fingerprint": encoder.fingerprint, "augment": augment}
    save_head(classifier, path, {KEY: json.dumps(about)})


def restored(path: str | Path, encoder: Encoder | None) -> tuple[EmbeddingClassifier, Encoder, bool]:
    """What ``save`` was given. An encoder that is not given is built, of registered code alone; nothing is downloaded.

    Raises:
        RunError: the file is missing, damaged or of another kind, or the encoder has other weights than it had.
        UsageError: the encoder cannot be built here.
    """
    try:
        about = parse_json(open_tensors(Path(path), or_older=False)[1][KEY])
        described, fingerprint, augment = about["encoder"], str(about["fingerprint"]), bool(about["augment"])
    except Exception as error:  # whatever somebody has put there
        raise RunError(f"{path} is no classifier that ImageClassifier.save wrote: {reason(error)}.") from error
    if encoder is None:
        encoder = _built(described, path)
    if encoder.fingerprint != fingerprint:
        raise RunError(
            f"{path} was fitted to features of another encoder than this {type(encoder).__name__}: other weights, or "
            f"prepared in another way. Fit it again, or pass the encoder it had: load(PATH, encoder=ENCODER)."
        )
    return EmbeddingClassifier.load(path), encoder, augment


def _built(described: Any, path: str | Path) -> Encoder:
    try:
        options = described.get("options") or {}
        never = {"download": False} if "download" in options else {}
        found = registry.build(described, **never)
        if not isinstance(found, Encoder):
            raise TypeError(f"it names a {type(found).__name__}")
    except (UsageError, AttributeError, TypeError, KeyError) as error:
        raise UsageError(
            f"the encoder of {path} cannot be built here: {str(error).rstrip('.')}; build it in Python and pass it: "
            f"ImageClassifier.load(PATH, encoder=ENCODER)."
        ) from error
    return found
