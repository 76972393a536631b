"""Probabilities and thresholds of a classifier that is fitted anew, without some of its few examples at a time."""

from abc import abstractmethod
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from sklearn.utils.validation import check_is_fitted

from quickstudy.apply.heads.ensemble import sharpest
from quickstudy.apply.heads.folds import folds
from quickstudy.apply.open_set import HeldOut, OpenSet

FOLDS = 5


class Refitted(OpenSet):
    """What was held out is computed when it is first asked for: for ``calibrate``, ``reject`` and ``predict_set``.

    ``fit`` sets ``labels_`` and ``refits_ = []`` before it calls ``_check_open_set``.
    """

    calibrate: bool
    random_state: int
    labels_: Int[np.ndarray, " n"]
    """The places of the labelled examples' classes."""
    refits_: list[tuple[float, HeldOut]]
    """The sharpness of the probabilities, and what was held out; empty until they are asked for."""

    @abstractmethod
    def _logits(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """Before any calibration."""

    @abstractmethod
    def _without(
        self, held: Bool[np.ndarray, " n"]
    ) -> tuple[Float[np.ndarray, "held classes"], Float[np.ndarray, " held"]]:
        """The logits and unknown scores of labelled examples, by a classifier that is fitted to the others."""

    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""
        check_is_fitted(self)
        return _softmax((self._refits()[0] if self.calibrate else 1.0) * self._logits(X))

    def _check_open_set(self) -> None:
        super()._check_open_set()
        if self.reject is not None and np.bincount(self.labels_).max() == 1:
            self._alone(self.reject)

    def _best(self, X: Any) -> Int[np.ndarray, " n"]:  # noqa: N803
        return self._logits(X).argmax(1)

    def _held_out(self) -> HeldOut:
        return self._refits()[1]

    def _refits(self) -> tuple[float, HeldOut]:
        if not self.refits_:
            y, weight = self.labels_, np.ones(len(self.labels_))
            fold = folds(y, np.arange(len(y)), FOLDS, np.random.default_rng(self.random_state))
            logits, scores = np.full((len(y), len(self.classes_)), np.nan), np.full(len(y), np.nan)
            for each in range(int(fold.max()) + 1):
                logits[fold == each], scores[fold == each] = self._without(fold == each)
            sharpness = sharpest(logits, y, np.where(fold >= 0, weight, 0), 1.0, calibrate=self.calibrate)
            known = HeldOut(_softmax(sharpness * logits), scores, y, weight)
            self.refits_.append((sharpness, known))
        return self.refits_[0]


def _softmax(logits: Float[np.ndarray, "n classes"]) -> Float[np.ndarray, "n classes"]:
    return torch.from_numpy(logits).softmax(1).numpy()
