"""Tables of any columns made into numbers, for every estimator of scikit-learn.

Needs the extra ``sklearn``.
"""

import warnings
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_is_fitted

from quickstudy.apply.tables.plan import WORDS, Plan, gaps
from quickstudy.apply.tables.table import Column, as_table
from quickstudy.core.errors import UsageError

Numbers = Float[np.ndarray, "rows features"]


class TableEncoder(TransformerMixin, BaseEstimator):
    """DataFrames of numbers, categories, dates and text, with gaps, as a matrix of numbers (nan: missing).

    Numbers stay, with a column that says where they were missing, if some were; a category becomes a column for each
    frequent value, a date the time that has passed with month, weekday and hour, text the main directions of its words
    (of short texts: of its letters) by frequency. Ids and columns of one value are left out. A value that was not seen
    in ``fit`` counts as none of those that were.

    Args:
        plan: what each column is (None: found).
        levels: columns that a category becomes at most.
        directions: columns that a text becomes at most.

    After ``fit``: ``plan_``.

    >>> import pandas as pd
    >>> frame = pd.DataFrame({"size": [1.0, None, 3.0], "colour": ["red", "blue", "red"]})
    >>> TableEncoder().fit_transform(frame).tolist()
    [[1.0, 1.0], [nan, 0.0], [3.0, 1.0]]
    """

    def __init__(self, *, plan: Plan | None = None, levels: int = 16, directions: int = 16) -> None:
        self.plan = plan
        self.levels = levels
        self.directions = directions

    def fit(self, X: Any, y: Any = None) -> "TableEncoder":  # noqa: N803
        """See what the columns are, and what is in them.

        Raises:
            UsageError: no DataFrame, or none of its columns tells rows apart.
        """
        table = as_table(X)
        self.plan_ = Plan.of(table) if self.plan is None else self.plan
        read = self.plan_.read(table)
        self.parts_ = {name: self._part(self.plan_.kinds[name].name).fit(c) for name, c in read.columns.items()}
        if not self.parts_:
            raise UsageError(f"{table.name} has no column that tells its rows apart (ids and equal values do not).")
        return self

    def transform(self, X: Any) -> Numbers:  # noqa: N803
        """The same columns of other rows.

        Raises:
            UsageError: some columns are not there.
        """
        check_is_fitted(self)
        read = self.plan_.read(as_table(X))
        return np.concatenate([part.transform(read.columns[name]) for name, part in self.parts_.items()], 1)

    def _part(self, kind: str) -> "_Part":
        if kind == "category":
            return _Categories(self.levels)
        return {"number": _Numbers, "date": _Dates}[kind]() if kind != "text" else _Texts(self.directions)


class _Part(Protocol):
    """What becomes of one column."""

    def fit(self, column: Column) -> "_Part": ...
    def transform(self, column: Column) -> Numbers: ...


class _Numbers:
    def fit(self, column: Column) -> "_Numbers":
        missing = int(gaps(column).sum())
        self.says_missing = 2 <= missing <= len(column) - 2
        return self

    def transform(self, column: Column) -> Numbers:
        return np.stack([column, gaps(column).astype(float)] if self.says_missing else [column], 1)


class _Dates:
    def fit(self, column: Column) -> "_Dates":
        every = self._parts(column)
        self.varying = [i for i, part in enumerate(every.T) if i == 0 or len({*part[~np.isnan(part)]}) > 1]
        return self

    def transform(self, column: Column) -> Numbers:
        return self._parts(column)[:, self.varying]

    @staticmethod
    def _parts(column: Column) -> Numbers:
        """Days since 1970, month, day of the week and hour."""
        day, month = column.astype("datetime64[D]"), column.astype("datetime64[M]")
        days, hours = day.astype(float), (column - day) / np.timedelta64(1, "h")
        parts = [days + hours / 24, month.astype(float) % 12, (days + 3) % 7, hours]
        return np.where(gaps(column)[:, None], np.nan, np.stack(parts, 1))


class _Categories:
    def __init__(self, levels: int) -> None:
        self.encoder = OneHotEncoder(
            max_categories=levels, drop="if_binary", handle_unknown="infrequent_if_exist", sparse_output=False
        )

    def fit(self, column: Column) -> "_Categories":
        self.encoder.fit(_texts(column)[:, None])
        return self

    def transform(self, column: Column) -> Numbers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of values that were not seen
            return np.asarray(self.encoder.transform(_texts(column)[:, None]), float)


class _Texts:
    def __init__(self, directions: int) -> None:
        self.directions = directions
        self.svd: Any = None

    def fit(self, column: Column) -> "_Texts":
        texts = _texts(column)
        short = np.mean([len(text.split()) for text in texts]) < WORDS
        chosen: dict[str, Any] = {"analyzer": "char_wb", "ngram_range": (1, 3)} if short else {}
        self.vectorizer = TfidfVectorizer(sublinear_tf=True, max_features=5000, **chosen)
        try:
            found = self.vectorizer.fit_transform(texts)
        except ValueError:  # not a word in it
            return self
        directions = min(self.directions, found.shape[0] - 1, found.shape[1] - 1)
        self.svd = TruncatedSVD(directions, random_state=0).fit(found) if directions > 0 else None
        return self

    def transform(self, column: Column) -> Numbers:
        texts = _texts(column)
        length = np.log1p([[len(text)] for text in texts])
        return length if self.svd is None else np.hstack([length, self.svd.transform(self.vectorizer.transform(texts))])


def _texts(column: Column) -> NDArray[Any]:
    """A gap is a text of its own."""
    return np.array(["" if text is None else text for text in column], object)
