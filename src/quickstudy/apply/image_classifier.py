"""A person's own pictures, a few of each class, as a scikit-learn classifier: a frozen encoder and a head on it.

Needs the extra ``sklearn`` (and ``images`` for the usual encoder); ``import quickstudy`` does not import this module.
"""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from quickstudy.apply.pictures import labelled, pictures
from quickstudy.apply._views import views
from quickstudy.apply.embedding_classifier import EmbeddingClassifier
from quickstudy.core.errors import DataError, UsageError
from quickstudy.encoders.cache import EmbeddingCache
from quickstudy.encoders.encoder import Encoder
from quickstudy.encoders.encoder import encoder as encoder_named
from quickstudy.encoders.reading import Source, embed_files

AT_ONCE = 64
"""Pictures that are answered together in a stream."""


@dataclass(frozen=True)
class Answer:
    """What one picture is taken for."""

    source: Source
    label: Any = None
    """The most probable class, or what unknown ones are called."""
    probabilities: Float[np.ndarray, " classes"] | None = None
    """In the order of ``classes_``."""
    unknown_score: float | None = None
    problem: str | None = None
    """Why there is no answer: it could not be read."""


class ImageClassifier(ClassifierMixin, BaseEstimator):
    """Learns classes of pictures from one or a few of each, on a computer of one's own and in seconds.

    A frozen encoder turns each picture into features, and a head is fitted to these (see ``EmbeddingClassifier``,
    whose options are taken, too).

    Args:
        encoder: by name (``efficientnet-lite0``, ``timm:NAME``, ``run:RUN``, ...; see ``quickstudy list``), or one
            that you have.
        head: ``auto``, chosen by cross-validation on the pictures of ``fit`` alone, or the name of one.
        reject: the share of pictures of known classes that may be called unknown, such as 0.05 (None: no picture is
            called unknown).
        unknown: what pictures of no known class are called (None: ``"unknown"``, or -1 where classes are numbers).
        calibrate: whether the temperature of the probabilities is found by cross-validation.
        transductive: whether pictures that are asked together help to classify each other.
        augment: learn from mirrored and cropped views of each picture, too. Not for what a mirror changes: letters.
        cache: keep features on the disk, so that a picture is embedded once (or an ``EmbeddingCache``).
        random_state: seed of the folds.

    X is a folder, or a list of files, Pillow images and arrays ``[height, width, 3]``; ``fit`` takes a folder of class
    folders without labels. After ``fit``: ``classes_``, ``encoder_``, ``classifier_`` (of the features), ``sources_``
    and ``labels_`` (what it was fitted to).
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
            UsageError: fewer than two classes; what are no pictures; an encoder that there is not.
        """
        sources, labels = labelled(X, y)
        self.encoder_ = self.encoder if isinstance(self.encoder, Encoder) else encoder_named(self.encoder)
        shown = list(views(sources)) if self.augment else [(i, source) for i, source in enumerate(sources)]
        rows: list[Any] = []
        kept: list[int] = []
        broken: list[str] = []
        for (of, _), (_, found) in zip(shown, self._embedded(source for _, source in shown), strict=True):
            if isinstance(found, str):
                broken.append(found)
            else:
                rows.append(found)
                kept.append(of)
        broken = [*dict.fromkeys(broken)]
        if broken and y is not None:
            raise DataError(broken[0])
        if broken:
            some = "; ".join(broken[:5])
            warnings.warn(f"left out {len(broken)} pictures that cannot be read: {some}.", UserWarning, stacklevel=2)
        left = [labels[of] for of in kept]
        if len({*left}) < 2:
            raise DataError(f"a classifier needs readable pictures of at least 2 classes, got {len({*left})}.")
        self.classifier_ = EmbeddingClassifier(
            head=self.head,
            reject=self.reject,
            unknown=self.unknown,
            calibrate=self.calibrate,
            transductive=self.transductive,
            random_state=self.random_state,
        )
        self.classifier_.fit(torch.stack(rows).numpy(), np.asarray(left), groups=kept if self.augment else None)
        self.classes_ = self.classifier_.classes_
        whole = sorted({*kept})
        self.sources_ = [sources[of] for of in whole]
        self.labels_ = [labels[of] for of in whole]
        return self

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each picture, or what unknown ones are called."""
        return self.classifier_.predict(self.features(X))

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""
        return self.classifier_.predict_proba(self.features(X))

    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each picture is (larger: less like any); above ``threshold_`` it is called unknown."""
        return self.classifier_.unknown_score(self.features(X))

    def predict_set(self, X: Any, coverage: float = 0.9) -> Bool[np.ndarray, "n classes"]:  # noqa: N803
        """The classes that cannot be excluded: sets that hold the right one in a share ``coverage`` of pictures."""
        return self.classifier_.predict_set(self.features(X), coverage)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:  # noqa: N803
        """Accuracy on pictures with labels, or on a folder of class folders."""
        sources, labels = labelled(X, y)
        return float(super().score(sources, np.asarray(labels), sample_weight))

    def next_to_label(self, pool: Any, n: int) -> list[Source]:
        """Which pictures of a pool would help most if they were labelled next, the best first."""
        sources = pictures(pool)
        return [sources[i] for i in self.classifier_.next_to_label(self.features(sources), n)]

    def stream(self, X: Any) -> Iterator[Answer]:  # noqa: N803
        """An answer for each picture, in order, as they come: for thousands, in bounded memory.

        A picture that cannot be read has a ``problem`` in place of an answer, and the others go on. Transductive
        answers need all pictures first.
        """
        check_is_fitted(self)
        sources = iter(pictures(X))
        while part := list(islice(sources, None if self.transductive else AT_ONCE)):
            yield from self._answers(part)

    def features(self, X: Any) -> Float[np.ndarray, "n width"]:  # noqa: N803
        """What the encoder finds in pictures.

        Raises:
            DataError: one that cannot be read.
        """
        check_is_fitted(self)
        rows = [found for _, found in self._embedded(pictures(X), on_bad="raise")]
        if not rows:
            raise UsageError("there are no pictures to classify.")
        return np.stack(rows)

    def _answers(self, sources: list[Source]) -> Iterator[Answer]:
        found = [one for _, one in self._embedded(sources)]
        rows = [one for one in found if not isinstance(one, str)]
        if rows:
            x = np.stack(rows)
            answered = zip(
                self.classifier_.predict(x),
                self.classifier_.predict_proba(x),
                self.classifier_.unknown_score(x),
                strict=True,
            )
        else:
            answered = iter(())
        for source, one in zip(sources, found, strict=True):
            if isinstance(one, str):
                yield Answer(source, problem=one)
            else:
                label, p, score = next(answered)
                yield Answer(source, label, p, float(score))

    def _embedded(self, sources: Iterable[Source], on_bad: Any = "yield") -> Iterator[tuple[Source, Any]]:
        return embed_files(sources, self.encoder_, self.cache, on_bad=on_bad)
