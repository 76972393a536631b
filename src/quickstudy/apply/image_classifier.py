"""A person's own pictures, a few of each class, as a scikit-learn classifier: a frozen encoder and a head on it.

Needs the extra ``sklearn`` (and ``images`` for the usual encoder); ``import quickstudy`` does not import this module.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from quickstudy.apply import _image_file
from quickstudy.apply._learned import learned
from quickstudy.apply.answer import Answer
from quickstudy.apply.background import Background
from quickstudy.apply.check import Check
from quickstudy.apply.embedding_classifier import EmbeddingClassifier
from quickstudy.apply.heads.candidates import NAMES
from quickstudy.apply.onnx import Exported, export
from quickstudy.apply.pictures import labelled, pictures
from quickstudy.core.checks import one_of
from quickstudy.core.errors import UsageError
from quickstudy.encoders.cache import EmbeddingCache
from quickstudy.encoders.embedding import embed_files
from quickstudy.encoders.encoder import Encoder
from quickstudy.encoders.encoder import encoder as encoder_named
from quickstudy.encoders.reading import Source, read_image

AT_ONCE = 64
"""Pictures that are answered together in a stream."""
CHECKED = 200
"""Pictures at most, of those it learned from, on which an ONNX file is checked."""


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Learns classes of pictures from one or a few of each, on a computer of one's own and in seconds.

    A frozen encoder turns each picture into features, and a head is fitted to these (see ``EmbeddingClassifier``,
    whose options are taken, too).

    Args:
        encoder: by name (``efficientnet-lite0``, ``timm:NAME``, ``run:RUN``, ...; see ``quickstudy list``), or one
            that you have.
        head: ``auto``, chosen on the pictures of ``fit`` alone, or the name of one.
        reject: the share of pictures of known classes that may be called unknown, such as 0.05 (None: no picture is
            called unknown).
        unknown: what pictures of no known class are called (None: ``"unknown"``, or -1 where classes are numbers).
        calibrate: whether the sharpness of the probabilities is found by cross-validation.
        transductive: whether pictures that are asked together help to classify each other.
        augment: learn from mirrored and cropped views of each picture, too. Not for what a mirror changes: letters.
        cache: keep features on the disk, so that a picture is embedded once (or an ``EmbeddingCache``).
        random_state: seed of the folds.

    X is a folder, or a list of files, Pillow images and arrays ``[height, width, 3]``; ``fit`` takes a folder of class
    folders without labels. After ``fit``: ``classes_``, ``encoder_``, ``classifier_`` (of the features), ``sources_``
    and ``labels_`` (what it was fitted to; not after ``load``).

    >>> rng = np.random.default_rng(0)
    >>> of = (rng.integers(0, 200, (2, 1, 8, 8, 3)) + rng.integers(0, 50, (2, 4, 8, 8, 3))).astype(np.uint8)
    >>> few = ImageClassifier(encoder="pixels", cache=False).fit([*of[0, :3], *of[1, :3]], [*"aaabbb"])
    >>> few.predict(of[:, 3]).tolist()
    ['a', 'b']
    """

    def __init__(
        self,
        *,
        encoder: str | Encoder = "efficientnet-lite0",
        head: str = "auto",
        reject: float | None = 0.05,
        unknown: Any = None,
        calibrate: bool = True,
        transductive: bool = False,
        augment: bool = False,
        cache: bool | EmbeddingCache = True,
        random_state: int = 0,
    ) -> None:
        self.encoder = encoder
        self.head = head
        self.reject = reject
        self.unknown = unknown
        self.calibrate = calibrate
        self.transductive = transductive
        self.augment = augment
        self.cache = cache
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> "ImageClassifier":  # noqa: N803
        """Learn from pictures with labels, or from a folder of class folders.

        Pictures in class folders that cannot be read are left out, with a warning that names them.

        Raises:
            DataError: no pictures, or one of a list cannot be read.
            UsageError: fewer than two classes; what are no pictures; an encoder or a head that there is not.
        """
        one_of(NAMES, head=self.head)
        sources, labels = labelled(X, y)
        self.encoder_ = self.encoder if isinstance(self.encoder, Encoder) else encoder_named(self.encoder)
        found = learned(sources, labels, self.encoder_, self.cache, augment=self.augment, all_needed=y is not None)
        own = {name: getattr(self, name) for name in _SHARED}
        y = np.asarray([found.labels[place] for place in found.of])
        known = Background.of_encoder(self.encoder_)
        self.classifier_ = EmbeddingClassifier(background=known, **own).fit(found.features, y, groups=found.of)
        self.classes_ = self.classifier_.classes_
        self.sources_, self.labels_ = found.sources, found.labels
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each picture, or what unknown ones are called."""
        return self._head.predict(self.features(X))

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""
        return self._head.predict_proba(self.features(X))

    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each picture is (larger: less like any); above ``threshold_`` it is called unknown."""
        return self._head.unknown_score(self.features(X))

    def predict_set(self, X: Any, coverage: float = 0.9) -> Bool[np.ndarray, "n classes"]:  # noqa: N803
        """The classes that cannot be excluded: sets that hold the right one in a share ``coverage`` of pictures."""
        return self._head.predict_set(self.features(X), coverage)

    @property
    def threshold_(self) -> float:
        """The unknown score above which a picture is called unknown (nan without ``reject``)."""
        return self._head.threshold_

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy on pictures with labels, or on a folder of class folders; what is called unknown counts as wrong."""
        sources, labels = labelled(X, y)
        return float(super().score(sources, np.asarray(labels), sample_weight))

    def next_to_label(self, pool: Any, n: int) -> list[Source]:
        """Which pictures of a pool would help most if they were labelled next, the best first."""
        sources = pictures(pool)
        return [sources[i] for i in self._head.next_to_label(self.features(sources), n)]

    def check(self, *, repeats: int = 3) -> Check:
        """How good it will be, by cross-validation on the pictures of ``fit``.

        The rows of ``suspects`` are places in ``sources_``.

        Raises:
            UsageError: every class has a single picture, or ``repeats`` is no count.
        """
        found = self._head.check(repeats=repeats)
        place = self.classifier_.groups_
        return replace(found, suspects=tuple(one._replace(row=int(place[one.row])) for one in found.suspects))

    def stream(self, X: Any) -> Iterator[Answer]:  # noqa: N803
        """An answer for each picture, in order, as they come: for thousands, in bounded memory.

        A picture that cannot be read has a ``problem`` in place of an answer, and the others go on. Transductive
        answers need all pictures first.
        """
        with closing(self.embedded(X)) as found:
            while part := list(islice(found, None if self.transductive else AT_ONCE)):
                yield from self.answers(part)

    def embedded(self, X: Any) -> Generator[tuple[Source, Float[Tensor, " width"] | str]]:  # noqa: N803
        """Each picture with its features, or with why it cannot be read, as they come."""
        check_is_fitted(self)
        yield from embed_files(pictures(X), self.encoder_, self.cache)

    def answers(self, found: Sequence[tuple[Source, Float[Tensor, " width"] | str]]) -> Iterator[Answer]:
        """An answer for each of what ``embedded`` found."""
        rows = [one for _, one in found if not isinstance(one, str)]
        answered: Iterator[tuple[Any, Any, Any]] = iter(())
        if rows:
            x, own = np.stack(rows), self.classifier_
            answered = zip(own.predict(x), own.predict_proba(x), own.unknown_score(x), strict=True)
        for source, one in found:
            if isinstance(one, str):
                yield Answer(source, problem=one)
            else:
                label, p, score = next(answered)
                yield Answer(source, label, p, float(score))

    def features(self, X: Any) -> Float[np.ndarray, "n width"]:  # noqa: N803
        """What the encoder finds in pictures.

        Raises:
            DataError: one that cannot be read.
        """
        check_is_fitted(self)
        rows = [found for _, found in embed_files(pictures(X), self.encoder_, self.cache, on_bad="raise")]
        if not rows:
            raise UsageError("there are no pictures to classify.")
        return np.stack(rows)

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: the head, the features of ``fit``, and the encoder's name; no picture, no pickle.

        Raises:
            UsageError: classes that are neither numbers nor texts.
            RunError: the file cannot be written.
        """
        _image_file.save(self._head, self.encoder_, self.augment, path)

    @staticmethod
    def load(path: str | Path, *, encoder: Encoder | None = None) -> "ImageClassifier":
        """What ``save`` wrote, fitted; it answers as it did.

        Args:
            path: the file.
            encoder: that it was fitted with, where that is none of the registered ones (None: by its name).

        Raises:
            RunError: the file is missing, damaged, or of another kind; or the encoder has other weights than it had.
            UsageError: the encoder cannot be built here.
        """
        classifier, found, augment = _image_file.restored(path, encoder)
        loaded = ImageClassifier(encoder=found, augment=augment, **{n: getattr(classifier, n) for n in _SHARED})
        loaded.encoder_, loaded.classifier_, loaded.classes_ = found, classifier, classifier.classes_
        return loaded

    def to_onnx(self, path: str | Path, *, check_on: Any = None) -> Exported:
        """Write encoder, the constants of its preprocessing, head and labels as one ONNX file (see ``apply.onnx``).

        It is left only if its answers are Python's.

        Args:
            path: the file.
            check_on: pictures to check it on (None: those of ``fit``; after ``load``, made ones).

        Raises:
            UsageError: the extra ``onnx`` is missing; an encoder or a head that cannot be exported.
            RunError: the answers differ, or the file cannot be written.
        """
        head, encoder = self._head, self.encoder_
        sources = getattr(self, "sources_", [])[:CHECKED] if check_on is None else pictures(check_on)
        return export(encoder, head, [read_image(s, at_least=2 * max(encoder.size)) for s in sources], Path(path))

    @property
    def _head(self) -> EmbeddingClassifier:
        check_is_fitted(self)
        return self.classifier_


_SHARED = ("head", "reject", "unknown", "calibrate", "transductive", "random_state")  # of EmbeddingClassifier
