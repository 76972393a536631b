"""What can classify a table's rows: the in-context learner, and what one would otherwise use.

Needs the extra ``sklearn``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sklearn.dummy import DummyClassifier
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from quickstudy.apply.tables.encoder import TableEncoder
from quickstudy.apply.tables.plan import Plan
from quickstudy.apply.tabular import TabularClassifier
from quickstudy.core.errors import UsageError

OURS = "in-context"
USUAL = "most frequent class"
"""Which says nothing of a row."""
METHODS: Mapping[str, Callable[[int, int], list[Any]]] = {
    OURS: lambda rows, views: [TabularClassifier(n_ensemble=views)],
    "logistic": lambda rows, views: [SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=2000)],
    "extra-trees": lambda rows, views: [SimpleImputer(), ExtraTreesClassifier(200, random_state=0)],
    # By default it asks for 20 rows per leaf: of few rows that is one leaf, which says nothing.
    "boosting": lambda rows, views: [
        HistGradientBoostingClassifier(min_samples_leaf=max(1, min(20, rows // 50)), random_state=0)
    ],
    USUAL: lambda rows, views: [DummyClassifier()],
}
"""By name, of the number of labelled rows and of views: what comes after the columns were made into numbers."""
WORDS = {
    OURS: "in-context learning",
    "logistic": "logistic regression",
    "extra-trees": "extra trees",
    "boosting": "gradient boosting",
    USUAL: USUAL,
}


def method(name: str, plan: Plan, *, rows: int, views: int) -> Any:
    """An estimator of tables.

    Args:
        name: of one of ``METHODS``.
        plan: what the columns are.
        rows: how many labelled ones there are.
        views: of the in-context learner (``TabularClassifier.n_ensemble``).

    Raises:
        UsageError: an unknown name.
    """
    if name not in METHODS:
        raise UsageError(f"there is no method {name!r}: {', '.join(m for m in METHODS if m != USUAL)}.")
    return make_pipeline(TableEncoder(plan=plan), *METHODS[name](rows, views))
