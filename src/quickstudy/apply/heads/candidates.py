"""The heads by name, each with the transform it stands on and how sure its scores are before anything is measured."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from quickstudy.apply.heads.centroid import centroid
from quickstudy.apply.heads.logistic import logistic
from quickstudy.apply.heads.ridge import ridge
from quickstudy.apply.heads.svm import svm
from quickstudy.apply.heads.transform import Spec
from quickstudy.core.checks import one_of

Fit = Callable[..., tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Candidate:
    """A head on a transform.

    Attributes:
        fit: rows ``[n, f]``, classes and weights to the weights and biases of the classes' scores.
        spec: of the transform.
        sharpness: what scores are multiplied by to be logits, where it cannot be measured: with one example a class.
            With s examples a class it is times s ** ``falls``. Both were measured on classes that nothing is tested on.
        share: of ``auto``'s answer before anything is measured.
    """

    fit: Fit
    spec: Spec
    sharpness: float
    falls: float = -0.27
    share: float = 1.0

    def prior(self, examples: float) -> float:
        """The sharpness with so many examples a class."""
        return self.sharpness * max(examples, 1.0) ** self.falls


LENGTH, CENTRED, SHRUNK = Spec(), Spec(power=True, centre=True), Spec(power=True, centre=True, shrink=True)
strong = partial(logistic, strength=10.0)
PLAIN = {
    "centroid": Candidate(centroid, LENGTH, 18.0, 0.25),
    "ridge": Candidate(ridge, LENGTH, 28.0),
    "logistic": Candidate(strong, LENGTH, 4.7),
    "svm": Candidate(svm, LENGTH, 4.0),
}
"""On features of length 1: what one would take without thinking."""
NAMES = ("auto", *PLAIN)


def candidates(head: str, shrinks: bool) -> tuple[Candidate, ...]:
    """Of which ``auto`` is made, or the one that is named.

    Args:
        head: one of ``NAMES``.
        shrinks: whether there is a background.
    """
    one_of(NAMES, head=head)
    if head != "auto":
        return (PLAIN[head],)
    centred = (Candidate(centroid, CENTRED, 10.0, 0.1), Candidate(ridge, CENTRED, 21.0), Candidate(strong, CENTRED, 4.0))
    if not shrinks:
        return (PLAIN["ridge"], PLAIN["logistic"], *centred)
    shrunk = (
        Candidate(centroid, SHRUNK, 20.0, 0.1, 4.0),
        Candidate(ridge, SHRUNK, 40.0, share=4.0),
        Candidate(strong, SHRUNK, 8.0, share=4.0),
    )
    return (*shrunk, *centred)
