"""A classifier of features that an encoder found, from few labelled rows: a head that is chosen on these rows alone.

Needs the extra ``sklearn``; ``import quickstudy`` does not import this module.
"""

import copy
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, check_is_fitted, validate_data
from torch import nn

from quickstudy.apply._saved import restore, save
from quickstudy.apply.background import Background
from quickstudy.apply.check import Check, check
from quickstudy.apply.heads.bd_cspn import bd_cspn
from quickstudy.apply.heads.candidates import candidates
from quickstudy.apply.heads.ensemble import ensemble
from quickstudy.apply.heads.folds import folds, weights_of
from quickstudy.apply.open_set import HeldOut, OpenSet
from quickstudy.core.checks import at_least
from quickstudy.core.errors import UsageError
from quickstudy.tasks.images.labels import check_complete, read_labels

FOLDS = 5
ALONE = (0.78, 0.12)
"""With one example a class: mean and standard deviation of the unknown score of rows of known classes, in units of what
two classes' examples have to each other; of classes that nothing is tested on."""


class EmbeddingClassifier(ClassifierMixin, OpenSet, BaseEstimator):
    """A scikit-learn classifier of features ``[n, features]`` of any width, from 2 classes and 1 row a class upwards.

    Args:
        head: ``auto``, several heads weighed by cross-validation on the rows of ``fit`` alone (with one example a
            class, where nothing can be held out, as they did best on other data); or a plain one, on features of
            length 1: ``centroid``, ``ridge``, ``logistic``, ``svm``; or ``in-context``, trained on other classes.
        background: what is known of the encoder's features from other data (see ``Background``), for ``auto`` and
            ``in-context``.
        reject: the share of rows of known classes that may be called unknown, in (0, 1), such as 0.05: ``predict``
            then says ``unknown`` where the unknown score is above ``threshold_`` (None: it never does).
        unknown: what ``predict`` calls them (None: ``"unknown"`` where classes are texts, -1 where they are numbers).
        calibrate: whether the sharpness of the probabilities is measured by cross-validation.
        transductive: whether the rows of one call of ``predict`` help to classify each other (BD-CSPN): they must be
            of all classes in about equal numbers. Unknown scores and sets stay those of each row alone.
        random_state: seed of the folds.

    After ``fit``: ``classes_``, ``n_features_in_``, ``weights_`` (of the heads), ``threshold_`` (nan where ``reject``
    is None).

    >>> rng = np.random.default_rng(0)
    >>> y = np.arange(60) % 3
    >>> X = 2 * rng.normal(size=(3, 16))[y] + rng.normal(size=(60, 16))
    >>> few = EmbeddingClassifier().fit(X[:15], y[:15])
    >>> few.score(X[15:], y[15:]) > 0.9, bool(few.unknown_score(-X).mean() > few.unknown_score(X).mean())
    (True, True)
    """

    n_features_in_: int
    feature_names_in_: Any

    def __init__(
        self,
        *,
        head: str = "auto",
        background: Background | None = None,
        reject: float | None = None,
        unknown: Any = None,
        calibrate: bool = True,
        transductive: bool = False,
        random_state: int = 0,
    ) -> None:
        self.head = head
        self.background = background
        self.reject = reject
        self.unknown = unknown
        self.calibrate = calibrate
        self.transductive = transductive
        self.random_state = random_state

    def fit(self, X: Any, y: Any, groups: Any = None) -> "EmbeddingClassifier":  # noqa: N803
        """Fit to the rows X ``[n, features]`` with labels y.

        Args:
            X: features.
            y: labels, anything that scikit-learn takes for classes.
            groups: rows with the same entry are views (augmentations) of one example: they weigh together as much as
                one, and are never on both sides of a cross-validation (None: each row is an example).

        Raises:
            UsageError: fewer than two classes, views of one example with different labels, an option out of its range.
            DataError: rows without a label.
        """
        check_complete(y)
        checked: tuple[Any, Any] = validate_data(  # pyright: ignore[reportAssignmentType]
            self, X, y, dtype=np.float64, ensure_min_samples=2, copy=True
        )
        self.x_, y = checked
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self.y_ = labels.reshape(-1).astype(np.int64)
        if len(self.classes_) < 2:
            raise UsageError(f"a classifier needs examples of at least 2 classes, got {len(self.classes_)} class.")
        self._check_open_set()
        check_consistent_length(self.x_, groups)
        self.groups_ = np.arange(len(self.x_)) if groups is None else read_labels(groups)[0].numpy()
        if len(np.unique(np.stack([self.groups_, self.y_]), axis=1).T) > len(np.unique(self.groups_)):
            raise UsageError("rows of one group are views of one example and have one label, but some have several.")
        known = None
        if self.background is not None:
            self.background.check_width(self.x_.shape[1])
            known = self.background.nearest(self.x_, self.y_)
        fold = folds(self.y_, self.groups_, FOLDS, np.random.default_rng(self.random_state))
        among = candidates(self.head, self.x_, shrinks=known is not None, can_measure=bool((fold >= 0).any()))
        weight = weights_of(self.groups_)
        fitted = ensemble(self.x_, self.y_, weight, fold, among, known, calibrate=self.calibrate)
        self.answers_ = fitted.answers
        self.weights_, self.held_out_ = fitted.weights, fitted.held_out
        self.unlike_, self.apart_ = fitted.unlike, fitted.apart
        return self

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""
        rows = self._rows(X)
        if not self.transductive:
            return self._answered(rows)[0]
        near = self.answers_.near.transform
        labelled, weight = torch.from_numpy(self.x_), torch.from_numpy(weights_of(self.groups_))
        z, asked = near(labelled), near(torch.from_numpy(rows))
        return bd_cspn(z, torch.from_numpy(self.y_), weight, asked).numpy()

    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each row is (larger: less like any): 1 less the cosine to the nearest class mean."""
        return self._answered(self._rows(X))[1]

    def check(self, *, repeats: int = 3) -> Check:
        """How good it will be, by cross-validation on the rows of ``fit``: accuracy with its interval, and more.

        Raises:
            UsageError: every class has a single example, or ``repeats`` is no count.
        """
        check_is_fitted(self)
        at_least(1, repeats=repeats)
        seed = self.random_state
        return check(self, self.x_, self.y_, self.groups_, self.classes_.tolist(), repeats=repeats, random_state=seed)

    @property
    def module(self) -> nn.Module:
        """float32 rows ``[n, features]`` to (probabilities ``[n, classes]``, unknown score ``[n]``), for export.

        Raises:
            UsageError: transductive answers, which are not of each row alone.
        """
        check_is_fitted(self)
        if self.transductive:
            raise UsageError("transductive answers depend on all rows of a call and cannot be exported.")
        return copy.deepcopy(self.answers_).float().eval()

    def save(self, path: str | Path) -> None:
        """Write one safetensors file: what was fitted, and the rows of ``fit``. No pickle.

        Raises:
            UsageError: classes that are neither numbers nor texts.
            RunError: the file cannot be written.
        """
        check_is_fitted(self)
        save(self, path)

    @staticmethod
    def load(path: str | Path) -> "EmbeddingClassifier":
        """What ``save`` wrote, fitted; it answers as it did, whatever is installed.

        Raises:
            RunError: the file is missing, damaged (its checksum says so), or of another format.
        """
        classifier = EmbeddingClassifier()
        restore(classifier, path)
        return classifier

    def _rows(self, given: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return validate_data(self, given, reset=False, dtype=np.float64, copy=True)  # pyright: ignore[reportReturnType]

    def _answered(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with torch.no_grad():
            p, score = self.answers_(torch.from_numpy(rows))
        return p.numpy(), score.numpy()

    def _features(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        return self.answers_.near.transform(torch.from_numpy(self._rows(X))).numpy()

    def _each_alone(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        return self._answered(self._rows(X))[0]

    def _held_out(self) -> HeldOut:
        return HeldOut(self.held_out_, self.unlike_, self.y_, weights_of(self.groups_))

    def _alone(self, reject: float) -> float:
        return self.apart_ * NormalDist(*ALONE).inv_cdf(1 - reject)
