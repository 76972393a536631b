"""A classifier of small tables that has learned to learn on synthetic tables, and needs no training of its own.

Needs the extra ``sklearn``; ``import quickstudy`` does not import this module.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from quickstudy.apply import pretrained
from quickstudy.apply.one_task import OneTask
from quickstudy.apply.refitted import Refitted
from quickstudy.apply.tables.encoder import TableEncoder
from quickstudy.apply.tables.table import has_words
from quickstudy.core.errors import UsageError
from quickstudy.learners.in_context.incontext import Standardise
from quickstudy.nets.backbones.flat import Flat
from quickstudy.tasks.images.labels import check_complete

AT_ONCE = 256  # queries; bounds the memory and changes nothing


class TabularClassifier(ClassifierMixin, Refitted, BaseEstimator):
    """A scikit-learn classifier for a few labelled rows of a table, ready to use: fitting is one forward pass.

    It is a transformer that reads the labelled rows (``quickstudy.InContext``), meta-trained on synthetic tables alone
    (``quickstudy.tasks.TabularPrior``): 2 to 10 classes, up to 100 rows, up to 64 columns. It takes more of each, with
    less ground to trust it. The order of rows, columns and classes does not matter. Columns are standardised by the
    labelled rows; a missing value (nan) counts as its column's mean. A DataFrame may have categories, dates and text
    among its columns (``TableEncoder``); of an array they are the caller's to encode.

    Args:
        n_ensemble: how many views of the table are averaged. The first is the table as it is; the second has ranks in
            place of numbers; the others are these two, in turns, on a random two thirds of the columns.
        max_rows: labelled rows that are read at most; of more, each view takes its own at random, some of each class.
        max_features: columns that are read at most; of more, those that differ most between classes (F ratio).
        random_state: seed of what is drawn.
        reject: the share of rows of known classes that may be called unknown, in (0, 1), such as 0.05: ``predict``
            then says ``unknown`` where the unknown score is above ``threshold_`` (None: it never does).
        unknown: what ``predict`` calls them (None: ``"unknown"`` where classes are texts, -1 where they are numbers).
        calibrate: whether the sharpness of the probabilities is measured by cross-validation on the labelled rows.

    After ``fit``: ``classes_``, ``n_features_in_`` (numbers of a row that are read), ``encoder_`` (None: all are),
    ``threshold_`` (nan where ``reject`` is None).

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> few = TabularClassifier().fit(X[::15], y[::15])
    >>> bool(few.score(X, y) > 0.8)
    True
    """

    n_features_in_: int

    def __init__(
        self,
        *,
        n_ensemble: int = 1,
        max_rows: int = 1000,
        max_features: int = 256,
        random_state: int = 0,
        reject: float | None = None,
        unknown: Any = None,
        calibrate: bool = False,
    ) -> None:
        self.n_ensemble = n_ensemble
        self.max_rows = max_rows
        self.max_features = max_features
        self.random_state = random_state
        self.reject = reject
        self.unknown = unknown
        self.calibrate = calibrate

    def fit(self, X: Any, y: Any) -> "TabularClassifier":  # noqa: N803
        """Read the labelled rows X ``[n, features]``, an array or a DataFrame, with labels y.

        Raises:
            UsageError: fewer than two classes, more classes than rows can be read, numbers and texts among the labels,
                or an option out of its range.
            DataError: rows without a label.
        """
        if min(self.n_ensemble, self.max_rows, self.max_features) < 1:
            raise UsageError(
                f"n_ensemble, max_rows and max_features must be >= 1, got {self.n_ensemble}, {self.max_rows} and "
                f"{self.max_features}."
            )
        check_complete(y)
        self.encoder_ = TableEncoder().fit(X) if has_words(X) else None
        numbers: Any = X if self.encoder_ is None else self.encoder_.transform(X)
        checked: tuple[Any, Any] = validate_data(  # pyright: ignore[reportAssignmentType]
            self, numbers, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        rows, y = checked
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        labels = labels.reshape(-1)
        if not 2 <= len(self.classes_) <= self.max_rows:
            raise UsageError(
                f"a classifier needs examples of at least 2 classes and no more classes than max_rows="
                f"{self.max_rows}, got {len(self.classes_)} class{'es' if len(self.classes_) > 1 else ''}."
            )
        self.rows_, self.labels_, self.refits_ = rows, labels.astype(np.int64), []
        self._check_open_set()
        self.views_ = self._views(np.ones(len(rows), bool))
        return self

    def unknown_score(self, X: Any) -> Float[np.ndarray, " n"]:  # noqa: N803
        """How unlike all classes each row is (larger: less like any): the distance to the nearest labelled row.

        Columns are standardised as they are read. (Sun, Ming, Zhu, Li: Out-of-distribution detection with deep nearest
        neighbors. ICML 2022.)
        """
        rows = self._rows(X)
        return _distances(self.rows_[:, self.views_[0].columns], rows[:, self.views_[0].columns])

    def _logits(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        return _mean_logits(self.views_, self._rows(X))

    def _features(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        rows, columns = self._rows(X), self.views_[0].columns
        z = _standard(self.rows_[:, columns])(torch.from_numpy(rows[None][..., columns]))[0].numpy()
        return np.column_stack([z, np.ones(len(z))])  # a last layer's bias: what is in the middle counts, too

    def _without(self, held: Bool[np.ndarray, " n"]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        views, asked = self._views(~held), self.rows_[held]
        columns = views[0].columns
        return _mean_logits(views, asked), _distances(self.rows_[~held][:, columns], asked[:, columns])

    def _views(self, fitted: Bool[np.ndarray, " n"]) -> "list[View]":
        rows, labels, rng = self.rows_[fitted], self.labels_[fitted], np.random.default_rng(self.random_state)
        columns = _telling(rows, labels, self.max_features)
        return [View(rows, labels, columns, k, self.max_rows, rng) for k in range(self.n_ensemble)]

    def _rows(self, given: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        numbers: Any = given if self.encoder_ is None else self.encoder_.transform(given)
        found: Any = validate_data(self, numbers, reset=False, dtype=np.float64, ensure_all_finite="allow-nan")
        return found

    def __sklearn_tags__(self) -> Any:
        """Missing values are taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


class View:
    """The table in one of several forms, read.

    Args:
        rows: the labelled rows, ``[n, features]``.
        labels: of the rows, ``0 .. classes - 1``.
        columns: those of the features that may be read.
        k: which view: 0 as it is, 1 by ranks, then these two in turns on some of the columns.
        max_rows: rows that are read at most.
        rng: for the choice of rows and columns.
    """

    def __init__(
        self,
        rows: NDArray[np.float64],
        labels: NDArray[Any],
        columns: NDArray[Any],
        k: int,
        max_rows: int,
        rng: np.random.Generator,
    ) -> None:
        chosen = _some_of_each(labels, max_rows, rng)
        if k > 1:
            columns = rng.permutation(columns)[: max(1, -(-2 * len(columns) // 3))]
        self.columns = columns
        rows = rows[chosen][:, columns]
        self.ranked = np.sort(rows, 0) if k % 2 else None
        learner = pretrained.load("tabular", model=Flat(in_features=len(columns))).double()
        self.task = OneTask(learner, self._form(rows), torch.from_numpy(labels[chosen].astype(np.int64)))
        self.task.adapt()

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Probabilities ``[n, classes]``."""
        x = self._form(rows[:, self.columns])
        return torch.cat([self.task(part) for part in x.split(AT_ONCE)]).softmax(-1).numpy()

    def _form(self, rows: NDArray[np.float64]) -> Tensor:
        if self.ranked is None:
            return torch.from_numpy(np.ascontiguousarray(rows))
        ranks = [_rank(known, asked) for known, asked in zip(self.ranked.T, rows.T, strict=True)]
        return torch.from_numpy(np.stack(ranks, 1))


def _mean_logits(views: list[View], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithm of the probabilities' mean."""
    return np.log(np.maximum(np.mean([view.predict(rows) for view in views], 0), np.finfo(np.float64).tiny))


def _standard(rows: NDArray[np.float64]) -> Standardise:
    return Standardise(torch.from_numpy(rows[None]), torch.ones(1, len(rows), dtype=torch.bool))


def _distances(known: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each row that is asked to the nearest known one."""
    units = _standard(known)
    near, far = (units(torch.from_numpy(np.ascontiguousarray(part[None])))[0] for part in (known, asked))
    return torch.cat([torch.cdist(part, near).amin(1) for part in far.split(AT_ONCE)]).numpy()


def _rank(known: NDArray[np.float64], asked: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where numbers stand among sorted ones (nan last), as a normal variable's quantile; nan stays."""
    n = int(np.isfinite(known).sum())
    below = np.searchsorted(known[:n], asked, "left") + np.searchsorted(known[:n], asked, "right")
    share = torch.from_numpy((below / 2 + 0.5) / (n + 1))
    return np.where(np.isnan(asked), np.nan, torch.special.ndtri(share).numpy())


def _telling(rows: NDArray[np.float64], labels: NDArray[Any], most: int) -> NDArray[Any]:
    """The columns that differ most between classes, at most so many, in the order of the table."""
    if rows.shape[1] <= most:
        return np.arange(rows.shape[1])
    from sklearn.feature_selection import f_classif

    known = ~np.isnan(rows)
    low, high = np.where(known, rows, np.inf).min(0), np.where(known, rows, -np.inf).max(0)
    half = high / 2 - low / 2
    with np.errstate(all="ignore"):
        rows = (rows - (low / 2 + high / 2)) / np.where(half > 0, half, 1)  # or squares overflow, or cancel
        mean = np.where(known, rows, 0).sum(0) / np.maximum(known.sum(0), 1)
        filled = np.where(known, rows, mean)
        varies = half > 0
        ratio = np.zeros(rows.shape[1])
        ratio[varies] = np.nan_to_num(f_classif(filled[:, varies], labels)[0])
    return np.sort(np.argsort(-ratio, kind="stable")[:most])


def _some_of_each(labels: NDArray[Any], most: int, rng: np.random.Generator) -> NDArray[Any]:
    """All rows, or at most so many at random: one of each class first."""
    if len(labels) <= most:
        return np.arange(len(labels))
    order = rng.permutation(len(labels))
    _, first = np.unique(labels[order], return_index=True)
    rest = np.setdiff1d(np.arange(len(order)), first)
    return order[np.concatenate([first, rest[: most - len(first)]])]
