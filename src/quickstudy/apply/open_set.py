"""What a classifier does not know: examples of no class of its own, classes that cannot be excluded, what to ask next.

An estimator says what it makes of examples, and what it made of its labelled ones while they were held out; thresholds,
sets and choices follow from these for all estimators in the same way.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from quickstudy.apply.active import most_telling
from quickstudy.apply.conformal import own_word, quantile, set_threshold
from quickstudy.core.checks import at_least
from quickstudy.core.errors import UsageError


@dataclass(frozen=True)
class HeldOut:
    """What was made of labelled rows by a classifier that was fitted without them; nan where a row never was held out.

    Attributes:
        probabilities: of the classes.
        unknown_score: as the classifier's.
        y: the places of the rows' classes.
        weight: of the rows.
    """

    probabilities: Float[np.ndarray, "n classes"]
    unknown_score: Float[np.ndarray, " n"]
    y: Int[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]


class OpenSet(ABC):
    """A classifier that knows its limits; an estimator calls ``_check_open_set`` when it is fitted."""

    classes_: NDArray[Any]
    reject: float | None
    unknown: Any

    @abstractmethod
    def predict_proba(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """The probability of each class, in the order of ``classes_``."""

    @abstractmethod
    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each example is: the larger, the less like any."""

    @abstractmethod
    def _features(self, X: Any) -> Float[np.ndarray, "n f"]:  # noqa: N803
        """Where alike examples are near each other."""

    @abstractmethod
    def _held_out(self) -> HeldOut:
        """Of the examples that were fitted."""

    def _alone(self, reject: float) -> float:
        """The threshold where every class has a single example, so that nothing was held out."""
        raise UsageError(
            f"every class has a single example, so that none can be held out, and reject={reject} has no threshold: "
            f"give a class a second example, or leave reject out and look at unknown_score."
        )

    def _each_alone(self, X: Any) -> Float[np.ndarray, "n classes"]:  # noqa: N803
        """Probabilities that do not depend on what else is asked."""
        return self.predict_proba(X)

    def _best(self, X: Any) -> Int[np.ndarray, " n"]:  # noqa: N803
        """The places of the most probable classes."""
        return self.predict_proba(X).argmax(1)

    def _check_open_set(self) -> None:
        """Raise ``UsageError`` for options that cannot work, once the classes are known."""
        if self.reject is None:
            return
        if not 0 < self.reject < 1:
            raise UsageError(f"reject must be in (0, 1) or None, got {self.reject}.")
        name, classes = self._unknown, self.classes_.tolist()
        if name in classes:
            raise UsageError(f"a class is called {name!r}: say what unknown ones are called, unknown=NAME.")
        if self.classes_.dtype.kind != "O" and isinstance(name, str) != isinstance(classes[0], str):
            raise UsageError(
                f"classes and what unknown ones are called must be all texts or all numbers, got {name!r}."
            )

    @property
    def _unknown(self) -> Any:
        return self.unknown if self.unknown is not None else "unknown" if self.classes_.dtype.kind in "USO" else -1

    @property
    def threshold_(self) -> float:
        """The unknown score above which a share ``reject`` of examples of known classes lies (nan without ``reject``).

        Raises:
            UsageError: nothing can be held out that it would follow from.
        """
        check_is_fitted(self)
        if self.reject is None:
            return np.nan
        known = self._held_out()
        there = ~np.isnan(known.unknown_score)
        if not there.any():
            return self._alone(self.reject)
        return quantile(known.unknown_score[there], known.weight[there], 1 - self.reject)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The most probable class of each example; with ``reject``, ``unknown`` where the unknown score says so."""
        check_is_fitted(self)
        found = self.classes_[self._best(X)]
        return found if self.reject is None else np.where(self.unknown_score(X) > self.threshold_, self._unknown, found)

    def predict_set(self, X: Any, coverage: float = 0.9) -> Bool[np.ndarray, "n classes"]:  # noqa: N803
        """The classes that cannot be excluded: sets that hold the right one in a share ``coverage`` of examples.

        The bound is that of examples that were held out. Where every class has one example, it is the one by which the
        probabilities of the examples of this call are right. A set can be empty, where no class is likely enough.

        Args:
            X: as in ``predict``.
            coverage: in (0, 1).

        Raises:
            UsageError: coverage out of its range.
        """
        if not 0 < coverage < 1:
            raise UsageError(f"coverage must be in (0, 1), got {coverage}.")
        check_is_fitted(self)
        p, known = self._each_alone(X), self._held_out()
        least = set_threshold(known.probabilities, known.y, known.weight, coverage)
        return p >= (own_word(p, coverage) if least is None else least)

    def next_to_label(self, pool: Any, n: int) -> Int[np.ndarray, " n"]:
        """Which of a pool's examples would help most if they were labelled next, the best first.

        Raises:
            UsageError: n is not in ``1 .. examples of the pool``.
        """
        at_least(1, n=n)
        check_is_fitted(self)
        z = self._features(pool)
        if n > len(z):
            raise UsageError(f"n must be at most the {len(z)} examples of the pool, got {n}.")
        return most_telling(self._each_alone(pool), z, n)
