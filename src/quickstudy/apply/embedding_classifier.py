"""A classifier of features that an encoder found, from few labelled rows: a head that is chosen on these rows alone.

Needs the extra ``sklearn``; ``import quickstudy`` does not import this module.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from torch import nn


class EmbeddingClassifier(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier of features ``[n, features]`` of any width, from 2 classes and 1 row a class upwards.

    Args:
        head: ``auto``, which chooses by cross-validation on the rows of ``fit`` alone, or one of ``heads.NAMES``.
        reject: the share of rows of known classes that may be called unknown, in (0, 1), such as 0.05: ``predict``
            then gives ``unknown`` for rows whose unknown score is above ``threshold_`` (None: it never does).
        unknown: what ``predict`` calls them (None: ``"unknown"`` where classes are texts, -1 where they are numbers).
        calibrate: whether the temperature of the probabilities is found by cross-validation.
        transductive: whether the rows that are asked together help to classify each other.
        random_state: seed of the folds.

    After ``fit``: ``classes_``, ``n_features_in_``, ``head_`` (which was chosen), ``threshold_``.
    """

    n_features_in_: int

    def __init__(
        self,
        *,
        head: str = "auto",
        reject: float | None = None,
        unknown: Any = None,
        calibrate: bool = True,
        transductive: bool = False,
        random_state: int = 0,
    ) -> None:
        self.head = head
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
        """
        raise NotImplementedError

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""
        raise NotImplementedError

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each row; with ``reject``, ``unknown`` where the unknown score says so."""
        raise NotImplementedError

    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each row is (larger: less like any)."""
        raise NotImplementedError

    def predict_set(self, X: Any, coverage: float = 0.9) -> Bool[np.ndarray, "n classes"]:  # noqa: N803
        """The classes that cannot be excluded: sets that hold the right one in a share ``coverage`` of rows."""
        raise NotImplementedError

    def next_to_label(self, pool: Any, n: int) -> Int[np.ndarray, " n"]:
        """Which rows of a pool ``[m, features]`` would help most if they were labelled next, the best first."""
        raise NotImplementedError

    def check(self, *, repeats: int = 3) -> Any:
        """How good it will be: cross-validation on the rows of ``fit`` (see ``Check``)."""
        raise NotImplementedError

    @property
    def module(self) -> nn.Module:
        """float32 rows ``[n, features]`` to (probabilities ``[n, classes]``, unknown score ``[n]``), for export."""
        raise NotImplementedError

    def save(self, path: str | Path) -> None:
        """Write one safetensors file. No pickle."""
        raise NotImplementedError

    @staticmethod
    def load(path: str | Path) -> "EmbeddingClassifier":
        """What ``save`` wrote, fitted."""
        raise NotImplementedError
