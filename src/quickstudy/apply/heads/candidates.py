"""The heads by name, each with the transform it stands on and how sure its scores are before anything is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from quickstudy.apply.heads.centroid import centroid
from quickstudy.apply.heads.in_context import in_context
from quickstudy.apply.heads.logistic import logistic
from quickstudy.apply.heads.ridge import ridge
from quickstudy.apply.heads.svm import svm
from quickstudy.apply.heads.transform import Centre, Spec
from quickstudy.core.checks import one_of


@dataclass(frozen=True)
class Candidate:
    """A head on a transform.

    Attributes:
        fit: rows ``[n, f]``, classes and weights to the weights and biases of the classes' scores.
        spec: of the transform.
        sharpness: what scores are multiplied by to be logits, where it cannot be measured: with one example a class,
            and examples of different classes as far apart as is usual.
        falls: with s examples a class it is times s ** ``falls``.
        share: of ``auto``'s answer before anything is measured.
        widens: how sharpness grows with the distance between classes.
    """

    fit: Callable[..., tuple[Any, Any]]
    spec: Spec
    sharpness: float
    falls: float = -0.27
    share: float = 1.0
    widens: float = 0.6

    def prior(self, examples: float, apart: float) -> float:
        """The sharpness with so many examples a class, of which those of two classes are so far apart.

        Args:
            examples: per class.
            apart: in units of what is usual.
        """
        return self.sharpness * max(examples, 1.0) ** self.falls * apart**self.widens


# Sharpnesses, and how they fall and widen, are of data that nothing is tested on: validation classes of CIFAR-FS and
# Omniglot, training classes of CLINC150, scikit-learn's digits.
USUAL = {True: 0.95, False: 0.5}
"""One less the cosine of examples of two classes, with a background and without."""
LENGTH, STANDARD = Spec(), Spec(standard=True)
CENTRED, SHRUNK = Spec(power=True, centre=Centre.MEAN), Spec(power=True, centre=Centre.MEAN, shrink=True)
strong, light = partial(logistic, strength=10.0), partial(ridge, penalty=0.3)
PLAIN = {
    "centroid": Candidate(centroid, LENGTH, 18.0, 0.25),
    "ridge": Candidate(ridge, LENGTH, 28.0),
    "logistic": Candidate(strong, LENGTH, 4.7),
    "svm": Candidate(svm, LENGTH, 4.0),
}
"""On features of length 1: what one would take without thinking."""
# Logistic regressions on these made no difference to what is made of the others, and took twice the time.
OF_CENTRED = (Candidate(centroid, CENTRED, 10.0, 0.1), Candidate(light, CENTRED, 14.0, -0.22))
OF_SHRUNK = (Candidate(centroid, SHRUNK, 20.0, 0.1, share=4.0), Candidate(light, SHRUNK, 26.5, -0.22, share=4.0))
OF_COLUMNS = (
    Candidate(centroid, STANDARD, 3.0, 0.1),
    Candidate(ridge, STANDARD, 8.0),
    Candidate(strong, STANDARD, 1.0),
)
TRAINED = {
    True: Candidate(in_context, SHRUNK, 1.0, 0.0, widens=0.0),
    False: Candidate(in_context, CENTRED, 1.0, 0.0, widens=0.0),
}
"""With a background and without; its scores are logits as they come."""
NAMES = ("auto", *PLAIN, "in-context")
NARROW = 64
"""Features up to which the columns may be those of a table."""


def candidates(head: str, x: Float[np.ndarray, "n f"], *, shrinks: bool, can_measure: bool) -> tuple[Candidate, ...]:
    """The one that is named, or those of which ``auto`` is made.

    Args:
        head: one of ``NAMES``.
        x: the labelled rows: where one column makes up most of their size, columns are not of one unit.
        shrinks: whether there is a background.
        can_measure: whether any row can be held out.
    """
    one_of(NAMES, head=head)
    if head == "in-context":
        return (TRAINED[shrinks],)
    if head != "auto":
        return (PLAIN[head],)
    if shrinks:
        return (*OF_SHRUNK, *OF_CENTRED)
    size = np.abs(x).mean(0)
    if size.max() > 0.5 * size.sum() and x.shape[1] > 1:
        return OF_COLUMNS
    columns = (
        OF_COLUMNS if x.shape[1] <= NARROW and can_measure else ()
    )  # of so few rows they say nothing by themselves
    return (PLAIN["centroid"], PLAIN["ridge"], *OF_CENTRED, *columns)
