"""Few rows of many features in as many coordinates as there are rows: heads find the same, many times faster."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from quickstudy.apply.heads.candidates import Candidate
from quickstudy.apply.heads.transform import Transform


@dataclass(frozen=True)
class Span:
    """Rows in orthonormal coordinates of what they span: lengths and products are those of the rows.

    Attributes:
        transform: of the rows.
        rows: ``[n, r]``, after ``Transform.spread``.
        guess: of their mean, ``[r]``, if there is one.
        basis: the coordinates' directions, ``[r, f]``.
    """

    transform: Transform
    rows: Float[Tensor, "n r"]
    guess: Float[Tensor, " r"] | None
    basis: Float[Tensor, "r f"]

    @staticmethod
    def of(transform: Transform, x: Float[Tensor, "n f"]) -> "Span":
        """Of rows."""
        rows, guess = transform.spread(x), transform.guess
        known = rows if guess is None else torch.cat([rows, guess[None]])
        basis = torch.eye(x.shape[1], dtype=x.dtype)
        if len(known) < x.shape[1] and not transform.spec.standard:  # columns are not to be mixed
            basis = torch.linalg.qr(known.T)[0].T
        known = known @ basis.T
        return Span(transform, known[: len(rows)], None if guess is None else known[-1], basis)

    def transformed(self, weight: Float[Tensor, " n"], fitted: Bool[np.ndarray, " n"]) -> Float[np.ndarray, "n r"]:
        """All rows, after what the fitted ones say is to be taken off."""
        moments = self.transform.moments(self.rows[fitted], weight[fitted], self.guess)
        return self.transform.finish(self.rows, *moments).numpy()

    def scores(
        self, candidate: Candidate, y: Int[np.ndarray, " n"], weight: Tensor, fold: Int[np.ndarray, " n"]
    ) -> Float[np.ndarray, "n classes"]:
        """Of each row by the head that was fitted without its fold; nan where it is in every fitting."""
        found = np.full((len(y), int(y.max()) + 1), np.nan)
        for held in range(int(fold.max()) + 1):
            fitted = fold != held
            z = self.transformed(weight, fitted)
            weights, biases = candidate.fit(z[fitted], y[fitted], weight.numpy()[fitted])
            found[~fitted] = z[~fitted] @ weights.T + biases
        return found

    def fit(self, candidate: Candidate, y: Int[np.ndarray, " n"], weight: Tensor) -> tuple[Tensor, Tensor]:
        """The head's weights ``[classes, f]`` and biases ``[classes]``, from all rows."""
        z = self.transformed(weight, np.ones(len(y), bool))
        weights, biases = (torch.from_numpy(np.ascontiguousarray(t)) for t in candidate.fit(z, y, weight.numpy()))
        return weights @ self.basis, biases
